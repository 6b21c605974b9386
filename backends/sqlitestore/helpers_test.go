package sqlitestore

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
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
	changesets, next, err := link.Extend(after, aggregateID, drafts, time.Now())
	require.NoError(t, err)
	for i := range changesets {
		changesets[i].Content = nil // as a store returns it
	}
	return changesets, next
}

// appendTo commits an append of one changeset per content.
func appendTo(t testing.TB, s *Store, after head.Head, aggregateID string, contents ...string) head.Head {
	t.Helper()
	h, err := tryAppend(s, after, aggregateID, contents...)
	require.NoError(t, err)
	return h
}

// tryAppend is appendTo for other goroutines and processes.
func tryAppend(s *Store, after head.Head, aggregateID string, contents ...string) (head.Head, error) {
	drafts := make([]changeset.Draft, len(contents))
	for i, c := range contents {
		drafts[i].Content = []byte(c)
	}
	changesets, next, err := link.Extend(after, aggregateID, drafts, time.Now())
	if err != nil {
		return head.Head{}, err
	}
	return s.Commit(context.Background(), changesets, after, next)
}

// raw opens a connection of its own, as another program would.
func raw(t testing.TB, path string) connection {
	t.Helper()
	conn, err := connect(t.Context(), path, DefaultBusyTimeout)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (c connection) run(t testing.TB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		_, err := c.ExecContext(context.Background(), statement)
		require.NoError(t, err, statement)
	}
}
