package ropewalk_test

import (
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

// pending leaves an uncertain append behind whose swap never arrived, and
// returns its reference. It runs in a bubble.
func pending(t *testing.T, w *chaintest.World) changeset.Ref {
	w.Script.Every(faults.Swap, faults.Fault{Kind: faults.Dropped})
	_, err := w.Chain.Append(t.Context(), w.Before, w.Drafts...)
	w.Script.Reset()
	var uncertain *ropewalk.UncertainError
	require.ErrorAs(t, err, &uncertain)
	_, ok := w.Committed()
	require.False(t, ok)
	return uncertain.Ref
}

func settleWorlds(t *testing.T, test func(*testing.T, *chaintest.World)) {
	for _, s := range []chaintest.Situation{{Size: 1}, {Size: 3}, {Existing: 2, Size: 1}, {Existing: 2, Size: 20}} {
		synctest.Test(t, func(t *testing.T) { test(t, newWorld(t, s)) })
	}
}

func TestSettleCommitsWhatIsPending(t *testing.T) {
	settleWorlds(t, func(t *testing.T, w *chaintest.World) {
		ref := pending(t, w)
		h, err := w.Storage.Direct().Settle(t.Context(), ref)
		require.NoError(t, err)
		require.Equal(t, ref, h.Ref)
		last, ok := w.Committed()
		require.True(t, ok)
		require.Equal(t, ref, last)

		next, err := w.Storage.Direct().Append(t.Context(), h, chaintest.Draft("next"))
		require.NoError(t, err, "the head of a settled append can be appended to")
		again, err := w.Storage.Direct().Settle(t.Context(), ref)
		require.NoError(t, err, "and settling again, after others, says the same")
		require.Equal(t, ref, again.Ref)
		require.Equal(t, next.Version, again.Version+1)
	})
}

func TestSettleRefusesWhatLost(t *testing.T) {
	settleWorlds(t, func(t *testing.T, w *chaintest.World) {
		ref := pending(t, w)
		w.AppendRival()
		for range 2 {
			_, err := w.Storage.Direct().Settle(t.Context(), ref)
			var conflict *ropewalk.ConflictError
			require.ErrorAs(t, err, &conflict)
			require.Equal(t, w.Before.Version, conflict.Expected.Version)
			require.Equal(t, w.Before.Exists(), conflict.Expected.Exists())
			w.AppendRival()
		}
	})
}

func TestSettleRefusesWhatIsFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, chaintest.Situation{Existing: 2, Size: 3})
		ref := pending(t, w)
		_, err := db(w).Swap(t.Context(), w.Before, w.Before.Fence())
		require.NoError(t, err)
		_, err = w.Storage.Direct().Settle(t.Context(), ref)
		require.ErrorAs(t, err, new(*ropewalk.ConflictError))
		_, ok := w.Committed()
		require.False(t, ok)
	})
}

func TestSettleFencedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, chaintest.Situation{Existing: 2, Size: 1})
		ref := pending(t, w)
		w.Script.Next(faults.Swap, faults.Fault{Before: func() {
			_, err := db(w).Swap(t.Context(), w.Before, w.Before.Fence())
			require.NoError(t, err)
		}})
		_, err := w.Chain.Settle(t.Context(), ref)
		require.ErrorAs(t, err, new(*ropewalk.ConflictError))
	})
}

// An append whose objects are not all there cannot be finished by another
// process, and may still be by its own: settling shuts it out.
func TestSettleShutsOutWhatIsIncomplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, chaintest.Situation{Existing: 2, Size: 3})
		w.Script.On(faults.Put, 2, faults.Fault{DelayBefore: time.Hour})
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
		info, err := db(w).Stat(t.Context(), ref)
		require.NoError(t, err)
		if !info.Part.Last() { // the delayed one is the last: there is nothing to settle yet
			_, err = w.Storage.Direct().Settle(t.Context(), ref)
			require.ErrorContains(t, err, "settle the last one")
		} else {
			_, err = w.Storage.Direct().Settle(t.Context(), ref)
			require.ErrorAs(t, err, new(*ropewalk.ConflictError))
		}
		require.NoError(t, <-done, "its own writer goes on, with new objects if need be")
		last, ok := w.Committed()
		require.True(t, ok)
		require.Equal(t, last, got.Ref)
		if info.Part.Last() {
			require.NotEqual(t, ref, last, "what was refused stays out")
		}
	})
}

