// Package gctest holds tests of package gc that run over any storage.
package gctest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
	"ropewalk/internal/reserved"
)

// Storage is an empty storage of both interfaces. The heads must not put and swap
// in one step: that would leave no orphans.
type Storage struct {
	Changesets gc.Changesets
	Heads      head.Store
}

// Test runs all tests over the storage, one after another.
func Test(t *testing.T, s Storage) {
	t.Run("orphans", func(t *testing.T) { place{t, s, "order/1 é"}.testOrphans() })
	t.Run("fenced writers", func(t *testing.T) { place{t, s, "fenced"}.testFencedWriters() })
	t.Run("erasing", func(t *testing.T) { place{t, s, "order.gone"}.testErasing() })
	t.Run("packed chains", func(t *testing.T) { place{t, s, "packed"}.testPacked() })
	t.Run("all", func(t *testing.T) { place{t, s, ""}.testAll() })
}

// place is one aggregate in the storage.
type place struct {
	*testing.T
	Storage
	id string
}

func (p place) chain() *ropewalk.Chain { return ropewalk.New(p.Changesets, p.Heads, nil).Chain(p.id) }

func (p place) grow(after head.Head) head.Head {
	p.Helper()
	h, err := p.chain().Append(p.Context(), after, changeset.Draft{Content: []byte("committed")})
	require.NoError(p, err)
	return h
}

// orphan puts the objects of an append, and does not swap.
func (p place) orphan(after head.Head, n int) {
	p.Helper()
	drafts := slices.Repeat([]changeset.Draft{{Content: []byte("orphan")}}, n)
	built, _, err := link.Extend(after, p.id, drafts, time.Now())
	require.NoError(p, err)
	for _, c := range built {
		require.NoError(p, p.Changesets.Put(p.Context(), c))
	}
}

func (p place) objects() (n int) {
	p.Helper()
	for _, err := range p.Changesets.Objects(p.Context(), p.id) {
		require.NoError(p, err)
		n++
	}
	return n
}

// kinds counts what a graph shows.
func (p place) kinds() map[inspect.Kind]int {
	p.Helper()
	g, err := inspect.New(p.Changesets, p.Heads, nil).Graph(p.Context(), p.id, 0)
	require.NoError(p, err)
	counts := map[inspect.Kind]int{}
	for _, n := range g.Nodes {
		counts[n.Kind]++
		if n.Kind == inspect.Lost && n.Version <= g.Head.Version {
			require.False(p, n.LostTo.ID.IsZero(), "a fork shows what it was lost to")
		}
	}
	return counts
}

func (p place) collector(options gc.Options) *gc.Collector {
	return gc.New(p.Changesets, p.Heads, &options)
}

// atOnce deletes at any age: no clock decides on what is lost.
var atOnce = gc.Options{Grace: -1, Delete: true}

// testOrphans: a graph shows the lost and the pending orphans. A dry run reports
// them and deletes nothing. Then they are deleted, and nothing else is.
func (p place) testOrphans() {
	var h head.Head
	p.orphan(h, 1)
	for range 20 {
		h = p.grow(h)
	}
	p.orphan(h, 3)
	h = p.grow(h)
	p.orphan(h, 2)
	p.orphan(h, 1)
	require.Equal(p, map[inspect.Kind]int{inspect.Committed: 21, inspect.Lost: 4, inspect.Pending: 3}, p.kinds())

	r, err := p.collector(gc.Options{Delete: true}).Collect(p.Context(), p.id)
	require.NoError(p, err)
	require.Equal(p, gc.Count{Objects: 7, Bytes: 42}, r.Young)
	require.Zero(p, r.Deleted)
	r, err = p.collector(gc.Options{Grace: -1}).Collect(p.Context(), p.id)
	require.NoError(p, err)
	require.EqualValues(p, 4, r.Lost.Objects)
	require.EqualValues(p, 3, r.Pending.Objects)
	require.EqualValues(p, 28, r.Seen.Objects)
	require.Equal(p, 28, p.objects(), "a dry run deletes nothing")

	r, err = p.collector(atOnce).Collect(p.Context(), p.id)
	require.NoError(p, err)
	require.True(p, r.Fenced)
	require.Equal(p, gc.Count{Objects: 7, Bytes: 42}, r.Deleted)
	require.Equal(p, map[inspect.Kind]int{inspect.Committed: 21}, p.kinds())
	report, err := inspect.New(p.Changesets, p.Heads, nil).Verify(p.Context(), p.id)
	require.NoError(p, err)
	require.Empty(p, report.Problems)
	require.Equal(p, 21, report.Committed)
	r, err = p.collector(atOnce).Collect(p.Context(), p.id)
	require.NoError(p, err)
	require.Zero(p, r.Collectable())
}

// testFencedWriters: what was put before the fence is deleted, and its writer,
// whose swap comes after, appends all the same.
func (p place) testFencedWriters() {
	h := p.grow(head.Head{})
	var script faults.Script
	script.On(faults.Swap, 1, faults.Fault{Before: func() {
		r, err := p.collector(atOnce).Collect(p.Context(), p.id)
		require.NoError(p, err)
		require.EqualValues(p, 2, r.Deleted.Objects)
	}})
	under := ropewalk.New(script.Changesets(p.Changesets), script.Heads(p.Heads), nil).Chain(p.id)
	got, err := under.Append(p.Context(), h, changeset.Draft{Content: []byte("a")}, changeset.Draft{Content: []byte("b")})
	require.NoError(p, err)
	require.EqualValues(p, 2, got.Version)
	require.Equal(p, 4, script.Calls(faults.Put), "built again")
	require.Equal(p, map[inspect.Kind]int{inspect.Committed: 3}, p.kinds())
}

