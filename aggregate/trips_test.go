package aggregate_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/faults"
	"ropewalk/internal/meter"
	"ropewalk/internal/reserved"
)

// Time is virtual and every request takes the same latency, so that the time
// which an operation takes, in latencies, is the number of its round trips.
const latency = 10 * time.Millisecond

// metered returns a repository over db whose requests are counted and take the latency.
func metered(db *memstore.Store, typ aggregate.Type[Log, Entry]) (*logRepository, *meter.Meter) {
	m := meter.New(latency)
	return aggregate.New(ropewalk.New(m.Changesets(db), faults.TwoSteps(m.Heads(db)), nil), typ, nil), m
}

// measure returns the round trips and the requests of an operation.
func measure(t *testing.T, m *meter.Meter, do func()) (trips int, counts meter.Counts) {
	t.Helper()
	m.Reset()
	start := time.Now()
	do()
	took := time.Since(start)
	require.Zero(t, took%latency, "took %s, not a multiple of the latency", took)
	return int(took / latency), m.Count()
}

func TestLoadTrips(t *testing.T) {
	for _, c := range []struct{ n, every, trips, gets, stats int }{
		{1000, 100, 2, 1, 0}, // at the snapshot
		{1001, 100, 2, 2, 0},
		{1007, 100, 2, 8, 0},
		{1099, 100, 4, 100, 0}, // the farthest from one, across the index's wheels
		{1000, 16, 2, 9, 0},
		{1007, 16, 2, 16, 0}, // the farthest from one
		{1008, 16, 2, 1, 0},
		{1023, 256, 3, 256, 0},
		{15, 16, 2, 15, 0}, // before the first one
	} {
		t.Run(fmt.Sprintf("%d every %d", c.n, c.every), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := memstore.New()
				grow(t, over(db, logs(c.every)), aggregate.Loaded[Log]{ID: "log-1"}, c.n)
				repo, m := metered(db, logs(c.every))
				trips, counts := measure(t, m, func() {
					l, err := repo.Load(t.Context(), "log-1")
					requireLog(t, c.n, l, err)
				})
				require.Equal(t, c.trips, trips)
				require.Equal(t, meter.Counts{Load: 1, Get: c.gets, Stat: c.stats}, counts)
			})
		})
	}
}

func TestLoadWithoutSnapshotsIsAsTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		grow(t, over(db, logs(0)), aggregate.Loaded[Log]{ID: "log-1"}, 1000)
		repo, m := metered(db, logs(0))
		trips, counts := measure(t, m, func() {
			l, err := repo.Load(t.Context(), "log-1")
			requireLog(t, 1000, l, err)
		})
		m = meter.New(latency)
		chain := ropewalk.New(m.Changesets(db), faults.TwoSteps(m.Heads(db)), nil).Chain("log-1")
		wantTrips, want := measure(t, m, func() {
			r, err := chain.Reader(t.Context())
			require.NoError(t, err)
			_, err = ropewalk.Collect(r.All(t.Context()))
			require.NoError(t, err)
		})
		require.Equal(t, wantTrips, trips)
		require.Equal(t, want, counts)
	})
}

// At an interval of 16 every load takes two trips, at any version.
func TestEvery16LoadsInTwoTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		writer := over(db, logs(16))
		l := aggregate.Loaded[Log]{ID: "log-1"}
		repo, m := metered(db, logs(16))
		for n := 1; n <= 300; n++ {
			l = grow(t, writer, l, n)
			trips, counts := measure(t, m, func() {
				l, err := repo.Load(t.Context(), "log-1")
				requireLog(t, n, l, err)
			})
			require.Equal(t, 2, trips, "n = %d", n)
			require.LessOrEqual(t, counts.Get, 16, "n = %d", n)
			require.Zero(t, counts.Stat, "n = %d", n)
		}
	})
}

func TestSaveTakesTwoTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		repo, m := metered(memstore.New(), logs(4))
		l := aggregate.Loaded[Log]{ID: "log-1"}
		for n := range 9 {
			trips, _ := measure(t, m, func() {
				var err error
				l, err = repo.Save(t.Context(), l, []Entry{{n}, {-n}, {n}}, aggregate.Once(fmt.Sprint(n)))
				require.NoError(t, err)
			})
			require.Equal(t, 2, trips, "a snapshot never keeps a save waiting")
			require.NoError(t, repo.Wait(t.Context()))
			puts := 1
			if (n+1)%4 == 0 {
				puts = 2 // the snapshot
			}
			require.Equal(t, meter.Counts{Put: puts, Swap: 1}, m.Count())
		}
		require.Equal(t, aggregate.Stats{Written: 2}, repo.Stats())
	})
}

func TestConflictReadsOnlyWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		old := grow(t, over(db, logs(0)), aggregate.Loaded[Log]{ID: "log-1"}, 50)
		grow(t, over(db, logs(0)), old, 53)
		repo, m := metered(db, logs(0))
		_, counts := measure(t, m, func() {
			l, err := repo.Save(t.Context(), old, []Entry{{7}}, aggregate.Once("command-51"))
			require.True(t, l.Repeated)
			requireLog(t, 53, l, err)
		})
		require.Equal(t, meter.Counts{Put: 1, Swap: 1, Get: 3, Stat: 1}, counts)
	})
}

func TestConflictFarAwayReadsFromASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		old := grow(t, over(db, logs(16)), aggregate.Loaded[Log]{ID: "log-1"}, 50)
		grow(t, over(db, logs(16)), old, 300)
		repo, m := metered(db, logs(16))
		_, counts := measure(t, m, func() {
			l, err := repo.Save(t.Context(), old, []Entry{{7}}, aggregate.Once("command-290"))
			require.True(t, l.Repeated)
			requireLog(t, 300, l, err)
		})
		require.Equal(t, 13, counts.Get, "the snapshot and the twelve changesets after it")
	})
}

func TestLoadAtReadsFromASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		grow(t, over(db, logs(100)), aggregate.Loaded[Log]{ID: "log-1"}, 1000)
		repo, m := metered(db, logs(100))
		_, counts := measure(t, m, func() {
			l, err := repo.LoadAt(t.Context(), "log-1", 704)
			requireLog(t, 705, l, err)
		})
		require.Equal(t, 6, counts.Get, "the snapshot and the five changesets after it")
	})
}

// An aggregate whose type gets snapshots later is read as a whole once.
func TestSnapshotsOfAnOldAggregate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		old := grow(t, over(db, logs(0)), aggregate.Loaded[Log]{ID: "log-1"}, 150)
		require.Empty(t, snapshots(t, db, "log-1"))
		repo, m := metered(db, logs(100))
		l, err := repo.Load(t.Context(), "log-1")
		requireLog(t, 150, l, err)
		require.Empty(t, snapshots(t, db, "log-1"), "only a save writes")
		l = grow(t, repo, l, 151)
		require.Equal(t, old.Head.Version+1, l.Head.Version)
		require.Len(t, snapshots(t, db, "log-1"), 1)
		trips, counts := measure(t, m, func() {
			l, err := repo.Load(t.Context(), "log-1")
			requireLog(t, 151, l, err)
		})
		require.Equal(t, 3, trips)
		require.Equal(t, meter.Counts{Load: 1, Get: 52}, counts)
	})
}

func TestReservedAggregatesStayClosed(t *testing.T) {
	db := memstore.New()
	_, err := over(db, logs(0)).Create(t.Context(), reserved.Snapshots("log-1"), []Entry{{0}})
	require.ErrorIs(t, err, ropewalk.ErrInvalidAggregateID)
}
