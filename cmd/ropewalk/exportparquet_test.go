package main

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/archive"
	"ropewalk/changeset"
	"ropewalk/faults"
)

// exportedRows reads an export in Parquet.
func exportedRows(t *testing.T, file string) (rows []archive.Row) {
	for row, err := range archive.Read(strings.NewReader(file), int64(len(file))) {
		require.NoError(t, err)
		rows = append(rows, row)
	}
	return rows
}

// The rows have every event and all other content, with the digests of the chains.
func TestExportAsParquet(t *testing.T) {
	t.Parallel()
	p := newTestPlace()
	const lines = `{"aggregate":"b","type":"opened","time":"2026-03-01T10:00:00Z","data":{"a": 1}}` + "\n" +
		`{"aggregate":"a","type":"opened","data":2}` + "\n" + `{"aggregate":"a","type":"closed"}` + "\n"
	require.Zero(t, p.run(t.Context(), lines, "import", "-", "--group", "2").exit)
	require.Zero(t, p.run(t.Context(), "\x00", "append", "b", "--any").exit)

	got := p.run(t.Context(), "", "export", "--format", "parquet")
	require.Zero(t, got.exit, got.stderr)
	rows := exportedRows(t, got.stdout)
	require.Len(t, rows, 4)
	require.Equal(t, []string{"opened", "closed", "opened", ""}, []string{rows[0].Type, rows[1].Type, rows[2].Type, rows[3].Type})
	require.Equal(t, `{"a": 1}`, rows[2].Data)
	require.Equal(t, []byte{0}, rows[3].Content)
	exported := ""
	for _, row := range rows {
		text, err := row.Text()
		require.NoError(t, err)
		exported += string(text)
		require.True(t, row.Position.IsZero())
		var digests []changeset.Digest
		reader, err := p.store(t).Chain(row.Aggregate).Reader(t.Context())
		require.NoError(t, err)
		for c, err := range reader.All(t.Context()) {
			require.NoError(t, err)
			digests = append(digests, c.Digest)
		}
		require.Equal(t, digests[row.Version], row.Digest)
	}
	require.Equal(t, p.run(t.Context(), "", "cat", "a@0..").stdout+p.run(t.Context(), "", "cat", "b@0..").stdout, exported)

	a := p.app("")
	a.IsTerminal = func(any) bool { return true }
	got = runCommand(t.Context(), a, "export", "--format", "parquet")
	require.Equal(t, 2, got.exit)
	require.Contains(t, got.stderr, "ropewalk export --format parquet > ")
	got = p.run(t.Context(), "", "export", "--format", "parquet", "b")
	require.Equal(t, rows[2:], exportedRows(t, got.stdout))
	empty := newTestPlace().run(t.Context(), "", "export", "--format", "parquet")
	require.Zero(t, empty.exit)
	require.Empty(t, exportedRows(t, empty.stdout))
}

func TestParquetGoesWithFewFlags(t *testing.T) {
	t.Parallel()
	for says, args := range map[string][]string{
		"want ndjson or parquet":         {"--format", "csv"},
		"--json do not go together":      {"--format", "parquet", "--json"},
		"--aggregate-field do not go":    {"--format", "parquet", "--aggregate-field", "id"},
		"--all and aggregate IDs do not": {"--format", "parquet", "--all", "x"},
	} {
		got := newTestPlace().run(t.Context(), "", append([]string{"export"}, args...)...)
		require.Equal(t, 2, got.exit)
		require.Contains(t, got.stderr, says)
	}
}

// The rows of sound aggregates are exported, and the exit code reports the others. If
// the storage fails, the file is not complete.
func TestParquetOfDamage(t *testing.T) {
	t.Parallel()
	got := damagedPlace(t).run(t.Context(), "", "export", "--format", "parquet")
	require.Equal(t, 6, got.exit)
	require.Len(t, exportedRows(t, got.stdout), 3)

	p := damagedPlace(t)
	p.script.Every(faults.Get, faults.Fault{Kind: faults.Dropped, Err: context.DeadlineExceeded})
	got = p.run(t.Context(), "", "export", "--format", "parquet")
	require.NotZero(t, got.exit)
	_, err := ropewalk.Collect(archive.Read(strings.NewReader(got.stdout), int64(len(got.stdout))))
	require.Error(t, err)
}