// testErasing: all is gone, what comes late too, and every use says so.
func (p place) testErasing() {
	var h head.Head
	for range 5 {
		h = p.grow(h)
	}
	p.orphan(h, 2)
	snapshots := place{p.T, p.Storage, reserved.Snapshots(p.id)}
	snapshots.orphan(head.Head{}, 1)
	var script faults.Script
	script.On(faults.Delete, 4, faults.Fault{Kind: faults.Dropped})
	under := gc.New(script.Changesets(p.Changesets).(gc.Changesets), script.Heads(p.Heads), nil)
	_, err := under.Erase(p.Context(), p.id)
	require.ErrorIs(p, err, faults.ErrInjected)
	_, err = p.chain().Append(p.Context(), h, changeset.Draft{})
	require.ErrorIs(p, err, ropewalk.ErrErased, "half-way it is erased already")
	_, err = under.Erase(p.Context(), p.id)
	require.NoError(p, err)
	require.Zero(p, p.objects()+snapshots.objects())

	stored, err := p.Heads.Load(p.Context(), p.id)
	require.NoError(p, err)
	require.Equal(p, head.Erased, stored.State)
	require.Equal(p, h.Digest, stored.Digest)
	p.orphan(head.Head{}, 1)
	snapshots.orphan(head.Head{}, 1)
	r, err := p.collector(gc.Options{Delete: true}).Collect(p.Context(), p.id)
	require.NoError(p, err)
	require.EqualValues(p, 2, r.Deleted.Objects, "young or not")
	require.Zero(p, p.objects()+snapshots.objects())
	snapshots.orphan(head.Head{}, 1) // which testAll finds
}

// packed returns the chain with appends to a packed chain, and a tip of few changesets.
func (p place) packed() *ropewalk.Chain {
	return ropewalk.New(p.Changesets, p.Heads, &ropewalk.Options{Packed: true, TipSize: 500}).Chain(p.id)
}

// spill puts the objects of an append to a packed chain, and does not swap.
func (p place) spill(after head.Head, n int) {
	p.Helper()
	drafts := slices.Repeat([]changeset.Draft{{Content: []byte("orphan")}}, n)
	built, err := link.Build(after, p.id, [][]body.Draft{body.Drafts(drafts, false)}, time.Now(), link.Layout{Packed: true})
	require.NoError(p, err)
	for _, o := range built.Objects {
		require.NoError(p, p.Changesets.Put(p.Context(), o))
	}
}

// testPacked: in a chain that begins in format 1, orphans of all lengths are deleted, and
// nothing else is. A flush moves the tip, and an erasure removes tip and objects.
func (p place) testPacked() {
	h := p.grow(p.grow(head.Head{}))
	p.spill(h, 4)
	h = p.grow(h)
	for i := range 25 {
		if i%4 == 0 {
			p.spill(h, i+1)
		}
		var err error
		h, err = p.packed().Append(p.Context(), h, changeset.Draft{Content: []byte("committed")})
		require.NoError(p, err)
	}
	p.spill(h, 1)
	r, err := p.collector(atOnce).Collect(p.Context(), p.id)
	require.NoError(p, err)
	require.True(p, r.Fenced)
	require.EqualValues(p, 9, r.Deleted.Objects)
	f, err := p.collector(gc.Options{}).Flush(p.Context(), p.id)
	require.NoError(p, err)
	require.Positive(p, f.Changesets)
	require.Empty(p, f.Head.Tip)
	r, err = p.collector(atOnce).Collect(p.Context(), p.id)
	require.NoError(p, err)
	require.Zero(p, r.Collectable())
	report, err := inspect.New(p.Changesets, p.Heads, nil).Verify(p.Context(), p.id)
	require.NoError(p, err)
	require.Empty(p, report.Problems)
	require.Equal(p, 28, report.Committed)

	_, err = p.packed().Append(p.Context(), f.Head, changeset.Draft{Content: []byte("into the tip")})
	require.NoError(p, err)
	_, err = p.collector(gc.Options{}).Erase(p.Context(), p.id)
	require.NoError(p, err)
	stored, err := p.Heads.Load(p.Context(), p.id)
	require.NoError(p, err)
	require.Equal(p, head.Erased, stored.State)
	require.Empty(p, stored.Tip)
	require.Zero(p, p.objects())
}

// testAll runs after the others, and finds what they have left.
func (p place) testAll() {
	place{p.T, p.Storage, "headless"}.orphan(head.Head{}, 1)
	collected := func(after string) map[string]int64 {
		deleted := map[string]int64{}
		for r, err := range p.collector(atOnce).CollectAll(p.Context(), after) {
			require.NoError(p, errors.Join(err, r.Err))
			require.NotContains(p, deleted, r.AggregateID)
			deleted[r.AggregateID] = r.Deleted.Objects
		}
		return deleted
	}
	require.Equal(p, map[string]int64{"fenced": 0, "headless": 0, "order/1 é": 0, "order.gone": 1}, collected(""))
	require.Equal(p, map[string]int64{"headless": 0, "order/1 é": 0}, collected("fenced"))
}
