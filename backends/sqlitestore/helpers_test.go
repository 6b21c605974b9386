package sqlitestore

import (
	"context"
	"fmt"
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

// asTexts gives the changesets of a store the text form, which this version reads.
func asTexts(t testing.TB, path string) {
	t.Helper()
	s := openAt(t, path, &Options{MustExist: true})
	var all []changeset.Info
	for id, err := range s.Aggregates(t.Context(), "") {
		require.NoError(t, err)
		for o, err := range s.Objects(t.Context(), id) {
			require.NoError(t, err)
			info, err := s.Stat(t.Context(), o.Ref)
			require.NoError(t, err)
			all = append(all, info)
		}
	}
	require.NoError(t, s.Close())
	conn := raw(t, path)
	conn.run(t, "BEGIN")
	for _, info := range all {
		row, err := changeset.EncodeRow(info.Header)
		require.NoError(t, err)
		aggregateID, object := key(info.Ref)
		_, err = conn.ExecContext(t.Context(), `UPDATE changesets SET header = NULL, fields = ?, ancestors = ?, content_sha256 = ?, digest = ?, content_type = ?,
			last_modified = ? WHERE aggregate_id = ? AND object = ?`,
			row.Metadata, notNil(row.Ancestors), row.BodySHA256, row.Digest, info.ContentType, changeset.FormatTime(info.LastModified), aggregateID, object)
		require.NoError(t, err)
	}
	conn.run(t, "COMMIT")
	require.NoError(t, conn.Close())
}

// older gives a store of this version the tables of an older version, as that version
// would have written them.
func older(t testing.TB, path string, version int) {
	t.Helper()
	asTexts(t, path)
	conn := raw(t, path)
	conn.run(t, "BEGIN", "ALTER TABLE changesets RENAME TO newer", createTexts, `INSERT INTO changesets
		SELECT aggregate_id, object, fields, ancestors, content_sha256, digest, content_type, last_modified, content FROM newer`,
		"DROP TABLE newer")
	if version == schemaWithoutLog {
		conn.run(t, "DROP TABLE log")
	}
	conn.run(t, fmt.Sprintf("PRAGMA user_version = %d", version), "COMMIT")
	require.NoError(t, conn.Close())
}
