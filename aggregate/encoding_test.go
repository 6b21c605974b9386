package aggregate_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/internal/meter"
)

// compressed makes a log of 1,000 entries in 8 changesets, with two snapshots,
// in a store that compresses.
func compressed(t *testing.T, db *memstore.Store) *logRepository {
	t.Helper()
	repo := aggregate.New(ropewalk.New(db, db, &ropewalk.Options{Compress: true}), logs(4), nil)
	l := aggregate.Loaded[Log]{ID: "log-1"}
	for range 8 {
		var events []Entry
		for i := range 125 {
			events = append(events, Entry{len(l.State.Entries) + i})
		}
		var err error
		l, err = repo.Save(t.Context(), l, events)
		require.NoError(t, err)
		require.NoError(t, repo.Wait(t.Context()))
	}
	return repo
}

func requireThousand(t *testing.T, l aggregate.Loaded[Log], err error) {
	t.Helper()
	require.NoError(t, err)
	require.Len(t, l.State.Entries, 1000)
	for i, entry := range l.State.Entries {
		require.Equal(t, i, entry)
	}
}

// Whether a store compresses or not, it reads what is compressed: events and snapshots.
func TestCompressedAggregates(t *testing.T) {
	db := memstore.New()
	compressed(t, db)
	for _, ref := range append(snapshots(t, db, "log-1"), must(db.Load(t.Context(), "log-1")).Ref) {
		c, err := db.Get(t.Context(), ref, nil)
		require.NoError(t, err)
		require.Equal(t, changeset.EncodingZstd, c.Encoding)
		require.NoError(t, c.VerifyBody())
	}
	for _, compress := range []bool{false, true} {
		store := ropewalk.New(db, db, &ropewalk.Options{Compress: compress})
		repo := aggregate.New(store, logs(4), nil)
		l, err := repo.Load(t.Context(), "log-1")
		requireThousand(t, l, err)
		require.Equal(t, uint64(1), repo.Stats().Used)
		l, err = aggregate.New(store, logs(0), nil).Load(t.Context(), "log-1")
		requireThousand(t, l, err)
		events, err := ropewalk.Collect(repo.Events(t.Context(), l.Head, 1, 2))
		require.NoError(t, err)
		require.Len(t, events, 250)
		require.Equal(t, Entry{125}, events[0].Event)
	}
}

// The limits apply to states and events, not to their compressed form.
func TestCompressedAggregatesAreLimited(t *testing.T) {
	db := memstore.New()
	compressed(t, db)
	c, err := db.Get(t.Context(), snapshotAt(t, 7), nil)
	require.NoError(t, err)
	repo := aggregate.New(ropewalk.New(db, db, &ropewalk.Options{Compress: true}), logs(4), &aggregate.Options{MaxSnapshotSize: c.BodySize + 1})
	l, err := repo.Load(t.Context(), "log-1")
	requireThousand(t, l, err)
	require.Zero(t, repo.Stats().Used)
	require.NotZero(t, repo.Stats().Rejected)
	repo = aggregate.New(ropewalk.New(db, db, &ropewalk.Options{MaxContentSize: 5000}), logs(0), nil)
	_, err = repo.Load(t.Context(), "log-1")
	require.ErrorIs(t, err, ropewalk.ErrTooLarge)
}

// A command appended just now is distinguished from one that was appended
// before, also by what is stored of its content.
func TestCompressedCommandsHappenOnce(t *testing.T) {
	db := memstore.New()
	repo := compressed(t, db)
	read, err := repo.Load(t.Context(), "log-1")
	require.NoError(t, err)
	events := make([]Entry, 100)
	first, err := repo.Save(t.Context(), read, events, aggregate.Once("key"))
	require.NoError(t, err)
	require.False(t, first.Repeated)
	c, err := db.Get(t.Context(), first.Head.Ref, nil)
	require.NoError(t, err)
	require.Equal(t, changeset.EncodingZstd, c.Encoding)
	for _, compress := range []bool{true, false} {
		other := aggregate.New(ropewalk.New(db, db, &ropewalk.Options{Compress: compress}), logs(4), nil)
		again, err := other.Save(t.Context(), read, events, aggregate.Once("key"))
		require.NoError(t, err)
		require.True(t, again.Repeated)
		require.Equal(t, first.Head.Ref, again.Head.Ref)
		require.Equal(t, first.State, again.State)
	}
}

// Writers may compress or not by turns: loads, events and snapshots are the same.
func TestCompressionIsInvisible(t *testing.T) {
	db := memstore.New()
	plain := over(db, logs(4))
	compressing := aggregate.New(ropewalk.New(db, db, &ropewalk.Options{Compress: true}), logs(4), nil)
	l := aggregate.Loaded[Log]{ID: "log-1"}
	for n := range 10 {
		repo := []*logRepository{plain, compressing}[n%2]
		events := make([]Entry, 50)
		for i := range events {
			events[i].N = 50*n + i
		}
		var err error
		l, err = repo.Save(t.Context(), l, events, aggregate.Once(fmt.Sprint("command-", n)))
		require.NoError(t, err)
		require.False(t, l.Repeated)
		require.NoError(t, repo.Wait(t.Context()))
		if n == 4 {
			plain, compressing = compressing, plain
		}
	}
	requireEncodings(t, db, l)
	for _, repo := range []*logRepository{plain, compressing, over(db, logs(0))} {
		got, err := repo.Load(t.Context(), "log-1")
		require.NoError(t, err)
		require.Equal(t, l.State, got.State)
		all, err := ropewalk.Collect(repo.Events(t.Context(), got.Head, 0, 9))
		require.NoError(t, err)
		for i, e := range all {
			require.Equal(t, Entry{i}, e.Event)
		}
		require.Len(t, all, 500)
		again, err := repo.Save(t.Context(), got, []Entry{{7}}, aggregate.Once("command-9"))
		require.NoError(t, err)
		require.True(t, again.Repeated)
	}
}

// requireEncodings demands that some changesets and some snapshots are
// compressed, and some of both are not.
func requireEncodings(t *testing.T, db *memstore.Store, l aggregate.Loaded[Log]) {
	t.Helper()
	var encodings []string
	for c, err := range ropewalk.New(db, db, nil).Chain("log-1").ReaderAt(l.Head).All(t.Context()) {
		require.NoError(t, err)
		encodings = append(encodings, c.Encoding)
	}
	require.Equal(t, []string{"", "zstd", "", "zstd", "", "", "zstd", "", "zstd", ""}, encodings)
	encodings = nil
	for _, version := range []int{3, 7} {
		c, err := db.Get(t.Context(), snapshotAt(t, version), nil)
		require.NoError(t, err)
		encodings = append(encodings, c.Encoding)
	}
	require.Equal(t, []string{"zstd", ""}, encodings)
}

// A save that is done once knows by the digest that it was the first, whether
// its content is stored compressed or not. It reads nothing for that.
func TestCompressedSaveReadsNothing(t *testing.T) {
	for _, compress := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			db, m := memstore.New(), meter.New(latency)
			store := ropewalk.New(m.Changesets(db), faults.TwoSteps(m.Heads(db)), &ropewalk.Options{Compress: compress})
			repo := aggregate.New(store, logs(0), nil)
			trips, counts := measure(t, m, func() {
				l, err := repo.Create(t.Context(), "log-1", make([]Entry, 100), aggregate.Once("key"))
				require.NoError(t, err)
				require.False(t, l.Repeated)
			})
			require.Equal(t, 2, trips)
			require.Zero(t, counts.Get)
		})
	}
}
