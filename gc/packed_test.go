package gc_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
)

// mixed returns a place with a chain of objects of format 1, and then appends to the
// packed chain.
func mixed(t testing.TB, old, packed int) (place, *memstore.Store) {
	p, m := inMemory(t)
	p.grow(old)
	p = p.packed()
	p.grow(packed)
	return p, m
}

func TestCleanPackedChainsCostAHeadAndAListing(t *testing.T) {
	for _, n := range []struct{ old, packed int }{{0, 1}, {0, 3}, {0, 4}, {0, 200}, {1, 1}, {20, 1}, {20, 9}} {
		p, _ := mixed(t, n.old, n.packed)
		counts := meter.New(0)
		r, err := p.metered(counts).collect()
		require.NoError(t, err)
		require.Equal(t, meter.Counts{Load: 1, List: 1}, counts.Count(), "%v", n)
		require.Len(t, p.requireWhole(true).objects, int(r.Seen.Objects), "a pack is one object")
		require.Equal(t, gc.Report{AggregateID: p.id, Head: p.head(), Seen: r.Seen}, r)
	}
}

// The orphans of packed chains: what the collector makes of each, without a fence, and
// with it.
func TestWhatIsCollectedOfPackedChains(t *testing.T) {
	table := map[string]struct {
		old, packed int // appends before
		make        func(p place, h head.Head)
		lost        int64 // collected without a fence
		pending     int64 // collected after a fence
	}{
		"a spill that lost to a spill": {0, 3, func(p place, h head.Head) {
			p.spill(h, "a")
			p.grow(1)
		}, 1, 0},
		"a spill that lost to a longer one": {0, 3, func(p place, h head.Head) {
			p.spill(h, "a")
			p.swap(h, p.spill(h, "b", "c", "d").Next)
		}, 1, 0},
		"a spill that lost to a shorter one": {0, 3, func(p place, h head.Head) {
			p.spill(h, "a", "b", "c", "d")
			p.grow(1)
		}, 1, 0},
		"a spill that lost to appends into the tip": {0, 1, func(p place, h head.Head) {
			p.spill(h, "a")
			p.grow(1)
		}, 1, 0},
		"a spill that lost to appends which were packed later": {0, 1, func(p place, h head.Head) {
			p.spill(h, "a")
			p.grow(9)
		}, 1, 0},
		"a flush that lost": {0, 2, func(p place, h head.Head) {
			objects, _, err := link.Flush(h, false)
			require.NoError(p, err)
			require.NoError(p, p.changesets.Put(p.Context(), objects[0]))
			p.grow(7)
		}, 1, 0},
		"a pack beside objects of format 1": {3, 0, func(p place, h head.Head) {
			p.spill(h, "a", "b", "c", "d")
			p.options = nil
			p.grow(6)
		}, 1, 0},
		"objects of format 1 beside a pack": {3, 0, func(p place, h head.Head) {
			p.put(h, link.Layout{}, "a", "b", "c", "d")
			p.grow(9)
		}, 4, 0},
		"objects of format 1 above the objects, at versions in the tip": {3, 0, func(p place, h head.Head) {
			p.put(h, link.Layout{}, "a", "b")
			p.grow(2)
		}, 2, 0},
		"a first pack": {0, 0, func(p place, h head.Head) {
			p.spill(h, "a")
			p.grow(5)
		}, 1, 0},
		"an append of several objects": {0, 2, func(p place, h head.Head) {
			big := strings.Repeat("x", link.MaxLine+1)
			require.Len(p, p.spill(h, "a", big, "b").Objects, 3)
			p.grow(5)
		}, 3, 0},
		"a pending spill": {0, 3, func(p place, h head.Head) { p.spill(h, "a") }, 0, 1},
		"pending spills of all lengths": {2, 2, func(p place, h head.Head) {
			for n := range 5 {
				p.spill(h, slices.Repeat([]string{"a"}, n+1)...)
			}
		}, 0, 5},
		"prepared after a pending one": {0, 2, func(p place, h head.Head) {
			p.spill(p.spill(h, "a").Next, "b")
		}, 0, 2},
		"objects that overlap one another, and many of the chain": {2, 30, func(p place, h head.Head) {
			first, last := h, head.Head{}
			for n := range 12 {
				h = p.grow(1)
				p.spill(h, slices.Repeat([]string{"a"}, n+1)...)
				last = h
			}
			require.Greater(p, last.Index.Objects(), first.Index.Objects()+2)
			p.grow(20)
		}, 12, 0},
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		test := table[name]
		t.Run(name, func(t *testing.T) {
			p, _ := mixed(t, test.old, test.packed)
			test.make(p, p.head())
			before := p.objects()
			own := p.requireWhole(false)
			counts := meter.New(0)
			dry, err := p.metered(counts).collector(gc.Options{Grace: -1}).Collect(t.Context(), p.id)
			require.NoError(t, err)
			require.Equal(t, before, p.objects(), "a dry run deletes nothing")
			require.Zero(t, counts.Count().Swap+counts.Count().Delete, "and changes nothing")
			require.Equal(t, test.lost, dry.Lost.Objects)
			require.Equal(t, test.pending, dry.Pending.Objects+dry.Ahead.Objects)

			r, err := p.collect()
			require.NoError(t, err)
			require.Equal(t, test.lost+test.pending, r.Deleted.Objects)
			require.Equal(t, test.pending > 0, r.Fenced)
			require.EqualValues(t, len(before), r.Seen.Objects)
			require.Equal(t, own.texts(), p.requireWhole(true).texts())
			again, err := p.collect()
			require.NoError(t, err)
			require.Equal(t, gc.Report{AggregateID: p.id, Head: p.head(), Seen: again.Seen}, again)
			p.grow(5)
			p.requireWhole(true)
		})
	}
}

