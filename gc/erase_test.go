package gc_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/reserved"
)

// ended returns a context that has ended.
func ended(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func (p place) erase() (gc.Report, error) {
	return p.collector(gc.Options{}).Erase(p.Context(), p.id)
}

func (p place) snapshots() place { return p.of(reserved.Snapshots(p.id)) }

func TestErase(t *testing.T) {
	p, _ := inMemory(t)
	h := p.grow(3)
	p.orphan(h, "pending")
	p.snapshots().orphan(head.Head{}, "a snapshot")
	p.of("order-10").grow(1)

	r, err := p.erase()
	require.NoError(t, err)
	require.Equal(t, gc.Count{Objects: 5, Bytes: 3*2 + 7 + 10}, r.Deleted)
	require.Equal(t, r.Deleted, r.Erased)
	require.Equal(t, r.Deleted, r.Seen)
	require.Equal(t, head.Erased, r.Head.State)
	require.Empty(t, p.objects())
	require.Empty(t, p.snapshots().objects())
	require.Len(t, p.of("order-10").objects(), 1, "its neighbour")

	tombstone := p.head()
	require.Equal(t, link.Tombstone(h), tombstone)
	_, err = p.chain().Append(t.Context(), h, draft("late"))
	require.ErrorIs(t, err, ropewalk.ErrErased)
	_, err = p.chain().Reader(t.Context())
	require.ErrorIs(t, err, ropewalk.ErrErased)

	require.NotEmpty(t, p.objects(), "what the late append has put")
	dry, err := p.collector(gc.Options{}).Collect(t.Context(), p.id)
	require.NoError(t, err)
	require.EqualValues(t, 1, dry.Erased.Objects)
	require.Zero(t, dry.Deleted)
	r, err = p.erase()
	require.NoError(t, err)
	require.EqualValues(t, 1, r.Deleted.Objects)
	require.Equal(t, tombstone, p.head(), "it stays as it is")
	r, err = p.erase()
	require.NoError(t, err)
	require.Zero(t, r.Seen)
}

func TestEraseWithoutAHead(t *testing.T) {
	p, _ := inMemory(t)
	_, err := p.erase()
	require.ErrorIs(t, err, changeset.ErrNotFound)
	require.EqualError(t, err, `erase "order-1": not found`)
	refs := p.orphan(head.Head{}, "first")
	_, err = p.erase()
	require.ErrorIs(t, err, changeset.ErrNotFound)
	require.ErrorContains(t, err, "rebuild its head")
	require.Equal(t, refs, p.objects())
}

// An erasure races with appends, and wins; objects that they put in the meantime
// are found.
func TestEraseWhileOthersAppend(t *testing.T) {
	p, _ := inMemory(t)
	p.grow(2)
	var script faults.Script
	for i := range 3 {
		script.On(faults.Swap, i+1, faults.Fault{Before: func() { p.grow(1) }})
	}
	script.On(faults.Delete, 4, faults.Fault{After: func() {
		_, err := p.chain().Append(t.Context(), link.Next(p.head(), changeset.Header{}), draft("x"))
		require.Error(t, err)
		p.snapshots().orphan(head.Head{}, "late")
	}})
	r, err := p.under(&script).erase()
	require.NoError(t, err)
	require.EqualValues(t, 4, r.Head.Version)
	require.Empty(t, p.objects())
	require.Empty(t, p.snapshots().objects())
}

// If objects keep coming, an erasure ends and says so.
func TestEraseIsBounded(t *testing.T) {
	p, _ := inMemory(t)
	h := p.grow(1)
	var script faults.Script
	script.Every(faults.Delete, faults.Fault{After: func() { p.orphan(h, "again") }})
	r, err := p.under(&script).erase()
	require.ErrorContains(t, err, "repeat it")
	require.EqualValues(t, 10, r.Deleted.Objects)
	_, err = p.erase()
	require.NoError(t, err)
}

// Snapshots that are written when all else of an erased aggregate is gone are
// found by its head alone.
func TestSnapshotsThatComeLate(t *testing.T) {
	p, _ := inMemory(t)
	for _, id := range []string{"a", "b", "c", "d"} {
		p.of(id).grow(1)
		p.of(id).snapshots().orphan(head.Head{}, "early")
	}
	for _, id := range []string{"b", "c", "d"} {
		_, err := p.of(id).erase()
		require.NoError(t, err)
	}
	p.of("b").snapshots().orphan(head.Head{}, "late")
	p.of("d").snapshots().orphan(head.Head{}, "late")
	p.of("d").orphan(head.Head{}, "late")
	for _, options := range []gc.Options{{}, {Delete: true}} {
		objects := map[string]int64{}
		for r, err := range p.collector(options).CollectAll(t.Context(), "") {
			require.NoError(t, err)
			require.NoError(t, r.Err)
			require.NotContains(t, objects, r.AggregateID)
			objects[r.AggregateID] = r.Erased.Objects
		}
		require.Equal(t, map[string]int64{"a": 0, "b": 1, "d": 2}, objects)
	}
	require.Empty(t, p.of("b").snapshots().objects())
	require.Len(t, p.of("a").snapshots().objects(), 1)
}

func TestSwapsThatNeverSucceed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, f := range []faults.Fault{{Kind: faults.Dropped}, {Kind: faults.Refused, Retryable: true}, {Kind: faults.Refused}} {
			p, _ := inMemory(t)
			refs := p.orphan(p.grow(1), "pending")
			var script faults.Script
			script.Every(faults.Swap, f)
			faulty := p.under(&script)
			_, err := faulty.erase()
			require.ErrorIs(t, err, faults.ErrInjected)
			r, err := faulty.collect()
			require.ErrorIs(t, err, faults.ErrInjected)
			require.Zero(t, r.Deleted)
			require.Contains(t, p.objects(), refs[0])
			require.Equal(t, head.Live, p.head().State)
		}
	})
}
