// Package feedtest holds what a feed is made from to its contract.
//
// A backend's test hands a [Harness] to [TestSource]. Each check is a subtest that is
// named after its demand. The checks make aggregates of their own, with IDs that no
// other run has, and never stop at hints for others.
package feedtest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// Harness is how the suite reaches the backend under test.
type Harness struct {
	// Heads must return a new client, or handle, of the same storage on each call, and
	// release it at the end of t. It must be a [head.Source]. Two goroutines never
	// call it at once.
	Heads func(t testing.TB) head.Store
	// Patience is how long a hint may take, and how long the source may take to have
	// caught up; 0 means 30 seconds.
	Patience time.Duration
}

// TestSource holds a [head.Source] to its contract.
func TestSource(t *testing.T, h Harness) {
	for _, c := range sourceChecks {
		t.Run(c.name, func(t *testing.T) { c.run(t, h) })
	}
}

// check is one demand of the contract.
type check struct {
	name string
	run  func(t testing.TB, h Harness)
}

var sourceChecks = []check{
	{"SourceName: is a short name, the same for each handle", namesItself},
	{"Hints: the first page of a new cursor is Lost", beginsWithALoss},
	{"Hints: after each change of a version or state, a hint comes, or a page that is Lost", hintsAtChanges},
	{"Hints: the cursor of each page resumes, in another process, without a loss", resumes},
	{"Hints: has caught up when there is nothing more, and after each wait without news", catchesUp},
	{"Hints: what has happened before the call has come when it has caught up", catchesUpWithAll},
	{"Hints: goes on until the context ends, and then ends with the context's error", endsWithTheContext},
	{"Hints: may be left early, and ranged over again", mayBeLeft},
	{"Hint: a head that comes along is a record of the aggregate that was stored", bringsStoredHeads},
}

// chain is an aggregate of one check.
type chain struct {
	t     testing.TB
	heads head.Store
	head  head.Head
	id    string
	all   []head.Head // the records that were stored
}

func newChain(t testing.TB, h Harness) *chain {
	return &chain{t: t, heads: h.Heads(t), id: "feedtest/" + changeset.NewID().String()}
}

func (c *chain) extend() {
	c.t.Helper()
	_, next, err := link.Extend(c.head, c.id, make([]changeset.Draft, 1), time.Now())
	require.NoError(c.t, err)
	c.swap(next)
}

func (c *chain) swap(next head.Head) {
	c.t.Helper()
	var err error
	c.head, err = c.heads.Swap(c.t.Context(), c.head, next)
	require.NoError(c.t, err)
	c.all = append(c.all, c.head)
}

// reader reads hints. It notes which aggregates it was told about, of any change
// that was made before the telling.
type reader struct {
	t      testing.TB
	h      Harness
	cursor []byte
	told   map[string]int // how many hints came
	losses int
	pages  []head.Hints
}

func (h Harness) reader(t testing.TB, cursor []byte) *reader {
	return &reader{t: t, h: h, cursor: cursor, told: map[string]int{}}
}

// until reads pages, through a handle of its own, until stop returns true for one.
func (r *reader) until(what string, stop func(p head.Hints) bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), cmp.Or(r.h.Patience, 30*time.Second))
	defer cancel()
	source, ok := head.As[head.Source](r.h.Heads(r.t))
	require.True(r.t, ok, "the store is not a head.Source")
	for p, err := range source.Hints(ctx, r.cursor) {
		require.NoError(r.t, err, "waiting until %s", what)
		r.take(p)
		if stop(p) {
			return
		}
	}
	require.Fail(r.t, "the sequence has ended", "waiting until %s", what)
}

func (r *reader) take(p head.Hints) {
	r.t.Helper()
	require.True(r.t, json.Valid(p.Cursor), "the cursor is not JSON: %q", p.Cursor)
	require.LessOrEqual(r.t, len(p.Cursor), 64<<10, "the size of the cursor")
	for _, hint := range p.Hints {
		require.NoError(r.t, changeset.ValidateAggregateID(hint.AggregateID))
		r.told[hint.AggregateID]++
	}
	if p.Lost {
		r.losses++
	}
	r.cursor, r.pages = p.Cursor, append(r.pages, p)
}

func (r *reader) catchUp() {
	r.t.Helper()
	r.until("it has caught up", func(p head.Hints) bool { return p.CaughtUp })
}

func namesItself(t testing.TB, h Harness) {
	var names []string
	for range 2 {
		source, ok := head.As[head.Source](h.Heads(t))
		require.True(t, ok, "the store is not a head.Source")
		names = append(names, source.SourceName())
	}
	require.Equal(t, names[0], names[1])
	require.NotEmpty(t, names[0])
	require.LessOrEqual(t, len(names[0]), 40)
}

