package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

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

// TestFailuresOfAFile: exit code 7 or 6, and hints that fit a file.
func TestFailuresOfAFile(t *testing.T) {
	late := fmt.Errorf("%w: %w", context.DeadlineExceeded, sqlitestore.ErrBusy)
	for _, failure := range []struct {
		err  error
		exit int
		hint string
	}{
		{late, 7, "another program holds the lock"},
		{sqlitestore.ErrReplaced, 7, "what replaced the file"},
		{fmt.Errorf("%w: %w", sqlitestore.ErrUnavailable, syscall.ENOSPC), 7, "free space"},
		{fmt.Errorf("%w: %w", sqlitestore.ErrUnavailable, fs.ErrPermission), 7, "check the modes"},
		{&ropewalk.CorruptError{Object: "sqlite:x.db", Reason: "malformed"}, 6, "ropewalk restore"},
		{&ropewalk.CorruptError{Object: "s3://b/k", Reason: "malformed"}, 6, ""},
	} {
		require.Equal(t, failure.exit, classify(t.Context(), failure.err).exit, failure.err)
		hint := hintFor(failure.err)
		require.Contains(t, hint, failure.hint)
		require.NotContains(t, hint, "region")
		require.Equal(t, failure.hint == "", hint == "", hint)
	}
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
