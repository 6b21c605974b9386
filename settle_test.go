package ropewalk_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/faults"
)

// pending leaves an uncertain append behind whose swap never arrived, and
// returns its reference. It runs in a bubble.
func pending(t *testing.T, w *world) changeset.Ref {
	w.script.Every(faults.Swap, faults.Fault{Kind: faults.Dropped})
	_, err := w.chain.Append(t.Context(), w.before, w.drafts...)
	w.script.Reset()
	var uncertain *ropewalk.UncertainError
	require.ErrorAs(t, err, &uncertain)
	_, ok := w.committed()
	require.False(t, ok)
	return uncertain.Ref
}

func settleWorlds(t *testing.T, test func(*testing.T, *world)) {
	for _, s := range []situation{{size: 1}, {size: 3}, {existing: 2, size: 1}, {existing: 2, size: 20}} {
		synctest.Test(t, func(t *testing.T) { test(t, newWorld(t, s)) })
	}
}

func TestSettleCommitsWhatIsPending(t *testing.T) {
	settleWorlds(t, func(t *testing.T, w *world) {
		ref := pending(t, w)
		h, err := w.direct.Settle(t.Context(), ref)
		require.NoError(t, err)
		require.Equal(t, ref, h.Ref)
		last, ok := w.committed()
		require.True(t, ok)
		require.Equal(t, ref, last)

		next, err := w.direct.Append(t.Context(), h, draft("next"))
		require.NoError(t, err, "the head of a settled append can be appended to")
		again, err := w.direct.Settle(t.Context(), ref)
		require.NoError(t, err, "and settling again, after others, says the same")
		require.Equal(t, ref, again.Ref)
		require.Equal(t, next.Version, again.Version+1)
	})
}

func TestSettleRefusesWhatLost(t *testing.T) {
	settleWorlds(t, func(t *testing.T, w *world) {
		ref := pending(t, w)
		w.appendRival()
		for range 2 {
			_, err := w.direct.Settle(t.Context(), ref)
			var conflict *ropewalk.ConflictError
			require.ErrorAs(t, err, &conflict)
			require.Equal(t, w.before.Version, conflict.Expected.Version)
			require.Equal(t, w.before.Exists(), conflict.Expected.Exists())
			w.appendRival()
		}
	})
}

func TestSettleRefusesWhatIsFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, situation{existing: 2, size: 3})
		ref := pending(t, w)
		_, err := w.db.Swap(t.Context(), w.before, w.before.Fence())
		require.NoError(t, err)
		_, err = w.direct.Settle(t.Context(), ref)
		require.ErrorAs(t, err, new(*ropewalk.ConflictError))
		_, ok := w.committed()
		require.False(t, ok)
	})
}

func TestSettleFencedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, situation{existing: 2, size: 1})
		ref := pending(t, w)
		w.script.Next(faults.Swap, faults.Fault{Before: func() {
			_, err := w.db.Swap(t.Context(), w.before, w.before.Fence())
			require.NoError(t, err)
		}})
		_, err := w.chain.Settle(t.Context(), ref)
		require.ErrorAs(t, err, new(*ropewalk.ConflictError))
	})
}

// An append whose objects are not all there cannot be finished by another
// process, and may still be by its own: settling shuts it out.
func TestSettleShutsOutWhatIsIncomplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, situation{existing: 2, size: 3})
		w.script.On(faults.Put, 2, faults.Fault{DelayBefore: time.Hour})
		done := make(chan error)
		var got head.Head
		go func() {
			var err error
			got, err = w.chain.Append(t.Context(), w.before, w.drafts...)
			done <- err
		}()
		synctest.Wait() // two of three objects are there
		var ref changeset.Ref
		for o, err := range w.db.Objects(t.Context(), "order-1") {
			require.NoError(t, err)
			ref = o.Ref
		}
		info, err := w.db.Stat(t.Context(), ref)
		require.NoError(t, err)
		if !info.Part.Last() { // the delayed one is the last: there is nothing to settle yet
			_, err = w.direct.Settle(t.Context(), ref)
			require.ErrorContains(t, err, "settle the last one")
		} else {
			_, err = w.direct.Settle(t.Context(), ref)
			require.ErrorAs(t, err, new(*ropewalk.ConflictError))
		}
		require.NoError(t, <-done, "its own writer goes on, with new objects if need be")
		last, ok := w.committed()
		require.True(t, ok)
		require.Equal(t, last, got.Ref)
		if info.Part.Last() {
			require.NotEqual(t, ref, last, "what was refused stays out")
		}
	})
}

func TestSettleUnderFaults(t *testing.T) {
	for _, op := range []faults.Op{faults.Load, faults.Stat, faults.Swap} {
		for _, f := range faultsOf(op) {
			for _, rival := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, situation{existing: 2, size: 3})
					ref := pending(t, w)
					if rival {
						f.After = w.appendRival
					}
					w.script.On(op, 1, f)
					ctx, cancel := contextFor(t)
					defer cancel()
					_, err := w.chain.Settle(ctx, ref)
					w.script.Reset()
					w.script.Release()
					time.Sleep(2 * time.Hour)
					_, ok := w.committed()
					switch {
					case err == nil:
						require.True(t, ok)
					case isConflict(err):
						require.False(t, ok)
					default:
						w.requireSettled(&ropewalk.UncertainError{Ref: ref, Err: err})
					}
				})
			}
		}
	}
}

func TestSettleOfWhatIsNotThere(t *testing.T) {
	w := newWorld(t, situation{existing: 2, size: 1})
	for _, version := range []uint64{1, 2, 9} {
		ref := changeset.Ref{AggregateID: "order-1", Version: version, ID: changeset.NewID()}
		_, err := w.chain.Settle(t.Context(), ref)
		if version <= w.before.Version {
			require.ErrorAs(t, err, new(*ropewalk.ConflictError), "another one is there, for good")
		} else {
			require.ErrorIs(t, err, ropewalk.ErrNotFound)
		}
	}
	_, err := w.chain.Settle(t.Context(), changeset.Ref{AggregateID: "order-2", ID: changeset.NewID()})
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
}

// An object that was built on a revision which the head has not reached says
// that the head was rolled back, or that its predecessor is still on its way.
func TestSettleAheadOfTheHead(t *testing.T) {
	w := newWorld(t, situation{existing: 2, size: 1})
	h := w.before
	h.Revision += 5
	built, _, err := head.Extend(h, "order-1", []changeset.Draft{draft("ahead")}, time.Now())
	require.NoError(t, err)
	require.NoError(t, w.db.Put(t.Context(), built[0]))
	_, err = w.chain.Settle(t.Context(), built[0].Ref)
	require.ErrorAs(t, err, new(*ropewalk.UncertainError))

	lost := newWorld(t, situation{size: 1})
	require.NoError(t, lost.db.Put(t.Context(), built[0]))
	_, err = lost.chain.Settle(t.Context(), built[0].Ref)
	require.ErrorIs(t, err, ropewalk.ErrHeadLost)
}
