package sqlitestore

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// textRow is a row of a file of schemaOfTexts.
type textRow struct {
	row
	modified string
}

// textRows reads the rows of a file of schemaOfTexts, with a query of this test.
func textRows(t *testing.T, path string) map[changeset.Ref]textRow {
	t.Helper()
	conn := raw(t, path)
	rows, err := conn.QueryContext(t.Context(), "SELECT aggregate_id, object, metadata, ancestors, content_sha256, digest, content_type, last_modified, content FROM changesets")
	require.NoError(t, err)
	defer rows.Close()
	all := map[changeset.Ref]textRow{}
	for rows.Next() {
		var r textRow
		require.NoError(t, rows.Scan(append([]any{&r.aggregateID, &r.object}, append(r.text(), &r.modified, &r.content)...)...))
		ref, ok := refOf(r.aggregateID, r.object)
		require.True(t, ok)
		all[ref] = r
	}
	require.NoError(t, rows.Err())
	return all
}

// requireRows demands what an old file had: each header to the letter, each content, each
// time, and the same error for what did not decode.
func requireRows(t *testing.T, s *Store, want map[changeset.Ref]textRow) {
	t.Helper()
	for ref, r := range want {
		stored := changeset.Stored{Ref: ref, Object: s.Locate(ref), ContentType: r.contentType, Size: int64(len(r.content))}
		h, damage := changeset.DecodeRow(stored, r.Row)
		info, err := s.Stat(t.Context(), ref)
		require.Equal(t, damage, err)
		require.Equal(t, r.modified, changeset.FormatTime(info.LastModified))
		if damage != nil {
			continue
		}
		require.Equal(t, h, info.Header)
		again, err := changeset.EncodeRow(info.Header)
		require.NoError(t, err)
		require.Equal(t, r.Metadata, again.Metadata)
		c, err := s.Get(t.Context(), ref, nil)
		require.NoError(t, err)
		require.Equal(t, string(r.content), string(c.Body))
	}
	n := 0
	for id, err := range s.Aggregates(t.Context(), "") {
		require.NoError(t, err)
		for _, err := range s.Objects(t.Context(), id) {
			require.NoError(t, err)
			n++
		}
	}
	require.Len(t, want, n)
}

// TestMigrateTexts migrates a file that the last version with texts has written. It holds
// long chains, a fork, every field, and a damaged row.
func TestMigrateTexts(t *testing.T) {
	path := goldenOf(t, schemaOfTexts)
	require.Equal(t, schemaOfTexts, schemaOf(t, path))
	want := textRows(t, path)
	findings, err := CheckFile(t.Context(), path)
	require.NoError(t, err)
	require.Empty(t, findings)
	s := openAt(t, path, &Options{MustExist: true})
	require.Equal(t, schemaVersion, schemaOf(t, path))
	requireRows(t, s, want)
	require.NoError(t, s.VerifyLog(t.Context()))
	findings, err = s.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, findings)
	h, err := s.Load(t.Context(), "order-1")
	require.NoError(t, err)
	requireChain(t, s, h, head.Head{})
	conn := raw(t, path)
	var texts, shared int
	require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT count(*) FROM changesets WHERE header IS NULL").Scan(&texts))
	require.Equal(t, 1, texts, "of the damaged row")
	for ref := range want {
		if _, ok := changeset.BinaryBases(ref, headerOf(t, path, ref)); ok {
			shared++
		}
	}
	require.Greater(t, shared, 40)
	appendTo(t, s, h, "order-1", "after the migration")
}

// TestRestoreTexts: a backup of an older version comes back as it is, and is migrated when
// it is opened.
func TestRestoreTexts(t *testing.T) {
	path := goldenOf(t, schemaOfTexts)
	want := textRows(t, path)
	target := filepath.Join(t.TempDir(), "restored.db")
	_, err := Restore(t.Context(), path, target)
	require.NoError(t, err)
	require.Equal(t, schemaOfTexts, schemaOf(t, target))
	s := openAt(t, target, nil)
	requireRows(t, s, want)
	copied := filepath.Join(t.TempDir(), "backup.db")
	require.NoError(t, s.Backup(t.Context(), copied))
	requireRows(t, openAt(t, copied, nil), want)
}

// TestOddTexts: rows that only the text form can hold keep it, with their times to the letter.
func TestOddTexts(t *testing.T) {
	path := goldenOf(t, schemaOfTexts)
	conn := raw(t, path)
	conn.run(t, "UPDATE changesets SET last_modified = 'yesterday' WHERE aggregate_id = 'order-2' AND substr(object, 8, 1) = x'01'",
		"UPDATE changesets SET last_modified = '3000-01-01T00:00:00.000000000Z' WHERE aggregate_id = 'order-2' AND substr(object, 8, 1) = x'00'",
		"UPDATE changesets SET object = x'07' WHERE aggregate_id = 'order-4'",
		"UPDATE changesets SET aggregate_id = 'a.b' WHERE aggregate_id = 'order-5'")
	want := textsOf(t, conn, "metadata")
	s := openAt(t, path, nil)
	require.Equal(t, want, textsOf(t, conn, "fields"))
	h, err := s.Load(t.Context(), "order-2")
	require.NoError(t, err)
	_, err = s.Stat(t.Context(), h.Ref)
	requireCorrupt(t, err, s.Locate(h.Ref))
}

