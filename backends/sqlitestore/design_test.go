package sqlitestore_test

import (
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
	requireBinary(t, file)
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

// requireBinary takes a header apart, as the design says.
func requireBinary(t *testing.T, file *sql.DB) {
	t.Helper()
	var object, header []byte
	require.NoError(t, file.QueryRowContext(t.Context(), "SELECT object, header FROM changesets").Scan(&object, &header))
	require.Len(t, header, 1+2*32+8+1+4)
	require.Zero(t, header[0], "flags: a content type of octets, and nothing that is optional")
	sum := sha256.Sum256([]byte("paid"))
	require.Equal(t, sum[:], header[33:65])
	recorded := time.Unix(0, int64(binary.BigEndian.Uint64(header[65:])))
	require.WithinDuration(t, time.Now(), recorded, time.Minute)
	require.Zero(t, header[73], "after-revision")
	checked := slices.Concat(header[:74], []byte("order/4711"), object)
	require.Equal(t, crc32.Checksum(checked, crc32.MakeTable(crc32.Castagnoli)), binary.BigEndian.Uint32(header[74:]))
	h := changeset.Header{
		Ref:         changeset.Ref{AggregateID: "order/4711", ID: changeset.ID(object[8:])},
		ContentType: changeset.DefaultContentType, RecordedAt: recorded.UTC(), BodySHA256: sum,
	}
	require.Equal(t, changeset.Digest(header[1:33]), h.ComputeDigest(changeset.Digest{}))
}

// requireJSON checks values by queries, among them the types of the JSON values in a
// head's record.
func requireJSON(t *testing.T, file *sql.DB) {
	t.Helper()
	for query, want := range map[string]string{
		"SELECT count(*) FROM changesets WHERE coalesce(fields, ancestors, content_sha256, digest, content_type) IS NULL": "1",
		"SELECT json_extract(record, '$.aggregate-id') FROM heads":                                                        "order%2F4711",
		"SELECT group_concat(key) FROM heads, json_each(record) WHERE type = 'integer'":                                   "aggregate-version,format,min-reader,min-writer,revision",
		"SELECT count(*) FROM changesets WHERE last_modified / 1000000000 BETWEEN unixepoch() - 60 AND unixepoch()":       "1",
		"SELECT count(*) FROM heads, json_each(record) WHERE key IN ('ancestors', 'digest')":                              "0",
		"SELECT typeof(last_modified) || ' ' || length(object) FROM changesets":                                           "integer 24",
		"SELECT hex(substr(object, 1, 8)) FROM changesets":                                                                "0000000000000000",
		"SELECT aggregate_id || ' ' || CAST(content AS TEXT) FROM changesets":                                             "order%2F4711 paid",
	} {
		var got string
		require.NoError(t, file.QueryRowContext(t.Context(), query).Scan(&got), query)
		require.Equal(t, want, got, query)
	}
}
