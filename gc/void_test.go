package gc_test

import (
	"errors"
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
)

// void fences an aggregate that does not exist.
func (p place) void() head.Head {
	p.Helper()
	h, err := p.heads.Swap(p.Context(), head.Head{}, link.Void(p.id))
	require.NoError(p, err)
	return h
}

func (p place) eraseVoid() (gc.Report, error) {
	return p.collector(gc.Options{Void: true}).Erase(p.Context(), p.id)
}

func (p place) collectVoid() (gc.Report, error) {
	return p.collector(gc.Options{Grace: -1, Delete: true, Void: true}).Collect(p.Context(), p.id)
}

// requireUnborn requires that the aggregate is fenced, and can be created again.
func (p place) requireUnborn(late head.Head) {
	p.Helper()
	h := p.head()
	require.Equal(p, head.Void, h.State)
	require.Empty(p, p.objects())
	_, err := p.heads.Swap(p.Context(), head.Head{}, late)
	var conflict *head.ConflictError
	require.ErrorAs(p, err, &conflict, "an append in flight")
	p.grow(2)
	p.verify()
}

// Below a void head lie the objects of first appends that were refused. Objects that were
// built on it are fenced like any others.
func TestCollectBelowAVoidHead(t *testing.T) {
	p, _ := inMemory(t)
	p.orphan(head.Head{}, "lost", "lost too")
	p.void()
	_, late, err := link.Extend(head.Head{}, p.id, []changeset.Draft{draft("late")}, time.Now())
	require.NoError(t, err)
	r, err := p.collect()
	require.NoError(t, err)
	require.Equal(t, head.Void, r.Head.State)
	require.EqualValues(t, 2, r.Lost.Objects)
	require.EqualValues(t, 2, r.Deleted.Objects)
	require.False(t, r.Fenced)

	p.orphan(p.head(), "pending")
	r, err = p.collect()
	require.NoError(t, err)
	require.EqualValues(t, 1, r.Deleted.Objects)
	require.True(t, r.Fenced)
	require.EqualValues(t, 2, r.Head.Revision)
	r, err = p.collect()
	require.NoError(t, err, "a void head without objects is no error")
	require.Zero(t, r.Seen)
	p.requireUnborn(late)
}

// Objects above a void head show that a head was lost. Nothing is deleted.
func TestCollectAboveAVoidHead(t *testing.T) {
	for name, options := range map[string]gc.Options{"collect": {}, "void": {Void: true}} {
		for _, void := range []bool{false, true} {
			if !void && !options.Void {
				continue // it is left alone in any case
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, db := inMemory(t)
					p.grow(3)
					db.Tamper(func(all *memstore.Contents) { clear(all.Heads) })
					if void {
						p.void()
					}
					time.Sleep(2 * time.Hour)
					options.Grace, options.Delete = -1, true
					r, err := p.collector(options).Collect(t.Context(), p.id)
					require.ErrorIs(t, err, ropewalk.ErrHeadLost)
					require.Zero(t, r.Deleted)
					require.Len(t, p.objects(), 3)
				})
			})
		}
	}
}

// With the option, a collection fences an aggregate without a head. Without it, and
// without Delete, nothing is changed.
func TestCollectWithoutAHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := inMemory(t)
		_, late, err := link.Extend(head.Head{}, p.id, []changeset.Draft{draft("late")}, time.Now())
		require.NoError(t, err)
		p.orphan(head.Head{}, "a", "b")
		r, err := p.collect()
		require.NoError(t, err)
		require.Zero(t, r.Collectable())
		r, err = p.collector(gc.Options{Grace: -1, Void: true}).Collect(t.Context(), p.id)
		require.NoError(t, err)
		require.EqualValues(t, 2, r.Pending.Objects)
		r, err = p.collector(gc.Options{Delete: true, Void: true}).Collect(t.Context(), p.id)
		require.NoError(t, err)
		require.EqualValues(t, 2, r.Young.Objects)
		require.Len(t, p.objects(), 2)
		require.Zero(t, p.head())

		r, err = p.collectVoid()
		require.NoError(t, err)
		require.True(t, r.Fenced)
		require.EqualValues(t, 2, r.Deleted.Objects)
		p.requireUnborn(late)
	})
}

