package inspect_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
)

// packedHistory is a history whose chain is packed sooner or later.
type packedHistory struct{ history }

// build makes an append by a writer that packs, and stores nothing.
func (h *packedHistory) build(t *rapid.T, tip int) link.Append {
	return h.buildPacked(link.Layout{Tip: tip, Compress: rapid.Bool().Draw(t, "compressed")}, drafts(t)...)
}

func (h *packedHistory) remember(after link.Append, p put) {
	p.stored = after.Changesets
	h.puts = append(h.puts, p)
}

func (h *packedHistory) actions() map[string]func(*rapid.T) {
	committed := func(t *rapid.T, a link.Append) {
		h.remember(a, put{after: h.head, committed: true})
		h.commit(a)
	}
	spilled := func(t *rapid.T) { committed(t, h.build(t, 0)) }
	orphaned := func(t *rapid.T) {
		a := h.build(t, 0)
		h.put(a.Objects...)
		h.remember(a, put{after: h.head})
	}
	inlined := func(t *rapid.T) { committed(t, h.build(t, 200_000)) }
	return map[string]func(*rapid.T){
		"inline": inlined, "inline again": inlined, "spill": spilled, "lose the race, or be pending": orphaned, "the same": orphaned,
		"append in format 1": func(t *rapid.T) {
			if h.head.IsPacked() {
				t.Skip("it stays packed")
			}
			after := h.head
			h.puts = append(h.puts, put{after, h.append(drafts(t)...), true})
		},
		"lose a race in format 1": func(t *rapid.T) {
			if h.head.IsPacked() {
				t.Skip("it stays packed")
			}
			h.puts = append(h.puts, put{h.head, h.orphan(drafts(t)...), false})
		},
		"flush": func(t *rapid.T) {
			if h.head.Tip == "" {
				t.Skip("there is no tip")
			}
			objects, next, err := link.Flush(h.head, rapid.Bool().Draw(t, "compressed"))
			require.NoError(t, err)
			h.put(objects...)
			if rapid.Bool().Draw(t, "committed") {
				h.swap(next)
			}
		},
		"prepare two appends, one after the other": func(t *rapid.T) {
			if !h.head.Exists() {
				t.Skip("the second one would look as if the head had gone")
			}
			first := h.build(t, 0)
			second, err := link.Build(first.Next, h.id, bodies(drafts(t)...), now, link.Layout{})
			require.NoError(t, err)
			h.put(append(first.Objects, second.Objects...)...)
			h.remember(first, put{after: h.head})
			h.remember(second, put{after: first.Next})
		},
		"fence": func(t *rapid.T) {
			if !h.head.Exists() {
				t.Skip("nothing to fence")
			}
			h.fence()
		},
	}
}

func (h *packedHistory) check(t *rapid.T) {
	want := inspect.Report{AggregateID: h.id, Head: h.head}
	tip, err := h.head.TipChangesets()
	require.NoError(t, err)
	want.InHead = len(tip)
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
	options := rapid.SampledFrom([]*inspect.Options{nil, {Parallel: 1, MaxBytesInFlight: 1}}).Draw(t, "options")
	r, err := inspect.New(h, h, options).Verify(ctx(t), h.id)
	if len(kinds) == 0 {
		require.ErrorIs(t, err, changeset.ErrNotFound)
		return
	}
	require.NoError(t, err)
	require.Equal(t, want, r)
	h.checkGraph(kinds)
	h.checkPlaces(t)
}

// checkPlaces checks that the graph says where some changesets of the chain are.
func (h *packedHistory) checkPlaces(t *rapid.T) {
	for i, n := range h.graph(0).Nodes {
		if i%5 != 0 {
			continue
		}
		if n.Kind != inspect.Committed {
			require.NotZero(t, n.Object.ID)
			continue
		}
		place, err := link.Locate(ctx(t), h, h.head, n.Version)
		require.NoError(t, err)
		require.Equal(t, place.Object, n.Object)
	}
}

// TestPackedStoresAreWhatTheyAre makes histories of packed and mixed chains. Their
// heads are lost in the end: each tip that is offered can be used, and
// what was in objects is in the history of one of them.
func TestPackedStoresAreWhatTheyAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &packedHistory{history{bench: newBench(t, "a/b")}}
		t.Repeat(h.actions())
		h.check(t)
		was := h.head
		h.loseHead()
		if len(h.objects()) == 0 || !was.Exists() {
			return
		}
		plan, err := h.plan()
		require.NoError(t, err)
		require.Empty(t, plan.Problems)
		if len(plan.Tips) > 0 {
			h.bench.clone(t).use(plan, rapid.SampledFrom(plan.Tips).Draw(t, "tip"))
		}
		require.True(t, h.offers(t, plan, was), "what was in objects is not offered")
	})
}

// offers reports whether a tip of a plan has what the lost head had in objects.
func (h *packedHistory) offers(t *rapid.T, plan inspect.Rebuilding, was head.Head) bool {
	version, digest := was.Version, was.Digest
	if was.IsPacked() {
		version, digest = was.Index.Next()-1, was.PackedDigest
	}
	return was.IsPacked() && was.Index.Next() == 0 || slices.ContainsFunc(plan.Tips, func(tip inspect.Tip) bool {
		other := h.bench.clone(t)
		got, err := inspect.New(other, other, nil).Apply(ctx(t), plan, tip.Ref)
		require.NoError(t, err)
		return got.Version >= version && other.digestAt(got, version) == digest
	})
}
