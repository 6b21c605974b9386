package aggregate_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/gc"
	"ropewalk/internal/meter"
)

// meteredPacked is metered for a store of packed chains.
func meteredPacked(db *memstore.Store, typ aggregate.Type[Log, Entry], tip int) (*logRepository, *meter.Meter) {
	m := meter.New(latency)
	return aggregate.New(ropewalk.New(m.Changesets(db), faults.TwoSteps(m.Heads(db)), packing(tip)), typ, nil), m
}

// A history that is in the head is loaded by one request, and saved to by one. With
// snapshots, a long history takes two round trips.
func TestPackedTrips(t *testing.T) {
	for _, c := range []struct {
		n, every, tip int
		trips         int
		counts        meter.Counts
	}{
		{40, 16, 64 << 10, 1, meter.Counts{Load: 1}}, // all in the tip: a snapshot is not looked for
		{40, 0, 64 << 10, 1, meter.Counts{Load: 1}},
		{1000, 100, 6 << 10, 2, meter.Counts{Load: 1, Get: 1}},  // at the snapshot
		{1005, 100, 16 << 10, 2, meter.Counts{Load: 1, Get: 1}}, // and all after it in the tip
		{1010, 16, 3 << 10, 2, meter.Counts{Load: 1, Get: 2}},   // some after it in an object
	} {
		t.Run(fmt.Sprintf("%d every %d, tip %d", c.n, c.every, c.tip), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := memstore.New()
				grow(t, overPacked(db, logs(c.every), c.tip), aggregate.Loaded[Log]{ID: "log-1"}, c.n)
				repo, m := meteredPacked(db, logs(c.every), c.tip)
				var l aggregate.Loaded[Log]
				trips, counts := measure(t, m, func() {
					var err error
					l, err = repo.Load(t.Context(), "log-1")
					requireLog(t, c.n, l, err)
				})
				require.Equal(t, c.trips, trips)
				require.LessOrEqual(t, counts.Get, c.counts.Get)
				counts.Get = c.counts.Get
				require.Equal(t, c.counts, counts)
				require.False(t, l.Head.IsPoint(), "nothing could be saved after a point by one request")
				trips, counts = measure(t, m, func() {
					l, err := repo.Save(t.Context(), l, []Entry{{c.n}}, aggregate.Once("next"))
					requireLog(t, c.n+1, l, err)
				})
				if counts.Put == 0 {
					require.Equal(t, 1, trips)
					require.Equal(t, meter.Counts{Swap: 1}, counts)
				}
				require.NoError(t, repo.Wait(t.Context()))
			})
		})
	}
}

// The content of a snapshot of a packed chain names the point of the history, and has
// nothing of other changesets.
func TestContentOfSnapshotsOfPackedChains(t *testing.T) {
	db := memstore.New()
	repo := overPacked(db, logs(4), 64<<10)
	l := grow(t, repo, aggregate.Loaded[Log]{ID: "log-1"}, 4)
	c, err := db.Get(t.Context(), snapshotAt(t, 3), nil)
	require.NoError(t, err)
	require.NoError(t, c.Verify(changeset.Digest{}))
	require.Equal(t, map[string]string{"snapshot-at": "3"}, c.Metadata)
	require.Equal(t, fmt.Sprintf(`{"format":2,"schema":"1","point":{"changeset":"%s","digest":"%s","revision":4,"updated-at":"%s"},`+
		`"commands":["command-0","command-1","command-2","command-3"],"state":{"Entries":[0,1,2,3]}}`,
		l.Head.Ref, l.Head.Digest, changeset.FormatTime(l.Head.UpdatedAt)), string(c.Body))

	// A load that finds it missing makes the same one from the changeset.
	require.NoError(t, db.Delete(t.Context(), c.Ref))
	grow(t, repo, l, 5)
	require.NoError(t, repo.Snapshot(t.Context(), "log-1"))
	again, err := db.Get(t.Context(), c.Ref, nil)
	require.NoError(t, err)
	require.Equal(t, c, again)
}