func beginsWithALoss(t testing.TB, h Harness) {
	newChain(t, h).extend()
	r := h.reader(t, nil)
	r.until("the first page has come", func(p head.Hints) bool {
		require.True(t, p.Lost)
		return true
	})
	r.catchUp()
	require.Equal(t, 1, r.losses, "its own cursor is no loss")
}

func hintsAtChanges(t testing.TB, h Harness) {
	c, r := newChain(t, h), h.reader(t, nil)
	r.catchUp()
	changes := []func(){c.extend, c.extend, func() { c.swap(link.Fence(c.head)) }, c.extend, func() { c.swap(link.Tombstone(c.head)) }}
	fences := map[int]bool{2: true}
	for i, change := range changes {
		told, losses := r.told[c.id], r.losses
		made := false
		r.until("the change is told", func(p head.Hints) bool {
			if !made && p.CaughtUp { // while it is read
				told, losses, made = r.told[c.id], r.losses, true
				change()
			}
			return made && (r.told[c.id] > told || r.losses > losses || fences[i])
		})
	}
}

func resumes(t testing.TB, h Harness) {
	r := h.reader(t, nil)
	r.catchUp()
	var chains []*chain
	for range 3 {
		c := newChain(t, h)
		c.extend()
		chains = append(chains, c)
		r.until("the change is told", func(head.Hints) bool { return r.told[c.id] > 0 })
	}
	last := newChain(t, h)
	last.extend()
	told := map[string]int{}
	for _, p := range r.pages {
		for _, hint := range p.Hints {
			told[hint.AggregateID]++
		}
		again := h.reader(t, p.Cursor)
		missing := func() (ids []string) {
			for _, c := range append(chains, last) {
				if told[c.id]+again.told[c.id] == 0 {
					ids = append(ids, c.id)
				}
			}
			return ids
		}
		again.catchUp()
		require.True(t, again.losses > 0 || len(missing()) == 0, "these are missing: %v", missing())
	}
}

func catchesUp(t testing.TB, h Harness) {
	r, n := h.reader(t, nil), 0
	r.until("it has caught up three times", func(p head.Hints) bool {
		if p.CaughtUp {
			n++
		}
		return n == 3
	})
}

func catchesUpWithAll(t testing.TB, h Harness) {
	first := h.reader(t, nil)
	first.catchUp()
	var chains []*chain
	for range 20 {
		c := newChain(t, h)
		c.extend()
		chains = append(chains, c)
	}
	r := h.reader(t, first.cursor)
	r.catchUp()
	for _, c := range chains {
		require.True(t, r.losses > 0 || r.told[c.id] > 0, "%s is missing", c.id)
	}
}

func endsWithTheContext(t testing.TB, h Harness) {
	source, _ := head.As[head.Source](h.Heads(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var ended []error
	for p, err := range source.Hints(ctx, nil) {
		if p.CaughtUp {
			cancel()
		}
		if err != nil {
			ended = append(ended, err)
		}
	}
	require.Len(t, ended, 1)
	require.True(t, errors.Is(ended[0], context.Canceled), "%v", ended[0])
}

func mayBeLeft(t testing.TB, h Harness) {
	source, _ := head.As[head.Source](h.Heads(t))
	hints := source.Hints(t.Context(), nil)
	for range 2 {
		n := 0
		for p, err := range hints {
			require.NoError(t, err)
			require.Equal(t, n == 0, p.Lost)
			if n++; n == 2 {
				break
			}
		}
	}
}

func bringsStoredHeads(t testing.TB, h Harness) {
	c, r := newChain(t, h), h.reader(t, nil)
	r.catchUp()
	for range 3 {
		c.extend()
	}
	c.swap(link.Tombstone(c.head))
	stored := map[uint64]head.Head{}
	for _, each := range c.all {
		stored[each.Revision] = each
	}
	known := maps.Clone(stored)
	r.until("the erasure is told", func(p head.Hints) bool {
		for _, hint := range p.Hints {
			if hint.AggregateID == c.id && hint.Head.Exists() {
				require.True(t, known[hint.Head.Revision].SameRecord(hint.Head), "%+v", hint.Head)
				require.Equal(t, known[hint.Head.Revision].State, hint.Head.State)
				delete(stored, hint.Head.Revision)
			}
		}
		return p.CaughtUp && (r.told[c.id] > 0 || r.losses > 1)
	})
}
