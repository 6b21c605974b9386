package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

// tamper runs a statement of SQL on a store's file, not through the store.
func tamper(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = db.Exec(args[1])
	ts.Check(errors.Join(err, db.Close()))
}

// keepDigest sets $digest to the digest of the JSON in a file or stdout.
func keepDigest(ts *testscript.TestScript, _ bool, args []string) {
	var line struct{ Digest string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &line))
	ts.Setenv("digest", line.Digest)
}

func TestNumbersInSentences(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 orphans", 1: "1 orphan", 999: "999 orphans", 1000: "1,000 orphans", 311772: "311,772 orphans", 1234567: "1,234,567 orphans",
	} {
		require.Equal(t, want, plural(n, "orphan"))
	}
	require.Equal(t, "19 B", spacedSize(19))
	require.Equal(t, "4.1 GB", spacedSize(4_100_000_000))
}
