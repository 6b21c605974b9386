package ropewalk_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
)

// packedIn returns a store of packed chains in memory, in two steps and with tips.
func packedIn(db *memstore.Store, tip int) *ropewalk.Store {
	return ropewalk.New(db, faults.TwoSteps(db), &ropewalk.Options{Packed: true, TipSize: tip})
}

// meteredPacked returns such a store, whose requests take a latency, and its meter.
func meteredPacked(tip int) (*ropewalk.Store, *meter.Meter) {
	m, db := meter.New(latency), memstore.New()
	return ropewalk.New(m.Changesets(db), faults.TwoSteps(m.Heads(db)), &ropewalk.Options{Packed: true, TipSize: tip}), m
}

func draft(size int) ropewalk.Draft {
	return ropewalk.Draft{Content: []byte(strings.Repeat("x", size)), ContentType: "application/json"}
}

func TestPackedAppends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m := meteredPacked(2000)
		chain := store.Chain("order-1")
		var h head.Head
		for i := range 40 {
			trips, counts := measure(t, m, func() {
				var err error
				h, err = chain.Append(t.Context(), h, draft(500))
				require.NoError(t, err)
			})
			if i%3 == 2 {
				require.Equal(t, meter.Counts{Put: 1, Swap: 1}, counts, i)
				require.Equal(t, 2, trips)
			} else {
				require.Equal(t, meter.Counts{Swap: 1}, counts, i)
				require.Equal(t, 1, trips)
			}
		}
		require.Equal(t, uint64(13), h.Index.Objects())
	})
}

// TestAnAppendAfterAPointKeepsTheTip is the trace in which an append after the head of
// a header drops the tip, with one writer and no fault.
func TestAnAppendAfterAPointKeepsTheTip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m := meteredPacked(4000)
		chain := store.Chain("order-1")
		var h head.Head
		for range 3 {
			var err error
			h, err = chain.Append(t.Context(), h, draft(10))
			require.NoError(t, err)
		}
		tip, err := h.TipChangesets()
		require.NoError(t, err)
		point := head.At(tip[2].Header)
		require.True(t, point.IsPoint())
		trips, counts := measure(t, m, func() {
			h, err = chain.Append(t.Context(), point, draft(10))
			require.NoError(t, err)
		})
		require.Equal(t, 2, trips)
		require.Equal(t, meter.Counts{Load: 1, Swap: 1}, counts)
		tip, err = h.TipChangesets()
		require.NoError(t, err)
		require.Len(t, tip, 4)

		_, err = chain.Append(t.Context(), point, draft(10))
		conflict, ok := errors.AsType[*ropewalk.ConflictError](err)
		require.True(t, ok, err)
		require.Equal(t, h, conflict.Actual)
		require.Equal(t, point, conflict.Expected)
		_, err = store.HeadStore().Swap(t.Context(), point, h)
		require.ErrorAs(t, err, new(*head.NotAppliedError))
	})
}

func TestPackedHeadsOfThePast(t *testing.T) {
	store := packedIn(memstore.New(), 2000)
	chain := store.Chain("order-1")
	var h head.Head
	var heads []head.Head
	for i := range 30 {
		var err error
		h, err = chain.Append(t.Context(), h, ropewalk.Draft{CommandID: fmt.Sprint("c", i), Content: make([]byte, 300)})
		require.NoError(t, err)
		heads = append(heads, h)
	}
	for i, past := range heads {
		at, err := chain.HeadAt(t.Context(), uint64(i))
		require.NoError(t, err)
		require.Equal(t, past.Ref, at.Ref)
		require.Equal(t, past.Digest, at.Digest)
		of, err := chain.HeadOf(t.Context(), past.Ref)
		require.NoError(t, err)
		require.Equal(t, at, of)
		settled, err := chain.Settle(t.Context(), past.Ref, past.Revision-1)
		require.NoError(t, err)
		require.Equal(t, past.Ref, settled.Ref)
		if i > 0 {
			again, err := chain.Append(t.Context(), heads[i-1], ropewalk.Draft{CommandID: fmt.Sprint("c", i)})
			require.NoError(t, err)
			require.Equal(t, past.Ref, again.Ref)
		}
	}
	_, err := chain.HeadOf(t.Context(), changeset.Ref{AggregateID: "order-1", Version: 3, ID: changeset.NewID()})
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
	settled := heads[3].Ref
	settled.ID = changeset.NewID()
	_, err = chain.Settle(t.Context(), settled, 4)
	require.ErrorAs(t, err, new(*ropewalk.ConflictError))
}

// TestAppenderOfPackedChains counts what 64 callers cost: each batch takes one trip, and
// one more if it moves the tip into an object, so that at 20 ms a trip more than 2,000
// appends a second are committed.
func TestAppenderOfPackedChains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m := meteredPacked(64 << 10)
		appender := store.Chain("order-1").NewAppender(nil)
		const callers, rounds = 64, 20
		trips, counts := measure(t, m, func() {
			var group sync.WaitGroup
			for range callers {
				group.Go(func() {
					for range rounds {
						_, err := appender.Append(t.Context(), draft(500))
						require.NoError(t, err)
					}
				})
			}
			group.Wait()
		})
		require.Equal(t, meter.Counts{Load: 1, Put: rounds / 2, Swap: rounds}, counts)
		require.Equal(t, 1+rounds/2+rounds, trips)
		h, err := store.Chain("order-1").Head(t.Context())
		require.NoError(t, err)
		require.Equal(t, uint64(callers*rounds), h.Len())
	})
}

