package ropewalk_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/internal/chaintest"
	"ropewalk/internal/meter"
)

// count decides to append the number of changesets that it reads.
func count(ctx context.Context, r *ropewalk.Reader) ([]changeset.Draft, error) {
	all, err := ropewalk.Collect(r.All(ctx))
	return []changeset.Draft{chaintest.Draft(strconv.Itoa(len(all)))}, err
}

func TestUpdateLosesNothing(t *testing.T) {
	const writers, rounds = 8, 10
	synctest.Test(t, func(t *testing.T) {
		store, _ := metered(memstore.New(), nil)
		var group sync.WaitGroup
		for range writers {
			group.Go(func() {
				for range rounds {
					_, err := store.Chain("order-1").Update(t.Context(), count)
					require.NoError(t, err)
				}
			})
		}
		group.Wait()
		r, err := store.Chain("order-1").Reader(t.Context())
		require.NoError(t, err)
		require.Equal(t, writers*rounds, countUp(t, r.All(t.Context()), 0), "each decision was made on all that came before")
	})
}

// After a pause the decision is made on the present head: on the head from before
// the pause, many writers would lose again and again.
func TestUpdateUnderContention(t *testing.T) {
	const writers, rounds = 16, 5
	synctest.Test(t, func(t *testing.T) {
		store, _ := metered(memstore.New(), nil)
		start := time.Now()
		var group sync.WaitGroup
		for range writers {
			group.Go(func() {
				for range rounds {
					_, err := store.Chain("order-1").Update(t.Context(), count)
					require.NoError(t, err)
				}
			})
		}
		group.Wait()
		require.Less(t, time.Since(start)/(writers*rounds), 20*latency, "27 to 39 with the head from before the pause")
	})
}

func TestUpdateReadsOnlyWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		chainOf(t, db, "order-1", 100)
		direct := ropewalk.New(db, db, nil).Chain("order-1")
		store, m := metered(db, nil)
		tries := 0
		_, err := store.Chain("order-1").Update(t.Context(), func(ctx context.Context, r *ropewalk.Reader) ([]changeset.Draft, error) {
			drafts, err := count(ctx, r)
			if tries++; tries <= 2 { // another writer comes between reading and appending
				_, err := direct.Update(ctx, count)
				require.NoError(t, err)
			}
			return drafts, err
		})
		require.NoError(t, err)
		require.Equal(t, meter.Counts{Load: 2, Get: 100 + 1 + 1, Put: 3, Swap: 3}, m.Count(), "the first conflict is decided on its winner")
		r, err := direct.Reader(t.Context())
		require.NoError(t, err)
		require.Equal(t, 103, countUp(t, r.All(t.Context()), 0))
	})
}

func TestUpdateEndsWithItsDecision(t *testing.T) {
	db := memstore.New()
	h := chainOf(t, db, "order-1", 3)
	chain := ropewalk.New(db, db, nil).Chain("order-1")
	refused := errors.New("not enough stock")
	_, err := chain.Update(t.Context(), func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) { return nil, refused })
	require.Equal(t, refused, err)

	got, err := chain.Update(t.Context(), func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) { return nil, nil })
	require.NoError(t, err)
	require.Equal(t, h, got, "nothing to do")

	_, err = chain.Update(t.Context(), func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
		return []changeset.Draft{{ContentType: "é"}}, nil
	})
	require.ErrorIs(t, err, ropewalk.ErrInvalidDraft)
	now, err := chain.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, h, now)
}

func TestUncertainUpdateIsNotDecidedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, chaintest.Situation{Existing: 2, Size: 1})
		w.Script.Every(faults.Swap, faults.Fault{Kind: faults.Dropped})
		decisions := 0
		_, err := w.Chain.Update(t.Context(), func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
			decisions++
			return w.Drafts, nil
		})
		require.ErrorAs(t, err, new(*ropewalk.UncertainError))
		require.Equal(t, 1, decisions)
	})
}

func TestUpdateGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, chaintest.Situation{Existing: 2, Size: 1})
		w.Script.Every(faults.Swap, faults.Fault{Before: w.AppendRival})
		ctx, cancel := contextFor(t)
		defer cancel()
		_, err := w.Chain.Update(ctx, func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) { return w.Drafts, nil })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, ok := w.Committed()
		require.False(t, ok)
	})
}

func TestUpdateWhoseHeadIsLostMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, chaintest.Situation{Existing: 2, Size: 1})
		w.Script.On(faults.Swap, 1, faults.Fault{Before: w.AppendRival})
		w.Script.On(faults.Swap, 2, faults.Fault{Before: w.AppendRival})
		w.Script.On(faults.Load, 2, faults.Fault{Before: func() {
			db(w).Tamper(func(c *memstore.Contents) { clear(c.Heads) })
		}})
		_, err := w.Chain.Update(t.Context(), func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) { return w.Drafts, nil })
		require.ErrorIs(t, err, ropewalk.ErrHeadLost)
	})
}

func TestUpdateMakesAChain(t *testing.T) {
	db := memstore.New()
	chain := ropewalk.New(db, db, nil).Chain("order-1")
	for n := range 3 {
		h, err := chain.Update(t.Context(), count)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(n), fmt.Sprint(h.Version))
	}
}
