package ropewalk_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/chaintest"
)

// uncertain makes an uncertain append, and returns its error. Its first
// swap is late: it arrives when the script is released. It runs in a bubble.
func uncertain(t *testing.T, w *chaintest.World) *ropewalk.UncertainError {
	w.Script.Every(faults.Swap, faults.Fault{Kind: faults.Dropped})
	w.Script.On(faults.Swap, 1, faults.Fault{Kind: faults.Late})
	_, err := w.Chain.Append(t.Context(), w.Before, w.Drafts...)
	require.Empty(t, w.Script.Unused())
	w.Script.Reset()
	told, ok := errors.AsType[*ropewalk.UncertainError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, w.Before.Revision, told.AfterRevision)
	_, committed := w.Committed()
	require.False(t, committed)
	return told
}

// settleWorlds runs a test over each form of a store and size of an append,
// after so many appends.
func settleWorlds(t *testing.T, existing int, test func(*testing.T, *chaintest.World)) {
	for _, size := range []int{1, 3, 20} {
		for _, combined := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d changesets, one step %v", size, combined), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					test(t, newWorld(t, chaintest.Situation{Existing: existing, Size: size, Combined: combined}))
				})
			})
		}
	}
}

func requireRefused(t *testing.T, w *chaintest.World, told *ropewalk.UncertainError) {
	t.Helper()
	_, err := w.Chain.Settle(t.Context(), told.Ref, told.AfterRevision)
	conflict, ok := errors.AsType[*ropewalk.ConflictError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, told.Ref, conflict.Settled)
	now, err := w.Storage.Direct().Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, now, conflict.Actual)
	require.Greater(t, now.Revision, told.AfterRevision)
}

// Its swap may still come, and its object may not even be stored: settling
// fences the head and refuses it, and then the swap comes too late.
func TestSettleRefusesWhatIsPending(t *testing.T) {
	settleWorlds(t, 2, func(t *testing.T, w *chaintest.World) {
		told := uncertain(t, w)
		requireRefused(t, w, told)
		w.Script.Release()
		require.Zero(t, w.Script.Pending())
		_, ok := w.Committed()
		require.False(t, ok, "its swap came after it was refused")
		requireRefused(t, w, told)
		require.Equal(t, 1, w.Script.Calls(faults.Swap), "one fence is enough")

		h, err := w.Storage.Direct().Head(t.Context())
		require.NoError(t, err)
		require.Equal(t, w.Before.Ref, h.Ref)
		_, err = w.Chain.Append(t.Context(), h, w.Drafts...)
		require.NoError(t, err, "who was refused appends again")
		_, ok = w.Committed()
		require.True(t, ok, "once")
		requireRefused(t, w, told)
	})
}

func TestSettleFindsWhatIsCommitted(t *testing.T) {
	for _, others := range []int{0, 1, 40} {
		settleWorlds(t, 2, func(t *testing.T, w *chaintest.World) {
			told := uncertain(t, w)
			w.Script.Release()
			for range others {
				w.AppendRival()
			}
			for range 2 {
				h, err := w.Chain.Settle(t.Context(), told.Ref, told.AfterRevision)
				require.NoError(t, err)
				require.Equal(t, told.Ref, h.Ref, "the head of this append")
			}
			require.Zero(t, w.Script.Calls(faults.Swap), "it swaps nothing")
			_, ok := w.Committed()
			require.True(t, ok)
		})
	}
}

// A changeset in the middle of an append is settled like the last one.
func TestSettleAPart(t *testing.T) {
	for _, committed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, chaintest.Situation{Existing: 2, Size: 3})
			told := uncertain(t, w)
			if committed {
				w.Script.Release()
			}
			for o, err := range db(w).Objects(t.Context(), "order-1") {
				require.NoError(t, err)
				if o.Ref.Version <= w.Before.Version {
					continue
				}
				h, err := w.Chain.Settle(t.Context(), o.Ref, told.AfterRevision)
				require.Equal(t, committed, err == nil)
				require.Equal(t, !committed, chaintest.IsConflict(err))
				if committed {
					require.Equal(t, told.Ref, h.Ref, "the head of its append")
				}
			}
		})
	}
}

// Where there is no head, nothing can be fenced: the next append decides.
func TestSettleWithoutAHead(t *testing.T) {
	for name, next := range map[string]func(w *chaintest.World){
		"a rival is first":   func(w *chaintest.World) { w.AppendRival() },
		"its own swap comes": func(w *chaintest.World) { w.Script.Release() },
	} {
		t.Run(name, func(t *testing.T) {
			settleWorlds(t, 0, func(t *testing.T, w *chaintest.World) {
				told := uncertain(t, w)
				_, err := w.Chain.Settle(t.Context(), told.Ref, told.AfterRevision)
				require.ErrorAs(t, err, new(*ropewalk.UncertainError))
				next(w)
				settled := w.RequireSettled(told)
				require.NotEqual(t, chaintest.Unknown, settled)
				w.Script.Release()
				require.Equal(t, settled, w.RequireSettled(told))
			})
		})
	}
}

// A revision that the head has not reached: an append that another one goes
// before, or the head was lost.
func TestSettleAheadOfTheHead(t *testing.T) {
	for _, existing := range []int{0, 2} {
		w := newWorld(t, chaintest.Situation{Existing: existing, Size: 1})
		ref := changeset.Ref{AggregateID: "order-1", Version: 7, ID: changeset.NewID()}
		_, err := w.Chain.Settle(t.Context(), ref, w.Before.Revision+1)
		told, ok := errors.AsType[*ropewalk.UncertainError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, ref, told.Ref)
		require.Equal(t, w.Before.Revision+1, told.AfterRevision)
		require.Zero(t, w.Script.Calls(faults.Swap))
	}
}

