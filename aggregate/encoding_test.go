package aggregate_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
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
		c, err := db.Get(t.Context(), ref)
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
	c, err := db.Get(t.Context(), snapshotAt(t, 7))
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
	c, err := db.Get(t.Context(), first.Head.Ref)
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
