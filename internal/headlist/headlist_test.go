package headlist_test

import (
	"context"
	"errors"
	"iter"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/headlist"
)

var ids = []string{"a", "b", "c", "d", "e"}

// records returns a store of the aggregates in which those records are replaced.
func records(t *testing.T, damaged map[string]string) *memstore.Store {
	db := memstore.New()
	fill(t, ropewalk.New(db, db, nil))
	db.Tamper(func(all *memstore.Contents) {
		for id, record := range damaged {
			all.Heads[head.ObjectName(id)] = []byte(record)
		}
	})
	return db
}

func fill(t *testing.T, s *ropewalk.Store) {
	for _, id := range ids {
		_, err := s.Chain(id).Create(t.Context(), changeset.Draft{})
		require.NoError(t, err)
	}
}

const (
	notJSON = "{"
	newer   = `{"aggregate-id":"x","format":3,"min-reader":3,"min-writer":3}`
)

// list returns the IDs of a listing. A damaged head's ID has a mark.
func list(t *testing.T, heads head.Store, after string) (all []string) {
	for e, err := range headlist.All(t.Context(), heads, after) {
		require.NoError(t, err)
		require.Equal(t, e.Fault == nil, e.Head.Exists())
		mark := ""
		if e.Fault != nil {
			mark = "!"
		}
		all = append(all, e.AggregateID+mark)
	}
	return all
}

func TestDamagedHeadsDoNotHideTheOthers(t *testing.T) {
	require.Equal(t, ids, list(t, records(t, nil), ""))
	require.Equal(t, []string{"a!", "b", "c!", "d!", "e!"}, list(t, records(t, map[string]string{"a": notJSON, "c": newer, "d": notJSON, "e": newer}), ""))
	require.Equal(t, []string{"c!", "d", "e"}, list(t, records(t, map[string]string{"c": newer}), "b"))
}

func TestDamagedHeadsInSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ropewalk.db")
	db, err := sqlitestore.Open(path, nil)
	require.NoError(t, err)
	fill(t, ropewalk.New(db, db, nil))
	require.NoError(t, db.Close())
	damage(t, path)
	db, err = sqlitestore.Open(path, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.Equal(t, []string{"a!", "b", "c!", "d", "e"}, list(t, db, ""))
}

// again is a store that ends every listing with the same error.
type again struct {
	head.Store
	err error
}

func (s again) List(context.Context, string) iter.Seq2[head.Head, error] {
	return func(yield func(head.Head, error) bool) { yield(head.Head{}, s.err) }
}

func TestEveryListingEnds(t *testing.T) {
	corrupt := &changeset.CorruptError{Ref: changeset.Ref{AggregateID: "a"}}
	failed := errors.New("no answer")
	for err, want := range map[error]int{corrupt: 1, failed: 0, &changeset.CorruptError{}: 0} {
		entries, last := 0, error(nil)
		for e, err := range headlist.All(t.Context(), again{err: err}, "") {
			if last = err; err == nil {
				require.Equal(t, "a", e.AggregateID)
				entries++
			}
		}
		require.ErrorIs(t, last, err)
		require.Equal(t, want, entries)
	}
	for range headlist.All(t.Context(), records(t, map[string]string{"a": notJSON}), "") {
		break // at a damaged head
	}
}
