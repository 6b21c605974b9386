package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// schemaOf returns the schema number in the header of a SQLite file.
func schemaOf(t *testing.T, path string) uint32 {
	t.Helper()
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	return binary.BigEndian.Uint32(file[60:])
}

// Migrate does what the first program that opens the file would do, and nothing
// after that.
func TestMigrate(t *testing.T) {
	old, err := os.ReadFile(filepath.FromSlash("../../backends/sqlitestore/testdata/schema-2.sqlite"))
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "shop.db")
	require.NoError(t, os.WriteFile(path, old, 0o600))
	require.EqualValues(t, 2, schemaOf(t, path))
	run := func(args ...string) result {
		return runCommand(t.Context(), newCommand(nil, nil, nil, []string{"ROPEWALK_STORE=file:" + path}), args...)
	}
	require.Equal(t, result{stdout: "file:" + path + " has the tables of this version\n"}, run("migrate"))
	require.EqualValues(t, 4, schemaOf(t, path))
	got := run("watch", "--from", "start", "--until-end", "--json")
	require.Zero(t, got.exit, got.stderr)
	require.NotEmpty(t, watchedRefs(t, got))
	require.Zero(t, run("migrate", "--json").exit)
	require.Equal(t, got, run("watch", "--from", "start", "--until-end", "--json"), "a second migration changes nothing")
}
