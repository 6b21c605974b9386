package main

import (
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/rogpeppe/go-internal/testscript"
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
