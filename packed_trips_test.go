package ropewalk_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
)

// small returns a chain of n changesets of 0.5 KB with a limit for the tip.
func small(t *testing.T, n, tip int) *built {
	b := newBuilt(t)
	for i := 0; i < n; {
		drafts := make([]changeset.Draft, min(1+tip>>13, n-i)) // few appends where packs are large: tests take less time
		for j := range drafts {
			drafts[j] = changeset.Draft{ContentType: "application/json", Content: fmt.Appendf(nil, "[%q,%d]", strings.Repeat("x", 490), i+j)}
		}
		b.append(link.Layout{Packed: true, Tip: tip}, drafts...)
		i += len(drafts)
	}
	b.save()
	return b
}

// A packed history takes few requests: as many as there are objects, and the head.
func TestPackedHistoryTakesFewTrips(t *testing.T) {
	for _, c := range []struct {
		n, tip, objects int
		windows         map[int][2]int // round trips, forward and backward
	}{
		{60, 64 << 10, 0, map[int][2]int{0: {1, 1}}},
		{1000, 64 << 10, 10, map[int][2]int{0: {3, 3}, 1000: {3, 3}, 1: {12, 6}}},
		{1000, 3 << 10, 200, map[int][2]int{0: {4, 4}, 1000: {4, 4}, 64: {34, 22}}},
	} {
		b := small(t, c.n, c.tip)
		require.Len(t, b.objects, c.objects)
		for window, trips := range c.windows {
			for i, backward := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d with tips of %d in a window of %d, backward %v", c.n, c.tip, window, backward), func(t *testing.T) {
					got, counts := tripsOf(t, b, window, func(ctx context.Context, r *ropewalk.Reader) {
						all, err := ropewalk.Collect(r.Changesets(ctx, ropewalk.Range{Last: ropewalk.Newest, Backward: backward}))
						require.NoError(t, err)
						require.Len(t, all, c.n)
					})
					require.Equal(t, trips[i], got)
					require.Equal(t, c.objects, counts.Get)
					require.Equal(t, 1, counts.Load)
					require.Equal(t, c.objects+1+counts.Stat, counts.Load+counts.Get+counts.Stat)
					require.LessOrEqual(t, counts.Stat, 4, "lookups of a window that is smaller than the chain")
				})
			}
		}
	}
}

// tripsOf reads the head of a built chain, and measures that and a read.
func tripsOf(t *testing.T, b *built, window int, read func(context.Context, *ropewalk.Reader)) (trips int, counts meter.Counts) {
	synctest.Test(t, func(t *testing.T) {
		store, m := metered(b.db, &ropewalk.Options{WindowCount: window})
		trips, counts = measure(t, m, func() {
			r, err := store.Chain("order-1").Reader(t.Context())
			require.NoError(t, err)
			read(t.Context(), r)
		})
	})
	return trips, counts
}

// A part of a packed history takes the objects that have it, and a few lookups.
func TestPartOfAPackedHistoryTakesFewTrips(t *testing.T) {
	b := small(t, 1003, 3<<10)
	for name, c := range map[string]struct {
		trips  int
		counts meter.Counts
		read   func(context.Context, *ropewalk.Reader) error
	}{
		"at 700":     {3, meter.Counts{Load: 1, Stat: 1, Get: 1}, func(ctx context.Context, r *ropewalk.Reader) error { _, err := r.At(ctx, 700); return err }},
		"in the tip": {1, meter.Counts{Load: 1}, func(ctx context.Context, r *ropewalk.Reader) error { _, err := r.At(ctx, 1001); return err }},
		"the latest 10": {2, meter.Counts{Load: 1, Get: 2}, func(ctx context.Context, r *ropewalk.Reader) error {
			return last(r.Since(ctx, head.At(b.want[992].Header)))
		}},
		"the first 100": {5, meter.Counts{Load: 1, Stat: 2, Get: 20}, func(ctx context.Context, r *ropewalk.Reader) error {
			return last(r.Changesets(ctx, ropewalk.Range{Last: 99}))
		}},
		"100 in between": {6, meter.Counts{Load: 1, Stat: 2, Get: 20}, func(ctx context.Context, r *ropewalk.Reader) error {
			return last(r.Changesets(ctx, ropewalk.Range{First: 500, Last: 599}))
		}},
		"headers": {4, meter.Counts{Load: 1, Get: 200}, func(ctx context.Context, r *ropewalk.Reader) error {
			return last(r.Headers(ctx, ropewalk.Range{Last: 999}))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			trips, counts := tripsOf(t, b, 0, func(ctx context.Context, r *ropewalk.Reader) { require.NoError(t, c.read(ctx, r)) })
			require.Equal(t, c.trips, trips)
			require.Equal(t, c.counts, counts)
		})
	}
}
