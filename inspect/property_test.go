package inspect_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/inspect"
)

// put is one append whose objects, or some of them, are stored, as the model knows it.
type put struct {
	after     head.Head
	stored    []changeset.Changeset
	committed bool
}

// history is a storage and what must be found in it.
type history struct {
	*bench
	puts []put
}

func drafts(t *rapid.T) []changeset.Draft {
	ds := make([]changeset.Draft, rapid.IntRange(1, 4).Draw(t, "changesets"))
	for i := range ds {
		ds[i] = draft(rapid.StringN(0, 9, 9).Draw(t, "content"))
	}
	return ds
}

func (h *history) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"append": func(t *rapid.T) {
			after := h.head
			h.puts = append(h.puts, put{after, h.append(drafts(t)...), true})
		},
		"lose the race, or be pending": func(t *rapid.T) {
			h.puts = append(h.puts, put{h.head, h.orphan(drafts(t)...), false})
		},
		"put only some of the objects": func(t *rapid.T) {
			built, _ := h.build(h.head, drafts(t)...)
			var some []changeset.Changeset
			for _, c := range built {
				if rapid.Bool().Draw(t, "stored") {
					some = append(some, c)
				}
			}
			h.put(some...)
			h.puts = append(h.puts, put{h.head, some, false})
		},
		"prepare two appends, one behind the other": func(t *rapid.T) {
			if !h.head.Exists() {
				t.Skip("the second one would look as if the head had gone")
			}
			built, next := h.build(h.head, drafts(t)...)
			behind, _ := h.build(next, drafts(t)...)
			h.put(built...)
			h.put(behind...)
			h.puts = append(h.puts, put{h.head, built, false}, put{next, behind, false})
		},
		"fence": func(t *rapid.T) {
			if !h.head.Exists() {
				t.Skip("nothing to fence")
			}
			h.fence()
		},
	}
}

// kind is the definition of 2.1 in the model's terms.
func (h *history) kind(p put) inspect.Kind {
	switch {
	case p.committed:
		return inspect.Committed
	case p.after.Revision > h.head.Revision:
		return inspect.Ahead
	case p.after.SameRecord(h.head):
		return inspect.Pending
	default:
		return inspect.Lost
	}
}

func (h *history) check() {
	want := inspect.Report{AggregateID: h.id, Head: h.head}
	kinds := map[changeset.Ref]inspect.Kind{}
	counts := map[inspect.Kind]*int{
		inspect.Committed: &want.Committed, inspect.Lost: &want.Lost, inspect.Pending: &want.Pending, inspect.Ahead: &want.Ahead,
	}
	for _, p := range h.puts {
		for _, c := range p.stored {
			kinds[c.Ref] = h.kind(p)
			*counts[h.kind(p)]++
			if p.committed {
				want.Bytes += c.BodySize
			}
		}
	}
	for _, in := range []*inspect.Inspector{
		inspect.New(h, h, nil),
		inspect.New(h, h, &inspect.Options{Parallel: 1, MaxBytesInFlight: 1}),
		inspect.New(h, h, &inspect.Options{HeadersOnly: true}),
	} {
		r, err := in.Verify(ctx(h.t), h.id)
		if len(kinds) == 0 && !h.head.Exists() {
			require.ErrorIs(h.t, err, changeset.ErrNotFound)
			continue
		}
		require.NoError(h.t, err)
		require.Equal(h.t, want, r)
	}
	if len(kinds) > 0 {
		h.checkGraph(kinds)
	}
}

func (h *history) checkGraph(kinds map[changeset.Ref]inspect.Kind) {
	g, err := inspect.New(h, h, nil).Graph(ctx(h.t), h.id, 0)
	require.NoError(h.t, err)
	require.Len(h.t, g.Nodes, len(kinds))
	for i, n := range g.Nodes {
		require.Equal(h.t, kinds[n.Ref], n.Kind, fmt.Sprint(n.Ref))
		require.True(h.t, i == 0 || g.Nodes[i-1].Version >= n.Version, "the newest come first")
		if n.LostTo != (changeset.Ref{}) {
			require.Equal(h.t, inspect.Lost, n.Kind)
			require.Equal(h.t, inspect.Committed, kinds[n.LostTo])
		}
	}
}

func TestHealthyStoresHaveNoProblems(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{bench: newBench(t, "a/b")}
		t.Repeat(h.actions())
		h.check()
	})
}
