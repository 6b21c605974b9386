package ropewalk_test

import (
	"fmt"
	"iter"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/chaintest"
	"ropewalk/internal/meter"
)

// These tests pin the number of round trips and of requests exactly. Time is
// virtual and every request takes the same latency, so that the time which an
// operation takes, in latencies, is the number of its dependent round trips.

const latency = 10 * time.Millisecond

// measure runs do in a bubble, over stores with the latency, and returns its
// round trips and its requests.
func measure(t *testing.T, m *meter.Meter, do func()) (trips int, counts meter.Counts) {
	t.Helper()
	m.Reset()
	start := time.Now()
	do()
	took := time.Since(start)
	require.Zero(t, took%latency, "took %s, not a multiple of the latency", took)
	return int(took / latency), m.Count()
}

// chainOf puts a chain of n small changesets into the store, without any latency.
func chainOf(t testing.TB, db *memstore.Store, id string, n int) head.Head {
	t.Helper()
	chain := ropewalk.New(db, db, nil).Chain(id)
	var h head.Head
	for at := 0; at < n; {
		drafts := make([]changeset.Draft, min(n-at, changeset.MaxPerAppend))
		for i := range drafts {
			drafts[i].Content = fmt.Appendf(nil, "%d", at+i)
		}
		var err error
		h, err = chain.Append(t.Context(), h, drafts...)
		require.NoError(t, err)
		at += len(drafts)
	}
	return h
}

// metered returns a store over db whose requests are counted and take the latency.
func metered(db *memstore.Store, o *ropewalk.Options) (*ropewalk.Store, *meter.Meter) {
	m := meter.New(latency)
	return ropewalk.New(m.Changesets(db), faults.TwoSteps(m.Heads(db)), o), m
}

func TestAppendTakesTwoTrips(t *testing.T) {
	for name, drafts := range map[string][]changeset.Draft{
		"one":   {chaintest.Draft("a")},
		"three": {chaintest.Draft("a"), chaintest.Draft("b"), chaintest.Draft("c")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, m := metered(memstore.New(), nil)
				chain := store.Chain("order-1")
				var h head.Head
				for range 3 { // the first append and later ones alike
					trips, counts := measure(t, m, func() {
						var err error
						h, err = chain.Append(t.Context(), h, drafts...)
						require.NoError(t, err)
					})
					require.Equal(t, 2, trips)
					require.Equal(t, meter.Counts{Put: len(drafts), Swap: 1}, counts)
				}
			})
		})
	}
}

func TestCombinedAppendTakesOneTrip(t *testing.T) {
	type both interface {
		changeset.Store
		head.Store
	}
	for name, c := range map[string]struct {
		open func(*testing.T) both
		read meter.Counts
	}{
		"memory": {func(*testing.T) both { return memstore.New() }, meter.Counts{Load: 1, Get: 2}},
		"SQLite": {func(t *testing.T) both { return openFile(t) }, meter.Counts{Load: 1, GetMany: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db, m := c.open(t), meter.New(latency)
				chain := ropewalk.New(m.Changesets(db), m.Heads(db), nil).Chain("order-1")
				trips, counts := measure(t, m, func() {
					_, err := chain.Create(t.Context(), chaintest.Draft("0"), chaintest.Draft("1"))
					require.NoError(t, err)
				})
				require.Equal(t, 1, trips)
				require.Equal(t, meter.Counts{Commit: 1}, counts)
				trips, counts = measure(t, m, func() {
					r, err := chain.Reader(t.Context())
					require.NoError(t, err)
					require.Equal(t, 2, countUp(t, r.All(t.Context()), 0))
				})
				require.Equal(t, 2, trips)
				require.Equal(t, c.read, counts)
			})
		})
	}
}

// openFile opens a new SQLite file for a test.
func openFile(t *testing.T) *sqlitestore.Store {
	t.Helper()
	db, err := sqlitestore.Open(filepath.Join(t.TempDir(), "ropewalk.db"), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func TestConflictNeedsNoRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m := metered(memstore.New(), nil)
		chain := store.Chain("order-1")
		_, err := chain.Create(t.Context(), chaintest.Draft("a"))
		require.NoError(t, err)
		trips, counts := measure(t, m, func() {
			_, err := chain.Create(t.Context(), chaintest.Draft("b"))
			require.ErrorAs(t, err, new(*ropewalk.ConflictError))
		})
		require.Equal(t, 2, trips)
		require.Equal(t, meter.Counts{Put: 1, Swap: 1}, counts)
	})
}

