package main

import (
	"context"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/head"
)

// crash writes the files of a killed program: a store with the aggregate
// "killed", whose appends are in the -wal file alone.
func crash(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	live := path + ".live"
	db, err := sqlitestore.Open(live, nil)
	ts.Check(err)
	chain, h := ropewalk.New(db, db, nil).Chain("killed"), head.Head{}
	for range 20 {
		h, err = chain.Append(context.Background(), h, changeset.Draft{Content: []byte(strings.Repeat("x", 3000))})
		ts.Check(err)
	}
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(live + suffix)
		ts.Check(err)
		ts.Check(os.WriteFile(path+suffix, content, 0o600))
	}
	ts.Check(db.Close())
	ts.Check(os.Remove(live))
}

// hold keeps a store open until the script ends.
func hold(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sqlitestore.Open(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	ts.Defer(func() { _ = db.Close() })
}

// damagePages overwrites all pages of a closed store except the first.
func damagePages(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	info, err := os.Stat(path)
	ts.Check(err)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	ts.Check(err)
	_, err = f.WriteAt([]byte(strings.Repeat("\xff", int(info.Size()-4096))), 4096)
	ts.Check(err)
	ts.Check(f.Close())
}