// Bystanders settle whatever a listing shows, at the worst moment: when all is
// put and the swap is about to be sent. Writers build their appends again, and
// each is committed once.
func TestBystandersSettleWhateverTheySee(t *testing.T) {
	var refused map[changeset.Ref]bool
	settleAll := func(t *testing.T, w *chaintest.World) {
		for o, err := range db(w).Objects(context.WithoutCancel(t.Context()), "order-1") {
			require.NoError(t, err)
			info, err := db(w).Stat(t.Context(), o.Ref)
			require.NoError(t, err)
			_, err = w.Storage.Direct().Settle(t.Context(), info.Ref, info.AfterRevision)
			require.True(t, err == nil || chaintest.IsConflict(err), "%v", err)
			require.False(t, err == nil && refused[o.Ref], "%s was refused for good", o.Ref)
			refused[o.Ref] = err != nil
		}
	}
	for _, swaps := range [][]int{{1}, {1, 2, 3}, {2, 4}} {
		for _, kind := range []faults.Kind{faults.None, faults.Lost, faults.Dropped, faults.Late} {
			for _, appender := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, chaintest.Situation{Existing: 2, Size: 3})
					refused = map[changeset.Ref]bool{}
					for _, n := range swaps {
						w.Script.On(faults.Swap, n, faults.Fault{Kind: kind, Before: func() { settleAll(t, w) }})
					}
					var got changeset.Ref
					var err error
					if appender {
						var made []changeset.Header
						made, err = w.Chain.NewAppender(nil).Append(t.Context(), w.Drafts...)
						require.NoError(t, err)
						got = made[len(made)-1].Ref
					} else {
						var h head.Head
						h, err = w.Chain.Append(t.Context(), w.Before, w.Drafts...)
						require.NoError(t, err)
						got = h.Ref
					}
					w.Script.Release()
					last, ok := w.Committed()
					require.True(t, ok)
					require.Equal(t, last, got)
					settleAll(t, w)
				})
			}
		}
	}
}

// A bystander sees a part of an append whose other objects are still on their way.
func TestSettleWhatIsNotAllStored(t *testing.T) {
	for part := range 3 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, chaintest.Situation{Existing: 2, Size: 3})
			w.Script.On(faults.Put, part+1, faults.Fault{DelayBefore: time.Hour})
			done := make(chan error)
			var got head.Head
			go func() {
				var err error
				got, err = w.Chain.Append(t.Context(), w.Before, w.Drafts...)
				done <- err
			}()
			synctest.Wait() // two of three objects are there
			var ref changeset.Ref
			for o, err := range db(w).Objects(t.Context(), "order-1") {
				require.NoError(t, err)
				ref = o.Ref
			}
			_, err := w.Storage.Direct().Settle(t.Context(), ref, w.Before.Revision)
			require.True(t, chaintest.IsConflict(err), "%v", err)
			require.NoError(t, <-done, "its own writer goes on, with new objects")
			last, ok := w.Committed()
			require.True(t, ok)
			require.Equal(t, last, got.Ref)
			require.NotEqual(t, ref, last, "what was refused stays out")
		})
	}
}

// A changeset that was never stored can be settled, too.
func TestSettleOfWhatIsNotThere(t *testing.T) {
	for _, version := range []uint64{0, 1, 2, 9} {
		w := newWorld(t, chaintest.Situation{Existing: 2, Size: 1})
		ref := changeset.Ref{AggregateID: "order-1", Version: version, ID: changeset.NewID()}
		for _, after := range []uint64{0, w.Before.Revision} {
			_, err := w.Chain.Settle(t.Context(), ref, after)
			require.True(t, chaintest.IsConflict(err), "%v", err)
		}
	}
	w := newWorld(t, chaintest.Situation{Existing: 2, Size: 1})
	_, err := w.Chain.Settle(t.Context(), changeset.Ref{AggregateID: "order-2", ID: changeset.NewID()}, 0)
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
	bad := ropewalk.New(w.Storage.Changesets, w.Storage.Heads, nil).Chain("")
	_, err = bad.Settle(t.Context(), changeset.Ref{ID: changeset.NewID()}, 0)
	require.ErrorIs(t, err, ropewalk.ErrInvalidAggregateID)
}

// An append that has failed is never committed, also if another process settles
// its changesets.
func TestFailedIsForGood(t *testing.T) {
	for _, row := range []struct {
		op    faults.Op
		fault faults.Fault
	}{
		{faults.Put, faults.Fault{Kind: faults.Lost}},
		{faults.Put, faults.Fault{Kind: faults.Refused}},
		{faults.Swap, faults.Fault{Kind: faults.Refused}},
		{faults.Swap, faults.Fault{Kind: faults.Refused, Retryable: true}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, chaintest.Situation{Existing: 2, Size: 3})
			w.Script.Every(row.op, row.fault)
			_, err := w.Chain.Append(t.Context(), w.Before, w.Drafts...)
			require.ErrorIs(t, err, faults.ErrInjected)
			require.False(t, chaintest.IsConflict(err))
			w.Script.Reset()
			for o, err := range db(w).Objects(t.Context(), "order-1") {
				require.NoError(t, err)
				info, err := db(w).Stat(t.Context(), o.Ref)
				require.NoError(t, err)
				_, err = w.Chain.Settle(t.Context(), info.Ref, info.AfterRevision)
				require.Equal(t, o.Ref.Version > w.Before.Version, chaintest.IsConflict(err))
			}
			_, ok := w.Committed()
			require.False(t, ok)
		})
	}
}