// textsOf returns the columns that no migration may change, of the rows that it
// leaves in the text form.
func textsOf(t *testing.T, conn connection, texts string) (all []string) {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), `SELECT aggregate_id || hex(object) || content_type || hex(content) || `+texts+` || hex(digest) || last_modified
		FROM changesets WHERE aggregate_id = 'a.b' OR object = x'07' ORDER BY 1`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var line sql.NullString
		require.NoError(t, rows.Scan(&line))
		all = append(all, line.String)
	}
	require.Len(t, all, 3)
	return all
}

// TestMigrationStopsOlderPrograms that have the file open: what they have prepared fails, and
// reads nothing wrong.
func TestMigrationStopsOlderPrograms(t *testing.T) {
	path := goldenOf(t, schemaOfTexts)
	conn := raw(t, path)
	stmt, err := conn.PrepareContext(t.Context(), "SELECT coalesce(metadata, ''), ancestors, content_sha256, digest FROM changesets WHERE aggregate_id = ?")
	require.NoError(t, err)
	var r row
	read := func() error {
		return stmt.QueryRowContext(t.Context(), "order-1").Scan(&r.Metadata, &r.Ancestors, &r.BodySHA256, &r.Digest)
	}
	require.NoError(t, read())
	require.NoError(t, Migrate(t.Context(), path, nil))
	require.ErrorContains(t, read(), "no such column: metadata")
	require.NoError(t, stmt.Close())
	require.ErrorContains(t, checkVersion(schemaVersion+1), fmt.Sprintf("schema %d, this version knows up to %d", schemaVersion+1, schemaVersion))
}

// TestMigrationOnAFullDisk stops a migration at each page that it adds to the file: the
// old store is whole, until there is room for the new one.
func TestMigrationOnAFullDisk(t *testing.T) {
	path := goldenOf(t, schemaOfTexts)
	want, refused := textRows(t, path), 0
	for room := 0; ; room++ {
		conn, err := connect(t.Context(), path, 0, fullSync)
		require.NoError(t, err)
		var pages int
		require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages))
		conn.run(t, fmt.Sprintf("PRAGMA max_page_count = %d", pages+room))
		err = provision(t.Context(), conn, 0)
		require.NoError(t, conn.Close())
		findings, checkErr := CheckFile(t.Context(), path)
		require.NoError(t, checkErr)
		require.Empty(t, findings)
		if err == nil {
			break
		}
		require.ErrorContains(t, err, "full")
		require.Equal(t, schemaOfTexts, schemaOf(t, path))
		require.Equal(t, want, textRows(t, path))
		refused++
	}
	require.Greater(t, refused, 5)
	requireRows(t, openAt(t, path, nil), want)
}

// TestMigrationOfTextsIsKilled kills a migration at random moments: the file is an old
// store or a new store, and whole.
func TestMigrationOfTextsIsKilled(t *testing.T) {
	s := open(t)
	var h head.Head
	for range 20 {
		h = appendTo(t, s, h, "order-1", make([]string, 100)...)
	}
	require.NoError(t, s.Close())
	older(t, s.path, schemaOfTexts)
	want := textRows(t, s.path)
	killed := 0
	for n := 0; n < sampled(8) || killed == 0 && n < 100; n++ {
		path := filepath.Join(t.TempDir(), "copy.db")
		copyFile(t, s.path, path)
		p := start(t, "migrator", path)
		require.True(t, p.stdout.Scan(), "not ready")
		require.NoError(t, p.stdin.Close())
		time.Sleep(time.Duration(n%8) * 15 * time.Millisecond)
		_ = p.Process.Kill()
		p.lines()
		_ = p.Wait()
		findings, err := CheckFile(t.Context(), path)
		require.NoError(t, err)
		require.Empty(t, findings)
		if schemaOf(t, path) == schemaOfTexts {
			killed++
			require.Equal(t, len(want), len(textRows(t, path)))
		}
		again := openAt(t, path, nil)
		requireChain(t, again, h, head.Head{})
		require.NoError(t, again.VerifyLog(context.Background()))
		require.NoError(t, again.Close())
	}
	require.Positive(t, killed, "no migration was killed")
}

// sampled is fewer in short runs.
func sampled(n int) int {
	if testing.Short() {
		return n / 4
	}
	return n
}

// TestNewLog: the log of a store of this version can be dropped for a new log, as the
// documents say.
func TestNewLog(t *testing.T) {
	s := open(t)
	all, h := chainIn(t, s, head.Head{}, 20)
	require.NoError(t, s.Close())
	conn := raw(t, s.path)
	conn.run(t, "BEGIN; DROP TABLE log; PRAGMA user_version = 2; COMMIT")
	require.NoError(t, conn.Close())
	findings, err := CheckFile(t.Context(), s.path)
	require.NoError(t, err)
	require.Empty(t, findings)
	s = openAt(t, s.path, nil)
	requireStored(t, s, all)
	requireLogOf(t, s)
	appendTo(t, s, h, "order-1", "more")
}