// The swap of a first append, or a rival's, comes before the void head.
func TestVoidHeadsRaceWithFirstAppends(t *testing.T) {
	for name, act := range map[string]func(place) (gc.Report, error){"collect": place.collectVoid, "erase": place.eraseVoid} {
		t.Run(name, func(t *testing.T) {
			p, _ := inMemory(t)
			built, own, err := link.Extend(head.Head{}, p.id, []changeset.Draft{draft("own")}, time.Now())
			require.NoError(t, err)
			require.NoError(t, p.changesets.Put(t.Context(), built[0]))
			p.orphan(head.Head{}, "other")
			var script faults.Script
			script.On(faults.Swap, 1, faults.Fault{Before: func() {
				_, err := p.heads.Swap(t.Context(), head.Head{}, own)
				require.NoError(t, err)
			}})
			r, err := act(p.under(&script))
			require.NoError(t, err)
			if name == "erase" {
				require.Equal(t, link.Tombstone(own), p.head(), "what was committed is erased for good")
				require.Empty(t, p.objects())
				require.EqualValues(t, 2, r.Deleted.Objects)
				require.Equal(t, r.Seen, r.Erased)
				return
			}
			require.Equal(t, own, p.head())
			require.Equal(t, []changeset.Ref{own.Ref}, p.objects())
			p.verify()
		})
	}
}

// Where nothing was ever committed, an erasure deletes the objects, and leaves a void
// head. It may be repeated.
func TestEraseOfWhatWasNeverCommitted(t *testing.T) {
	for _, void := range []bool{false, true} {
		p, _ := inMemory(t)
		built, late, err := link.Extend(head.Head{}, p.id, []changeset.Draft{draft("late")}, time.Now())
		require.NoError(t, err)
		require.NoError(t, p.changesets.Put(t.Context(), built[0]))
		p.snapshots().orphan(head.Head{}, "a snapshot")
		erase := p.eraseVoid
		if void {
			p.orphan(p.void(), "built on it")
			erase = p.erase
		}
		r, err := erase()
		require.NoError(t, err)
		require.Equal(t, head.Void, r.Head.State)
		require.EqualValues(t, len(built)+1, r.Deleted.Objects-int64(r.Head.Revision-1))
		require.Empty(t, p.snapshots().objects())
		for range 2 {
			r, err = erase()
			require.NoError(t, err)
			require.Zero(t, r.Seen)
			require.Zero(t, r.Deleted)
		}
		p.requireUnborn(late)
	}
	p, _ := inMemory(t)
	_, err := p.eraseVoid()
	require.ErrorIs(t, err, changeset.ErrNotFound)
	require.Zero(t, p.head())
}

// Objects that were built on a head show that it was lost: nothing is deleted, however
// young they are. What does not decode is left, and said.
func TestEraseOfALostHead(t *testing.T) {
	p, db := inMemory(t)
	p.grow(2)
	db.Tamper(func(all *memstore.Contents) { clear(all.Heads) })
	_, err := p.eraseVoid()
	require.ErrorIs(t, err, ropewalk.ErrHeadLost)
	require.ErrorContains(t, err, "rebuild-head")
	require.Len(t, p.objects(), 2)
	require.Zero(t, p.head())

	p, db = inMemory(t)
	ref := p.orphan(head.Head{}, "damaged")[0]
	p.orphan(head.Head{}, "other")
	db.Tamper(func(c *memstore.Contents) { c.Objects[ref.ObjectName()].Metadata["digest"] = "x" })
	r, err := p.eraseVoid()
	require.ErrorContains(t, err, "does not decode")
	require.EqualValues(t, 1, r.Deleted.Objects)
	require.Equal(t, []changeset.Ref{ref}, p.objects())
}

// An erasure whose void head gets no reply, or whose deletes fail, is finished by the next.
func TestEraseWithAVoidHeadUnderFaults(t *testing.T) {
	for _, op := range []faults.Op{faults.Load, faults.Swap, faults.Stat, faults.Delete} {
		for _, kind := range []faults.Kind{faults.Dropped, faults.Lost, faults.Refused} {
			synctest.Test(t, func(t *testing.T) {
				p, _ := inMemory(t)
				p.orphan(head.Head{}, "a", "b")
				var script faults.Script
				script.On(op, 1, faults.Fault{Kind: kind})
				_, err := p.under(&script).eraseVoid()
				require.True(t, err == nil || errors.Is(err, faults.ErrInjected), "%v", err)
				_, err = p.eraseVoid()
				require.NoError(t, err)
				require.Empty(t, p.objects())
				require.Equal(t, head.Void, p.head().State)
			})
		}
	}
}