// Each orphan costs its own metadata, its lines, which may have the mark of a commit of
// several aggregates, and a delete. The chain's own object in its range
// costs at most the way down the indexes, and the next object.
func TestOrphansOfPackedChainsCostFewRequests(t *testing.T) {
	const n = 600
	p, _ := mixed(t, 1, 0)
	heads := append([]head.Head{p.head()}, p.pile(n)...)
	for _, test := range []struct {
		at   []int // the number of the object beside which there is an orphan
		stat int
	}{
		{[]int{n - 1}, 1},       // the newest object: the head says it all
		{[]int{n - 2}, 1 + 1},   // and the next object
		{[]int{100}, 1 + 1 + 4}, // and the way
		{[]int{101, 103, 105}, 3*2 + 4},
	} {
		for _, number := range test.at {
			p.spill(heads[number], "orphan")
		}
		counts := meter.New(0)
		r, err := p.metered(counts).collect()
		require.NoError(t, err)
		got := counts.Count()
		require.EqualValues(t, len(test.at), r.Deleted.Objects)
		require.LessOrEqual(t, got.Stat, test.stat, "orphans at %v", test.at)
		got.Stat = 0
		require.Equal(t, meter.Counts{Load: 1, List: 1, Get: len(test.at), Delete: len(test.at)}, got)
	}
	p.requireWhole(true)
}

// A writer whose spill was fenced and deleted puts it again under other names.
func TestFencedSpillsAreBuiltAgain(t *testing.T) {
	p, _ := mixed(t, 1, 3)
	var script faults.Script
	script.On(faults.Swap, 1, faults.Fault{Before: func() {
		r, err := p.collect()
		require.NoError(t, err)
		require.True(t, r.Fenced)
		require.EqualValues(t, 1, r.Deleted.Objects)
	}})
	_, err := p.under(&script).chain().Append(t.Context(), p.head(), draft(strings.Repeat("a", tipSize)))
	require.NoError(t, err)
	require.Equal(t, 2, script.Calls(faults.Put))
	require.Len(t, p.requireWhole(true).changesets, 5)
}

// An object ahead of a rolled-back head, or at a version that the chain has in objects
// meanwhile, keeps everything.
func TestRolledBackPackedHeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, m := mixed(t, 1, 6)
		p.spill(p.head(), "lost")
		kept := p.grow(1)
		record, err := head.EncodeJSON(kept)
		require.NoError(t, err)
		p.grow(9)
		m.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName(p.id)] = record })
		before := p.objects()
		time.Sleep(time.Hour)
		for _, options := range []gc.Options{{}, {Delete: true}, {Grace: -1, Delete: true}} {
			r, err := p.collector(options).Collect(t.Context(), p.id)
			require.ErrorIs(t, err, ropewalk.ErrHeadLost)
			require.Positive(t, r.Ahead.Objects)
			require.Zero(t, r.Deleted)
			require.False(t, r.Fenced)
		}
		require.Equal(t, before, p.objects())
		require.Equal(t, kept.Revision, p.head().Revision)
	})
}

