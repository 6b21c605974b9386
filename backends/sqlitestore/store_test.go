package sqlitestore

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// open opens a new store that the test closes.
func open(t testing.TB) *Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "ropewalk.db"), nil)
}

func openAt(t testing.TB, path string, opts *Options) *Store {
	t.Helper()
	s, err := Open(path, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// extend builds an append of one changeset per content.
func extend(t testing.TB, after head.Head, aggregateID string, contents ...string) ([]changeset.Changeset, head.Head) {
	t.Helper()
	drafts := make([]changeset.Draft, len(contents))
	for i, c := range contents {
		drafts[i].Content = []byte(c)
	}
	changesets, next, err := head.Extend(after, aggregateID, drafts, time.Now())
	require.NoError(t, err)
	return changesets, next
}

// appendTo commits an append of one changeset per content.
func appendTo(t testing.TB, s *Store, after head.Head, aggregateID string, contents ...string) head.Head {
	t.Helper()
	changesets, next := extend(t, after, aggregateID, contents...)
	h, err := s.Commit(context.Background(), changesets, after, next)
	require.NoError(t, err)
	return h
}

func TestSmoke(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	h := appendTo(t, s, head.Head{}, "order-1", "a", "", "c")
	got, err := s.Load(ctx, "order-1")
	require.NoError(t, err)
	require.Equal(t, h, got)
	c, err := s.Get(ctx, h.Ref)
	require.NoError(t, err)
	require.Equal(t, "c", string(c.Content))
	for o, err := range s.Objects(ctx, "order-1") {
		require.NoError(t, err)
		c, err := s.Get(ctx, o.Ref)
		require.NoError(t, err)
		require.NoError(t, c.VerifyContent())
		t.Log(o)
	}
	for a, err := range s.Aggregates(ctx, "") {
		require.NoError(t, err)
		t.Log(a)
	}
	for a, err := range s.List(ctx, "") {
		require.NoError(t, err)
		t.Log(a)
	}
	fs, err := s.Check(ctx)
	require.NoError(t, err)
	require.Empty(t, fs)
	require.NoError(t, s.Backup(ctx, filepath.Join(t.TempDir(), "b.db")))
}
