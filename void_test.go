package ropewalk_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/chaintest"
	"ropewalk/internal/link"
)

// voided returns a memory in which a chain that does not exist was fenced twice.
func voided(t *testing.T, aggregateID string) (*memstore.Store, head.Head) {
	db := memstore.New()
	h, err := db.Swap(t.Context(), head.Head{}, link.Void(aggregateID))
	require.NoError(t, err)
	h, err = db.Swap(t.Context(), h, link.Fence(h))
	require.NoError(t, err)
	return db, h
}

// A void head is never damage, and never an empty chain with a version.
func TestAVoidHeadIsNotFound(t *testing.T) {
	db, void := voided(t, "order-1")
	store := ropewalk.New(db, db, nil)
	chain := store.Chain("order-1")
	got, err := chain.Head(t.Context())
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
	require.Equal(t, void, got)
	for _, seen := range []head.Head{{}, void} {
		got, err = chain.Refresh(t.Context(), seen)
		require.ErrorIs(t, err, ropewalk.ErrNotFound)
		require.Equal(t, void, got)
	}
	_, err = chain.Refresh(t.Context(), link.Fence(void))
	require.ErrorIs(t, err, ropewalk.ErrHeadLost)
	_, err = chain.Refresh(t.Context(), link.Void("order-2"))
	require.EqualError(t, err, `the head belongs to "order-2", not to "order-1"`)
	_, err = chain.HeadAt(t.Context(), 0)
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
	_, err = chain.HeadOf(t.Context(), changeset.Ref{AggregateID: "order-1", ID: changeset.NewID()})
	require.ErrorIs(t, err, ropewalk.ErrNotFound)

	r, err := chain.Reader(t.Context())
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
	require.False(t, r.Head().Exists())
	for _, r := range []*ropewalk.Reader{r, chain.ReaderAt(void)} {
		all, err := ropewalk.Collect(r.All(t.Context()))
		require.NoError(t, err)
		require.Empty(t, all)
		all, err = ropewalk.Collect(r.Since(t.Context(), void))
		require.NoError(t, err)
		require.Empty(t, all)
		_, err = r.At(t.Context(), 0)
		require.ErrorIs(t, err, ropewalk.ErrNotFound)
	}
	_, err = chain.ReaderAt(link.Void("order-2")).At(t.Context(), 0)
	require.EqualError(t, err, `the head belongs to "order-2", not to "order-1"`)

	_, err = store.Chain("order-2").Create(t.Context(), chaintest.Draft("a"))
	require.NoError(t, err)
	heads, err := ropewalk.Collect(store.Heads(t.Context(), ""))
	require.NoError(t, err)
	require.Len(t, heads, 1, "no void head")
	require.Equal(t, "order-2", heads[0].AggregateID)
}

// A writer that expects that the chain does not exist is right: the append is built on the
// void head, in the format of its writer, and is no conflict.
func TestAppendsToAVoidHead(t *testing.T) {
	layouts := map[string]*ropewalk.Options{
		"format 1": nil, "inline": {Packed: true, TipSize: 1 << 16}, "packs": {Packed: true, TipSize: -1},
	}
	draft := chaintest.Draft("a")
	for layout, options := range layouts {
		for name, create := range map[string]func(*ropewalk.Chain, head.Head) error{
			"the zero head": func(c *ropewalk.Chain, _ head.Head) error { _, err := c.Create(t.Context(), draft); return err },
			"the void head": func(c *ropewalk.Chain, void head.Head) error {
				_, err := c.Append(t.Context(), void, draft)
				return err
			},
			"an older void head": func(c *ropewalk.Chain, void head.Head) error {
				void.Revision--
				_, err := c.Append(t.Context(), void, draft)
				return err
			},
			"an update": func(c *ropewalk.Chain, _ head.Head) error {
				calls := 0
				_, err := c.Update(t.Context(), func(_ context.Context, r *ropewalk.Reader) ([]changeset.Draft, error) {
					calls++
					require.False(t, r.Head().Exists())
					return []changeset.Draft{draft}, nil
				})
				require.Equal(t, 1, calls)
				return err
			},
			"an appender": func(c *ropewalk.Chain, _ head.Head) error {
				_, err := c.NewAppender(nil).Append(t.Context(), draft)
				return err
			},
		} {
			for _, combined := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, one step %v", layout, name, combined), func(t *testing.T) {
					db, void := voided(t, "order-1")
					heads := head.Store(db)
					if !combined {
						heads = faults.TwoSteps(db)
					}
					chain := ropewalk.New(db, heads, options).Chain("order-1")
					require.NoError(t, create(chain, void))
					requireBuiltOn(t, chain, void, options != nil)
				})
			}
		}
	}
}

// requireBuiltOn requires that the chain has one changeset, which is built on a void head.
func requireBuiltOn(t *testing.T, chain *ropewalk.Chain, void head.Head, packed bool) {
	r, err := chain.Reader(t.Context())
	require.NoError(t, err)
	require.Equal(t, packed, r.Head().IsPacked())
	require.Equal(t, void.Revision+1, r.Head().Revision)
	all, err := ropewalk.Collect(r.All(t.Context()))
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, void.Revision, all[0].AfterRevision)
	require.Zero(t, all[0].Version)
	_, err = chain.Append(t.Context(), void, chaintest.Draft("b"))
	conflict, ok := errors.AsType[*ropewalk.ConflictError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, r.Head().Ref, conflict.Actual.Ref)
	require.ErrorContains(t, err, "order-1 exists already, at 0")
}