// An object that replaces objects of the chain is off the chain until its swap, and in
// the chain afterwards. The objects that it replaces are lost then.
func TestObjectsThatReplaceObjects(t *testing.T) {
	for name, swapped := range map[string]bool{"swapped in time": true, "fenced": false} {
		t.Run(name, func(t *testing.T) {
			p, _ := mixed(t, 2, 12)
			h := p.flush().Head
			e, _ := h.Index.Latest()
			newest, err := p.changesets.Get(t.Context(), e.Ref(p.id), nil)
			require.NoError(t, err)
			next, o := absorbed(h, newest)
			require.NoError(t, p.changesets.Put(t.Context(), o))
			require.Equal(t, h.Index.Next(), next.Index.Next(), "it ends at the newest object's end")
			texts := p.requireWhole(false).texts()
			var script faults.Script
			if swapped {
				script.On(faults.Swap, 1, faults.Fault{Before: func() { p.swap(h, next) }})
			}
			r, err := p.under(&script).collect()
			require.NoError(t, err)
			require.Equal(t, texts, p.requireWhole(false).texts())
			require.Equal(t, !swapped, r.Fenced)
			_, err = p.collect()
			require.NoError(t, err)
			require.Equal(t, texts, p.requireWhole(true).texts())
		})
	}
}

// Where the chain's own object is missing or uncertain, nothing in its range is touched.
func TestDamageOfPackedChains(t *testing.T) {
	// scene is a mixed chain with an orphan beside objects 3 and 17, and beside a changeset
	// of format 1.
	type scene struct {
		place
		m       *memstore.Store
		own     []changeset.Ref // the chain's own objects of format 2, by their numbers
		old     []changeset.Ref // of format 1
		orphans []changeset.Ref
		at3     head.Head // that the orphan beside object 3 was put for
	}
	p, base := mixed(t, 1, 0)
	whole := scene{place: p, orphans: []changeset.Ref{p.spill(p.head(), "or", "ph", "an").Objects[0].Ref}}
	p.options = nil
	p.grow(4)
	heads := append([]head.Head{p.head()}, p.pile(20)...)
	whole.at3 = heads[3]
	for _, number := range []int{3, 17} {
		whole.orphans = append(whole.orphans, p.spill(heads[number], "orphan").Objects[0].Ref)
	}
	for _, ref := range slices.SortedFunc(maps.Keys(p.requireWhole(false).objects), func(a, b changeset.Ref) int { return int(a.Version) - int(b.Version) }) {
		if ref.IsPacked() {
			whole.own = append(whole.own, ref)
		} else {
			whole.old = append(whole.old, ref)
		}
	}
	remove := func(s scene, ref changeset.Ref) {
		s.m.Tamper(func(c *memstore.Contents) { delete(c.Objects, ref.ObjectName()) })
	}
	spoil := func(s scene, ref changeset.Ref) {
		s.m.Tamper(func(c *memstore.Contents) { c.Objects[ref.ObjectName()].Metadata["digest"] = "x" })
	}
	table := map[string]struct {
		damage  func(s scene)
		kept    []int // of the orphans
		unknown int64
	}{
		"none":                           {func(scene) {}, nil, 0},
		"the orphan does not decode":     {func(s scene) { spoil(s, s.orphans[1]) }, []int{1}, 0},
		"the chain's own is missing":     {func(s scene) { remove(s, s.own[3]) }, []int{1}, 0}, // the orphan is alone
		"the way down is missing":        {func(s scene) { remove(s, s.own[6]) }, []int{0, 1}, 6},
		"the way down is corrupt":        {func(s scene) { spoil(s, s.own[6]) }, []int{0, 1}, 6},
		"the next object is missing":     {func(s scene) { remove(s, s.own[18]) }, []int{2}, 2},
		"the first object is corrupt":    {func(s scene) { spoil(s, s.own[0]) }, []int{0}, 4},
		"the object of format 1 is gone": {func(s scene) { remove(s, s.old[1]) }, []int{0}, 3},
		"the chain's own is missing between two orphans": {func(s scene) {
			s.spill(s.at3, "another orphan")
			remove(s, s.own[3])
		}, []int{1}, 2},
		"an index names the orphan": {func(s scene) {
			forgeObjects(t, s.m, s.own[6], s.own[3], s.orphans[1])
		}, []int{1}, 2},
		"the orphan is the object of another": {func(s scene) {
			s.m.Tamper(func(c *memstore.Contents) { c.Objects[s.orphans[1].ObjectName()] = c.Objects[s.own[9].ObjectName()] })
		}, []int{1}, 0},
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		test := table[name]
		t.Run(name, func(t *testing.T) {
			s := whole
			s.m = base.Clone()
			s.place = place{t, s.m, faults.TwoSteps(s.m), p.id, nil}
			test.damage(s)
			before := s.objects()
			r, err := s.collect()
			require.NoError(t, err)
			left := s.objects()
			for i, orphan := range s.orphans {
				require.Equal(t, slices.Contains(test.kept, i), slices.Contains(left, orphan), "orphan %d", i)
			}
			for _, ref := range before {
				require.True(t, slices.Contains(left, ref) || slices.Contains(s.orphans, ref), "%s is the chain's own", ref)
			}
			require.Equal(t, test.unknown, r.Unknown.Objects, fmt.Sprint(r))
		})
	}
}

