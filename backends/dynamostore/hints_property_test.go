package dynamostore_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk/head"
)

// TestNoChangeIsMissed: whatever happens to a stream, and from whichever cursor
// another process goes on, after each change its hint comes or a page that is Lost.
// All that happened before a call has come when the call has caught up.
func TestNoChangeIsMissed(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		calls := rapid.SliceOfN(rapid.Custom(drawCall), 2, 6).Draw(r, "calls") // drawn before, as pauses are random
		synctest.Test(t, func(t *testing.T) {
			h := &history{t: t, server: newStreamServer(t), changes: map[string]bool{}, readers: []reader{{}}}
			h.server.perPage = 3
			for _, c := range calls {
				h.call(c)
			}
		})
	})
}

// plannedCall is one call of Hints, by the reader that goes on, and what happens meanwhile.
type plannedCall struct {
	reader  int
	actions []action
	ends    bool // before all is read
}

type action struct {
	kind    string
	n, more int
}

func drawCall(r *rapid.T) plannedCall {
	kinds := []string{"put", "put", "put", "split", "split", "wait", "wait long", "list", "forget", "stop"}
	one := rapid.Custom(func(r *rapid.T) action {
		return action{rapid.SampledFrom(kinds).Draw(r, "kind"), rapid.IntRange(0, 100).Draw(r, "n"), rapid.IntRange(0, 100).Draw(r, "more")}
	})
	return plannedCall{rapid.IntRange(0, 100).Draw(r, "reader"), rapid.SliceOfN(one, 0, 8).Draw(r, "actions"), rapid.Bool().Draw(r, "ends")}
}

// history is what happens to a stream, and the readers that can go on.
type history struct {
	t        *testing.T
	server   *streamServer
	hidden   []*testShard // they take records, but are not listed yet
	changes  map[string]bool
	readers  []reader
	disabled bool // at some time during the call
}

// reader is a cursor, and the changes that were hinted or lost before it.
type reader struct {
	cursor []byte
	told   map[string]bool
}

// call reads on while things happen. Then the process ends, or reads until all is
// told.
func (h *history) call(c plannedCall) {
	h.reveal()
	h.disabled = h.server.status != "ENABLED"
	from := h.readers[c.reader%len(h.readers)]
	told, before, quiet := maps.Clone(from.told), maps.Clone(h.changes), 0
	_, err := h.server.follow(from.cursor, func(p head.Hints) bool {
		require.True(h.t, told != nil || p.Lost, "nothing is known without a cursor")
		if p.Lost {
			told = maps.Clone(h.changes)
		}
		for _, hint := range p.Hints {
			told[hint.AggregateID] = true
		}
		h.readers = append(h.readers, reader{p.Cursor, maps.Clone(told)})
		if p.CaughtUp {
			require.Empty(h.t, owed(before, told), "it has caught up: %+v", c)
		}
		if len(c.actions) > 0 {
			h.happen(c.actions[0])
			c.actions = c.actions[1:]
			return false
		}
		h.reveal()
		quiet++
		require.Less(h.t, quiet, 500, "it never ends, and these are missing: %v", owed(h.changes, told))
		return c.ends || p.CaughtUp && len(owed(h.changes, told)) == 0
	})
	if err != nil {
		require.True(h.t, h.disabled, "%v", err)
		require.ErrorContains(h.t, err, "is disabled")
		require.Empty(h.t, owed(before, told))
	}
}

// owed returns the changes that were not told.
func owed(changes, told map[string]bool) (missing []string) {
	for id := range changes {
		if !told[id] {
			missing = append(missing, id)
		}
	}
	return missing
}

// happen does one thing to the stream. A new shard is listed a little later.
func (h *history) happen(a action) {
	s := h.server
	switch a.kind {
	case "put":
		for range 1 + a.n%5 {
			h.put(a.more)
		}
	case "split":
		h.split(a)
	case "wait":
		s.sleep(time.Duration(a.n) * time.Second)
	case "wait long":
		h.reveal()
		s.sleep(time.Duration(a.n) * time.Hour / 3)
		s.expire()
	case "list":
		h.reveal()
	case "forget":
		s.expire()
	case "stop":
		if s.status != "ENABLED" {
			s.replace()
		} else if a.n%4 == 0 {
			h.reveal()
			s.disable()
			h.disabled = true
		}
	}
}

// put makes a change, which a stream that is disabled does not record.
func (h *history) put(n int) {
	id := fmt.Sprint("order-", len(h.changes))
	h.changes[id] = true
	if open := h.open(); len(open) > 0 {
		h.server.put(open[n%len(open)], id)
	}
}

// split closes a shard, and makes one or two others.
func (h *history) split(a action) {
	open := h.open()
	if len(open) == 0 {
		return
	}
	open[a.n%len(open)].closed = true
	for range 1 + a.more%2 {
		h.hidden = append(h.hidden, h.server.split())
		h.server.shards = h.server.shards[:len(h.server.shards)-1]
	}
}

// open returns the shards that take records.
func (h *history) open() []*testShard {
	return slices.DeleteFunc(slices.Concat(h.server.shards, h.hidden), func(s *testShard) bool { return s.closed })
}

func (h *history) reveal() {
	h.server.shards, h.hidden = append(h.server.shards, h.hidden...), nil
}
