package ropewalk_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/internal/chaintest"
)

// Every request of a Settle goes wrong in every way, before and after it takes
// effect, while the append's own swap is late and a rival may come.
func TestSettleUnderFaults(t *testing.T) {
	for _, op := range []faults.Op{faults.Load, faults.Stat, faults.Swap} {
		for _, f := range chaintest.Faults(op, time.Second) {
			for bits := range 32 {
				combined, rival, arrives, packed, existing := bits&1 > 0, bits&2 > 0, bits&4 > 0, bits&8 > 0, bits>>4*2
				synctest.Test(t, func(t *testing.T) {
					storage := inMemory()
					if packed {
						storage = packedInMemory()
					}
					w := chaintest.NewWorld(t, storage, chaintest.Situation{Existing: existing, Size: 3, Combined: combined})
					told := uncertain(t, w)
					f.Before, f.After = nil, nil
					if arrives {
						f.Before = w.Script.Release // the append's own swap
					}
					if rival {
						f.After = w.AppendRival
					}
					w.Script.On(op, 1, f)
					requireFinal(t, w, told)
				})
			}
		}
	}
}

// requireFinal requires that what Settle says is true, now and later.
func requireFinal(t *testing.T, w *chaintest.World, told *ropewalk.UncertainError) {
	t.Helper()
	ctx, cancel := contextFor(t)
	defer cancel()
	start := time.Now()
	_, err := w.Chain.Settle(ctx, told.Ref, told.AfterRevision)
	require.LessOrEqual(t, time.Since(start), 10*time.Second)
	w.Script.Reset()
	w.Script.Release()
	time.Sleep(2 * time.Hour)
	_, ok := w.Committed()
	switch {
	case err == nil:
		require.True(t, ok)
	case chaintest.IsConflict(err):
		require.False(t, ok, "it was refused for good")
	default:
		require.ErrorAs(t, err, new(*ropewalk.UncertainError))
		w.RequireSettled(told)
	}
}

// The winner of a fence that conflicts decides.
func TestSettleWhenTheFenceConflicts(t *testing.T) {
	for name, row := range map[string]struct {
		meanwhile func(*testing.T, *chaintest.World)
		committed bool
	}{
		"another fence":  {func(t *testing.T, w *chaintest.World) { w.Storage.Fence(t) }, false},
		"another append": {func(_ *testing.T, w *chaintest.World) { w.AppendRival() }, false},
		"its own swap":   {func(_ *testing.T, w *chaintest.World) { w.Script.Release() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			settleWorlds(t, 2, func(t *testing.T, w *chaintest.World) {
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

// A fence that is refused is refused at once; one that is throttled is sent
// again; one whose outcome stays unknown leaves the append uncertain.
func TestSettleThatCannotFence(t *testing.T) {
	cause := errors.New("cause")
	for name, row := range map[string]struct {
		fault   faults.Fault
		timeout time.Duration
		took    time.Duration
	}{
		"denied":              {faults.Fault{Kind: faults.Refused, Err: cause}, time.Hour, 0},
		"throttled":           {faults.Fault{Kind: faults.Refused, Retryable: true, Err: cause}, time.Hour, 10 * time.Second},
		"no answer":           {faults.Fault{Kind: faults.HangBefore, Err: cause}, time.Hour, 10 * time.Second},
		"the context is over": {faults.Fault{Kind: faults.HangBefore, Err: cause}, time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			settleWorlds(t, 2, func(t *testing.T, w *chaintest.World) {
				told := uncertain(t, w)
				w.Script.Every(faults.Swap, row.fault)
				ctx, cancel := context.WithTimeout(t.Context(), row.timeout)
				defer cancel()
				start := time.Now()
				_, err := w.Chain.Settle(ctx, told.Ref, told.AfterRevision)
				still, ok := errors.AsType[*ropewalk.UncertainError](err)
				require.True(t, ok, "%v", err)
				require.Equal(t, told.Ref, still.Ref)
				require.Equal(t, told.AfterRevision, still.AfterRevision)
				require.ErrorIs(t, err, cause)
				require.Equal(t, row.took, time.Since(start))
				require.Equal(t, ctx.Err() != nil, row.timeout < time.Hour)
			})
		})
	}
}

func TestSettleWithoutStorage(t *testing.T) {
	w := newWorld(t, chaintest.Situation{Existing: 2, Size: 1})
	cause := errors.New("cause")
	w.Script.Every(faults.Load, faults.Fault{Kind: faults.Dropped, Err: cause})
	ref := changeset.Ref{AggregateID: "order-1", Version: 2, ID: changeset.NewID()}
	_, err := w.Chain.Settle(t.Context(), ref, w.Before.Revision)
	require.ErrorAs(t, err, new(*ropewalk.UncertainError))
	require.ErrorIs(t, err, cause)
}