// forgeObjects exchanges an object in the index of a stored object.
func forgeObjects(t *testing.T, m *memstore.Store, ref, old, forged changeset.Ref) {
	info, err := m.Stat(t.Context(), ref)
	require.NoError(t, err)
	packed := info.Pack.Index.Packed()
	replaced := strings.Replace(string(packed), string(old.ID[:]), string(forged.ID[:]), 1)
	require.NotEqual(t, string(packed), replaced)
	h := info.Header
	pack := *h.Pack
	h.Pack = &pack
	h.Pack.Index, err = changeset.ParseObjectIndex(pack.Index.Objects(), ref.First(), []byte(replaced))
	require.NoError(t, err)
	metadata, err := changeset.Encode(h, changeset.Hyphenated)
	require.NoError(t, err)
	m.Tamper(func(c *memstore.Contents) { c.Objects[ref.ObjectName()].Metadata = metadata })
}

func TestErasePackedChains(t *testing.T) {
	for _, n := range []struct{ old, packed int }{{0, 2}, {0, 20}, {3, 1}, {3, 20}} {
		p, _ := mixed(t, n.old, n.packed)
		h := p.head()
		p.spill(h, "pending")
		r, err := p.erase()
		require.NoError(t, err)
		require.Empty(t, p.objects())
		stored := p.head()
		require.Equal(t, head.Erased, stored.State)
		require.Equal(t, h.Digest, stored.Digest)
		require.Empty(t, stored.Tip, "the tip goes in the swap that writes the tombstone")
		require.Zero(t, stored.Index)
		require.Equal(t, r.Erased, r.Deleted)
		p.spill(h, "late")
		r, err = p.collect()
		require.NoError(t, err)
		require.EqualValues(t, 1, r.Deleted.Objects)
		_, err = p.chain().Append(t.Context(), h, draft("x"))
		require.ErrorIs(t, err, ropewalk.ErrErased)
		_, err = p.collector(gc.Options{}).Flush(t.Context(), p.id)
		require.ErrorIs(t, err, ropewalk.ErrErased)
	}
}

// TestSettleAfterARestoredHead is the trace in which Settle without the revision calls an
// append refused that was committed and that a restored head no longer reaches: a
// rebuilt head may reach it again.
func TestSettleAfterARestoredHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, m := mixed(t, 1, 1)
		record, err := head.EncodeJSON(p.head())
		require.NoError(t, err)
		first := p.grow(1)
		second := p.grow(1)
		m.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName(p.id)] = record })
		chain := p.chain()
		_, err = chain.Settle(t.Context(), second.Ref, first.Revision)
		require.ErrorAs(t, err, new(*ropewalk.UncertainError), "the head has not reached the revision that it was built on")
		restored := p.head()
		_, err = chain.Settle(t.Context(), first.Ref, restored.Revision)
		require.ErrorAs(t, err, new(*ropewalk.ConflictError), "no swap can commit it after the fence")
		require.Equal(t, restored.Revision+1, p.head().Revision)
		require.Equal(t, restored.Tip, p.head().Tip)
	})
}
