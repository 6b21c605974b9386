package sqlitestore_test

import (
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/internal/link"
)

// TestTablesOfTheDesign holds a file to what DESIGN.md says of its tables, so
// that a reader can be written from that page.
func TestTablesOfTheDesign(t *testing.T) {
	text, err := os.ReadFile("../../DESIGN.md")
	require.NoError(t, err)
	design := string(text)
	path := filepath.Join(t.TempDir(), "ropewalk.db")
	db, err := sqlitestore.Open(path, nil)
	require.NoError(t, err)
	chain := ropewalk.New(db, db, nil).Chain("order/4711")
	_, err = chain.Create(t.Context(), changeset.Draft{Content: []byte("paid")})
	require.NoError(t, err)
	h, err := db.Load(t.Context(), "order/4711")
	require.NoError(t, err)
	fenced, err := db.Swap(t.Context(), h, link.Fence(h))
	require.NoError(t, err)
	_, err = db.Swap(t.Context(), fenced, link.Tombstone(fenced))
	require.NoError(t, err)
	require.NoError(t, db.Close())
	file, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, file.Close()) })

	_, changesets, _ := strings.Cut(design, "| column of `changesets` |")
	changesets, _, _ = strings.Cut(changesets, "\n\n")
	_, heads, _ := strings.Cut(design, "- **SQLite**")
	heads, _, _ = strings.Cut(heads, "\n\n")
	requireColumns(t, file, "changesets", changesets)
	requireColumns(t, file, "heads", heads)
	_, log, _ := strings.Cut(design, "| column of `log` |")
	log, _, _ = strings.Cut(log, "\n\n")
	requireColumns(t, file, "log", log)

	var id, version int
	require.NoError(t, file.QueryRowContext(t.Context(), "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version").Scan(&id, &version))
	require.Contains(t, design, fmt.Sprintf("`application_id` 0x%x", id))
	require.Contains(t, design, fmt.Sprintf("`user_version` %d", version))
	requireJSON(t, file)
	requireHashes(t, file)
}

// requireColumns checks that a text names all columns of a table, and each type.
func requireColumns(t *testing.T, file *sql.DB, table, text string) {
	t.Helper()
	columns, err := file.QueryContext(t.Context(), "SELECT name, type FROM pragma_table_info(?)", table)
	require.NoError(t, err)
	defer columns.Close()
	count := 0
	for columns.Next() {
		var name, kind string
		require.NoError(t, columns.Scan(&name, &kind))
		require.Regexp(t, "`"+name+"`[^|(]*[|(] ?"+kind, text, "%s.%s", table, name)
		count++
	}
	require.NoError(t, columns.Err())
	require.Positive(t, count)
}

// requireHashes computes the hashes of the log from the columns, as the design says.
func requireHashes(t *testing.T, file *sql.DB) {
	t.Helper()
	rows, err := file.QueryContext(t.Context(), "SELECT position, first, last, changeset_id, before, erased, mark, aggregate_id, hash FROM log ORDER BY position")
	require.NoError(t, err)
	defer rows.Close()
	before, n := make([]byte, 32), 0
	for ; rows.Next(); n++ {
		var position, first, last int64
		var id, parent, mark, hash []byte
		var erased byte
		var aggregateID string
		require.NoError(t, rows.Scan(&position, &first, &last, &id, &parent, &erased, &mark, &aggregateID, &hash))
		require.Equal(t, int64(n), position)
		if len(id) == 0 {
			id = make([]byte, 16)
		}
		if len(parent) == 0 {
			parent = make([]byte, 16)
		}
		h := sha256.New()
		h.Write(before)
		require.NoError(t, binary.Write(h, binary.BigEndian, []int64{position, first, last}))
		for _, part := range [][]byte{id, parent, {erased}, mark, []byte(aggregateID)} {
			h.Write(part)
		}
		require.Equal(t, h.Sum(nil), hash, "row %d", position)
		before = hash
	}
	require.NoError(t, rows.Err())
	require.Equal(t, 3, n)
}

// requireJSON checks the types of the JSON values: strings alone in metadata,
// numbers in a head's record.
func requireJSON(t *testing.T, file *sql.DB) {
	t.Helper()
	for query, want := range map[string]string{
		"SELECT group_concat(DISTINCT type) FROM changesets, json_each(metadata)":                    "text",
		"SELECT json_extract(metadata, '$.aggregate-id') FROM changesets":                            "order%2F4711",
		"SELECT json_extract(record, '$.aggregate-id') FROM heads":                                   "order%2F4711",
		"SELECT group_concat(key) FROM heads, json_each(record) WHERE type = 'integer'":              "aggregate-version,format,min-reader,min-writer,revision",
		"SELECT count(*) FROM changesets WHERE last_modified GLOB '[0-9]*T[0-9]*.?????????Z'":        "1",
		"SELECT count(*) FROM changesets, json_each(metadata) WHERE key IN ('ancestors', 'digest')":  "0",
		"SELECT count(*) FROM heads, json_each(record) WHERE key IN ('ancestors', 'digest')":         "0",
		"SELECT length(object) || ' ' || length(digest) || ' ' || length(ancestors) FROM changesets": "24 32 0",
		"SELECT hex(substr(object, 1, 8)) FROM changesets":                                           "0000000000000000",
		"SELECT aggregate_id || ' ' || content_type || ' ' || CAST(content AS TEXT) FROM changesets": "order%2F4711 application/octet-stream paid",
	} {
		var got string
		require.NoError(t, file.QueryRowContext(t.Context(), query).Scan(&got), query)
		require.Equal(t, want, got, query)
	}
}