// A head that was lost is never taken for a fence.
func TestVoidHeadsThatShowALoss(t *testing.T) {
	db, void := voided(t, "order-1")
	chain := ropewalk.New(db, faults.TwoSteps(db), nil).Chain("order-1")
	ahead := link.Fence(void)
	_, err := chain.Append(t.Context(), ahead, chaintest.Draft("a"))
	require.ErrorIs(t, err, ropewalk.ErrHeadLost)
	require.ErrorContains(t, err, "it was void, revision 3, and is void, revision 2")
	built, next, err := link.Extend(head.Head{}, "order-1", make([]changeset.Draft, 1), void.UpdatedAt)
	require.NoError(t, err)
	for _, revision := range []uint64{1, 2, 3} {
		next.Revision = revision
		_, err = chain.Append(t.Context(), next, chaintest.Draft("a"))
		require.ErrorIs(t, err, ropewalk.ErrHeadLost, "%s at revision %d", built[0].Ref, revision)
	}
	empty := memstore.New()
	_, err = ropewalk.New(empty, empty, nil).Chain("order-1").Append(t.Context(), void, chaintest.Draft("a"))
	require.ErrorIs(t, err, ropewalk.ErrHeadLost)
	require.ErrorContains(t, err, "it was void, revision 2, and is gone")
}

// voidWorlds runs a test over each form of a store that packs and size of a first append.
func voidWorlds(t *testing.T, test func(*testing.T, *chaintest.World)) {
	for _, size := range []int{1, 3, 20} {
		for _, tip := range []int{64 << 10, 900, -1} {
			t.Run(fmt.Sprintf("%d changesets, tip %d", size, tip), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := inMemory()
					s.Mine = ropewalk.Options{Packed: true, TipSize: tip}
					s.Others = s.Mine
					test(t, chaintest.NewWorld(t, s, chaintest.Situation{Size: size, Combined: tip < 0}))
				})
			})
		}
	}
}

// If there is no head, Settle swaps in a void head: the swap of the append comes too late,
// and the same drafts can be appended again.
func TestSettleRefusesFirstAppends(t *testing.T) {
	voidWorlds(t, func(t *testing.T, w *chaintest.World) {
		told := uncertain(t, w)
		for range 2 {
			_, err := w.Chain.Settle(t.Context(), told.Ref, told.AfterRevision)
			conflict, ok := errors.AsType[*ropewalk.ConflictError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, told.Ref, conflict.Settled)
			require.Equal(t, link.Void("order-1"), conflict.Actual)
			require.EqualError(t, err, "conflict: "+told.Ref.String()+" is refused for good: order-1 has no changesets, and is fenced at revision 1")
			require.Equal(t, 1, w.Script.Calls(faults.Swap), "one fence is enough")
		}
		w.Script.Release()
		require.Zero(t, w.Script.Pending())
		_, ok := w.Committed()
		require.False(t, ok, "its swap came after it was refused")

		_, err := w.Chain.Create(t.Context(), w.Drafts...)
		require.NoError(t, err, "who was refused appends again")
		_, ok = w.Committed()
		require.True(t, ok, "once")
		_, err = w.Chain.Settle(t.Context(), told.Ref, told.AfterRevision)
		require.True(t, chaintest.IsConflict(err), "%v", err)
	})
}

// The winner of a void head that conflicts decides.
func TestSettleWhenTheVoidHeadConflicts(t *testing.T) {
	for name, row := range map[string]struct {
		meanwhile func(*testing.T, *chaintest.World)
		committed bool
	}{
		"another fence":  {func(t *testing.T, w *chaintest.World) { w.Storage.Fence(t) }, false},
		"another append": {func(_ *testing.T, w *chaintest.World) { w.AppendRival() }, false},
		"its own swap":   {func(_ *testing.T, w *chaintest.World) { w.Script.Release() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			voidWorlds(t, func(t *testing.T, w *chaintest.World) {
				told := uncertain(t, w)
				w.Script.On(faults.Swap, 1, faults.Fault{Before: func() { row.meanwhile(t, w) }})
				_, err := w.Chain.Settle(t.Context(), told.Ref, told.AfterRevision)
				require.Equal(t, row.committed, err == nil, "%v", err)
				require.Equal(t, !row.committed, chaintest.IsConflict(err), "%v", err)
				require.Empty(t, w.Script.Unused())
			})
		})
	}
}

// A store of format 1 writes no void head, which older programs cannot read. One that is
// there it fences like any other.
func TestSettleInAStoreOfFormat1(t *testing.T) {
	w := newWorld(t, chaintest.Situation{Size: 1})
	ref := changeset.Ref{AggregateID: "order-1", ID: changeset.NewID()}
	_, err := w.Chain.Settle(t.Context(), ref, 0)
	require.ErrorAs(t, err, new(*ropewalk.UncertainError))
	h, err := w.Storage.Heads.Load(t.Context(), "order-1")
	require.NoError(t, err)
	require.True(t, h.IsZero())

	w.Storage.Fence(t)
	_, err = w.Chain.Settle(t.Context(), ref, 0)
	require.True(t, chaintest.IsConflict(err), "%v", err)
	_, err = w.Chain.Settle(t.Context(), ref, 1)
	conflict, ok := errors.AsType[*ropewalk.ConflictError](err)
	require.True(t, ok, "%v", err)
	require.EqualValues(t, 2, conflict.Actual.Revision)
	require.Equal(t, head.Void, conflict.Actual.State)
	_, err = w.Chain.Settle(t.Context(), ref, 3)
	require.ErrorAs(t, err, new(*ropewalk.UncertainError), "a revision that the void head has not reached")
}