func TestSettleUnderFaults(t *testing.T) {
	for _, op := range []faults.Op{faults.Load, faults.Stat, faults.Swap} {
		for _, f := range chaintest.Faults(op, time.Second) {
			for _, rival := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, chaintest.Situation{Existing: 2, Size: 3})
					ref := pending(t, w)
					if rival {
						f.After = w.AppendRival
					}
					w.Script.On(op, 1, f)
					ctx, cancel := contextFor(t)
					defer cancel()
					_, err := w.Chain.Settle(ctx, ref)
					w.Script.Reset()
					w.Script.Release()
					time.Sleep(2 * time.Hour)
					_, ok := w.Committed()
					switch {
					case err == nil:
						require.True(t, ok)
					case chaintest.IsConflict(err):
						require.False(t, ok)
					default:
						w.RequireSettled(ref)
					}
				})
			}
		}
	}
}

func TestSettleOfWhatIsNotThere(t *testing.T) {
	w := newWorld(t, chaintest.Situation{Existing: 2, Size: 1})
	for _, version := range []uint64{1, 2, 9} {
		ref := changeset.Ref{AggregateID: "order-1", Version: version, ID: changeset.NewID()}
		_, err := w.Chain.Settle(t.Context(), ref)
		if version <= w.Before.Version {
			require.ErrorAs(t, err, new(*ropewalk.ConflictError), "another one is there, for good")
		} else {
			require.ErrorIs(t, err, ropewalk.ErrNotFound)
		}
	}
	_, err := w.Chain.Settle(t.Context(), changeset.Ref{AggregateID: "order-2", ID: changeset.NewID()})
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
}

// An object that was built on a revision which the head has not reached says
// that the head was rolled back, or that its predecessor is still on its way.
func TestSettleAheadOfTheHead(t *testing.T) {
	w := newWorld(t, chaintest.Situation{Existing: 2, Size: 1})
	h := w.Before
	h.Revision += 5
	built, _, err := head.Extend(h, "order-1", []changeset.Draft{chaintest.Draft("ahead")}, time.Now())
	require.NoError(t, err)
	require.NoError(t, db(w).Put(t.Context(), built[0]))
	_, err = w.Chain.Settle(t.Context(), built[0].Ref)
	require.ErrorAs(t, err, new(*ropewalk.UncertainError))

	lost := newWorld(t, chaintest.Situation{Size: 1})
	require.NoError(t, db(lost).Put(t.Context(), built[0]))
	_, err = lost.Chain.Settle(t.Context(), built[0].Ref)
	require.ErrorIs(t, err, ropewalk.ErrHeadLost)
}

// Objects that are linked to the head and yet not as its append would have made
// them are never committed, although their own digests are right.
func TestSettleRefusesForgedObjects(t *testing.T) {
	forgeries := map[string]func(built []changeset.Changeset){
		"an index of another history": func(built []changeset.Changeset) {
			var other changeset.Index
			for version := range built[0].Version - 1 {
				other = other.Push(madeUp(version))
			}
			built[0].Ancestors = other.Push(built[0].Parent)
			built[1].Ancestors = built[0].Ancestors.Push(built[0].ID)
		},
		"a part that was built on an earlier revision": func(built []changeset.Changeset) {
			built[0].AfterRevision--
		},
		"a part that does not follow": func(built []changeset.Changeset) {
			built[0].Part.Of++
		},
	}
	for name, forge := range forgeries {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, chaintest.Situation{Existing: 3, Size: 1})
			built, _, err := head.Extend(w.Before, "order-1", []changeset.Draft{chaintest.Draft("a"), chaintest.Draft("b")}, time.Now())
			require.NoError(t, err)
			forge(built)
			parent := w.Before.Digest
			for _, c := range built {
				c.Digest = c.ComputeDigest(parent)
				parent = c.Digest
				require.NoError(t, db(w).Put(t.Context(), c))
			}
			_, err = w.Chain.Settle(t.Context(), built[1].Ref)
			require.ErrorAs(t, err, new(*ropewalk.CorruptError))
			now, err := w.Chain.Head(t.Context())
			require.NoError(t, err)
			require.Equal(t, w.Before, now)
		})
	}
}