func TestWholeHistoryBackward(t *testing.T) {
	for _, c := range []struct{ n, window, trips int }{
		{1, 1, 2},
		{15, 15, 2},
		{16, 16, 3},
		{255, 255, 3},
		{1000, 1000, 4},
		{4095, 4095, 4},
		{1000, 256, 9},
		{4095, 256, 33},
		{15, 0, 2},
		{255, 0, 3},
		{1000, 0, 4}, // the default window adapts, at this latency to 1,000
		{4095, 0, 13},
	} {
		t.Run(fmt.Sprintf("%d in a window of %d", c.n, c.window), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := memstore.New()
				chainOf(t, db, "order-1", c.n)
				store, m := metered(db, &ropewalk.Options{WindowCount: c.window})
				trips, counts := measure(t, m, func() {
					r, err := store.Chain("order-1").Reader(t.Context())
					require.NoError(t, err)
					require.Equal(t, c.n, countDown(t, r.Backward(t.Context()), c.n-1))
				})
				require.Equal(t, c.trips, trips)
				require.Equal(t, meter.Counts{Load: 1, Get: c.n}, counts)
			})
		})
	}
}

func TestWholeHistoryForward(t *testing.T) {
	for _, c := range []struct{ n, window, trips, stats int }{
		{15, 0, 2, 0},
		{255, 0, 3, 0},
		{1000, 1000, 4, 0},
		{4095, 4095, 4, 0},
		{1000, 256, 12, 0},
		{4095, 256, 48, 0},
		{4095, 16, 512, 15},
		{1000, 0, 4, 0},
		{4095, 0, 16, 0}, // the default window adapts, at this latency to 1,000
	} {
		t.Run(fmt.Sprintf("%d in a window of %d", c.n, c.window), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := memstore.New()
				chainOf(t, db, "order-1", c.n)
				store, m := metered(db, &ropewalk.Options{WindowCount: c.window})
				trips, counts := measure(t, m, func() {
					r, err := store.Chain("order-1").Reader(t.Context())
					require.NoError(t, err)
					require.Equal(t, c.n, countUp(t, r.All(t.Context()), 0))
				})
				require.Equal(t, c.trips, trips)
				require.Equal(t, meter.Counts{Load: 1, Get: c.n, Stat: c.stats}, counts)
				require.LessOrEqual(t, counts.Stat, c.n/255+4) // one lookup in 255, and those on the way to the first
			})
		})
	}
}

func TestRangeFarFromTheHead(t *testing.T) {
	const n = 65535
	db := memstore.New()
	h := chainOf(t, db, "order-1", n)
	worstTrips, worstStats := 0, 0
	synctest.Test(t, func(t *testing.T) {
		store, m := metered(db, nil)
		for first := uint64(0); first < n-10; first += 97 {
			trips, counts := measure(t, m, func() {
				r := store.Chain("order-1").ReaderAt(h)
				require.Equal(t, 10, countUp(t, r.Changesets(t.Context(), ropewalk.Range{First: first, Last: first + 9}), first))
			})
			require.Equal(t, 10, counts.Get)
			worstTrips, worstStats = max(worstTrips, trips), max(worstStats, counts.Stat)
		}
	})
	require.Equal(t, 5, worstStats)
	require.Equal(t, 7, worstTrips)
}

// countUp consumes a sequence that must hold consecutive versions from first, and counts them.
func countUp(t *testing.T, seq iter.Seq2[changeset.Changeset, error], first uint64) int {
	n := 0
	for c, err := range seq {
		require.NoError(t, err)
		require.Equal(t, first+uint64(n), c.Version)
		require.Equal(t, fmt.Sprint(c.Version), string(c.Content))
		n++
	}
	return n
}

func countDown(t *testing.T, seq iter.Seq2[changeset.Changeset, error], last int) int {
	n := 0
	for c, err := range seq {
		require.NoError(t, err)
		require.Equal(t, uint64(last-n), c.Version)
		n++
	}
	return n
}