// A snapshot of a packed chain with any damage is passed over.
func TestDamagedPointsArePassedOver(t *testing.T) {
	point := func(name string, value any) func(map[string]any) {
		return func(c map[string]any) { c["point"].(map[string]any)[name] = value }
	}
	for name, change := range map[string]func(map[string]any){
		"another format":              func(c map[string]any) { c["format"] = 3 },
		"format 1":                    func(c map[string]any) { c["format"] = 1 },
		"no point":                    func(c map[string]any) { delete(c, "point") },
		"another schema":              func(c map[string]any) { c["schema"] = "2" },
		"another aggregate's":         point("changeset", "log-2@7.01a1fbf0-010a-7048-aeec-beff8de7cfde"),
		"another version's":           point("changeset", "log-1@6.01a1fbf0-010a-7048-aeec-beff8de7cfde"),
		"another history's changeset": point("changeset", "log-1@7.01a1fbf0-010a-7048-aeec-beff8de7cfde"),
		"no changeset":                point("changeset", "log-1"),
		"another history's digest":    point("digest", changeset.Digest{1}.String()),
		"no digest":                   point("digest", "x"),
		"no time":                     point("updated-at", "today"),
	} {
		for tail, n := range map[string]int{"": 8, " with a tail": 10} {
			for where, tip := range map[string]int{"in objects": -1, "in a tip": 700} {
				t.Run(name+tail+" "+where, func(t *testing.T) {
					db := memstore.New()
					grow(t, overPacked(db, logs(4), tip), aggregate.Loaded[Log]{ID: "log-1"}, n)
					ref := snapshotAt(t, 7)
					c, err := db.Get(t.Context(), ref, nil)
					require.NoError(t, err)
					var content map[string]any
					require.NoError(t, json.Unmarshal(c.Body, &content))
					change(content)
					c.Body, err = json.Marshal(content)
					require.NoError(t, err)
					replace(t, db, c)
					repo := overPacked(db, logs(4), tip)
					l, err := repo.Load(t.Context(), "log-1")
					requireLog(t, n, l, err)
					require.Equal(t, aggregate.Stats{Used: 1, Rejected: 1}, repo.Stats())
				})
			}
		}
	}
}

// The snapshots of a history that was restored to an earlier moment, and has gone another
// way since, are found out.
func TestSnapshotsOfALostPackedHistory(t *testing.T) {
	for _, tip := range []int{-1, 500} {
		db := memstore.New()
		l := grow(t, overPacked(db, logs(4), tip), aggregate.Loaded[Log]{ID: "log-1"}, 6)
		restored := db.Clone()
		grow(t, overPacked(db, logs(4), tip), l, 13)
		for _, version := range []int{7, 11} {
			c, err := db.Get(t.Context(), snapshotAt(t, version), nil)
			require.NoError(t, err)
			require.NoError(t, restored.Put(t.Context(), c))
		}
		repo := overPacked(restored, logs(4), tip)
		for n := range 9 {
			var err error
			l, err = repo.Save(t.Context(), l, []Entry{{100 + n}})
			require.NoError(t, err)
			loaded, err := repo.Load(t.Context(), "log-1")
			require.NoError(t, err)
			require.Equal(t, l.State, loaded.State)
		}
		require.NoError(t, repo.Wait(t.Context()))
		require.NotZero(t, repo.Stats().Rejected)
	}
}

// Whatever the formats of the writers, and wherever a chain becomes packed, the state at
// every version is what the events make.
func TestMixedHistoriesLoadAlike(t *testing.T) {
	tips := map[string]*ropewalk.Options{"1": nil, "tip": packing(64 << 10), "small tip": packing(600), "no tip": packing(-1)}
	rapid.Check(t, func(rt *rapid.T) {
		db, every := memstore.New(), rapid.SampledFrom([]int{0, 1, 3, 4}).Draw(rt, "every")
		l := aggregate.Loaded[Log]{ID: "log-1"}
		n, old := rapid.IntRange(1, 40).Draw(rt, "n"), rapid.IntRange(0, 9).Draw(rt, "old")
		for i := range n {
			o := tips["1"]
			if i >= old {
				o = tips[rapid.SampledFrom([]string{"1", "tip", "small tip", "no tip"}).Draw(rt, "writer")]
			}
			repo := aggregate.New(ropewalk.New(db, faults.TwoSteps(db), o), logs(every), nil)
			var err error
			if i > 0 && rapid.Bool().Draw(rt, "load") {
				l, err = repo.Load(t.Context(), "log-1")
				requireLog(t, i, l, err)
			}
			l, err = repo.Save(t.Context(), l, []Entry{{i}}, aggregate.Once(fmt.Sprint("command-", i)))
			requireLog(t, i+1, l, err)
			require.False(t, l.Repeated)
			require.NoError(t, repo.Wait(t.Context()))
			require.Zero(t, repo.Stats().Rejected)
			if rapid.IntRange(0, 9).Draw(rt, "flush") == 0 {
				_, err = gc.New(db, db, nil).Flush(t.Context(), "log-1")
				require.NoError(t, err)
				l, err = repo.Load(t.Context(), "log-1")
				requireLog(t, i+1, l, err)
			}
		}
		repo := over(db, logs(every))
		version := rapid.IntRange(0, n-1).Draw(rt, "version")
		at, err := repo.LoadAt(t.Context(), "log-1", uint64(version))
		requireLog(t, version+1, at, err)
		again, err := repo.Save(t.Context(), at, []Entry{{7}}, aggregate.Once(fmt.Sprint("command-", n-1)))
		requireLog(t, n, again, err)
		require.True(t, again.Repeated)
		require.Zero(t, repo.Stats().Rejected)
	})
}