// TestAChainStaysPacked appends by a store that does not pack.
func TestAChainStaysPacked(t *testing.T) {
	db := memstore.New()
	packing := packedIn(db, 1000)
	h, err := packing.Chain("order-1").Create(t.Context(), draft(100))
	require.NoError(t, err)
	plain := ropewalk.New(db, faults.TwoSteps(db), nil).Chain("order-1")
	for range 3 {
		h, err = plain.Append(t.Context(), h, draft(100))
		require.NoError(t, err)
		require.True(t, h.IsPacked())
	}
	h, err = ropewalk.New(db, db, nil).Chain("order-1").Append(t.Context(), h, draft(100))
	require.NoError(t, err)
	require.True(t, h.IsPacked())
	require.Empty(t, h.Tip, "in one step there is no tip")
	require.Equal(t, uint64(5), h.Index.Next())
}

// TestAnAppendIsInOnePlace: no append is in part in the tip and in part in objects.
func TestAnAppendIsInOnePlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := packedIn(memstore.New(), rapid.IntRange(-1, 3000).Draw(t, "tip"))
		var h head.Head
		for range 5 {
			var drafts []ropewalk.Draft
			for _, size := range rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 300, 1200, 0, 1, 300, 1200, 0, 1, 300, link.MaxLine + 1}), 1, 4).Draw(t, "sizes") {
				drafts = append(drafts, draft(size))
			}
			before := h.Len()
			var err error
			h, err = store.Chain("order-1").Append(context.Background(), h, drafts...)
			require.NoError(t, err)
			require.Contains(t, []uint64{before, h.Len()}, max(before, h.Index.Next()))
			if h.Tip == "" {
				require.Equal(t, h.Len(), h.Index.Next())
			}
		}
	})
}

// fencing is a head store that fences a head before the first swap to it, and keeps
// what it was to swap.
type fencing struct {
	head.PassThrough
	next []head.Head
}

func (f *fencing) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	if f.next = append(f.next, next); len(f.next) == 1 {
		if _, err := f.PassThrough.Swap(ctx, old, link.Fence(old)); err != nil {
			return head.Head{}, err
		}
	}
	return f.PassThrough.Swap(ctx, old, next)
}

// TestAFencedAppendHasNewIDs, whether it is in the tip or in objects.
func TestAFencedAppendHasNewIDs(t *testing.T) {
	for _, tip := range []int{-1, 4000} {
		db := memstore.New()
		store := packedIn(db, tip)
		h, err := store.Chain("order-1").Create(t.Context(), draft(100))
		require.NoError(t, err)
		heads := &fencing{PassThrough: head.NewPassThrough(faults.TwoSteps(db))}
		fenced := ropewalk.New(db, heads, &ropewalk.Options{Packed: true, TipSize: tip})
		got, err := fenced.Chain("order-1").Append(t.Context(), h, draft(100), draft(100))
		require.NoError(t, err)
		require.Len(t, heads.next, 2)
		require.NotEqual(t, heads.next[0].ID, heads.next[1].ID)
		require.NotEqual(t, heads.next[0].Digest, heads.next[1].Digest)
		require.Equal(t, heads.next[1].Ref, got.Ref)
		require.Equal(t, h.Revision+2, got.Revision)
	}
}

// gated is a head store whose first swap waits for its gate.
type gated struct {
	head.PassThrough
	gate chan struct{}
}

func (g *gated) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	<-g.gate
	return g.PassThrough.Swap(ctx, old, next)
}

// TestNothingIsPutAheadOfAnInlinedBatch: while a batch that is in the tip alone waits for
// its swap, no objects of the next batch are put. After a batch with objects they are.
func TestNothingIsPutAheadOfAnInlinedBatch(t *testing.T) {
	for first, ahead := range map[int]int{100: 0, 3000: 2} {
		synctest.Test(t, func(t *testing.T) {
			m, db := meter.New(0), memstore.New()
			heads := &gated{head.NewPassThrough(faults.TwoSteps(db)), make(chan struct{})}
			store := ropewalk.New(m.Changesets(db), heads, &ropewalk.Options{Packed: true, TipSize: 1000})
			appender := store.Chain("order-1").NewAppender(nil)
			var calls sync.WaitGroup
			for _, size := range []int{first, 3000} {
				calls.Go(func() {
					_, err := appender.Append(t.Context(), draft(size))
					require.NoError(t, err)
				})
				synctest.Wait()
			}
			time.Sleep(time.Second)
			require.Equal(t, ahead, m.Count().Put, "first append of %d bytes", first)
			close(heads.gate)
			calls.Wait()
			h, err := store.Chain("order-1").Head(t.Context())
			require.NoError(t, err)
			require.Equal(t, uint64(2), h.Len())
		})
	}
}
