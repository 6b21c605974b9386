package main

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/collect"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/finding"
)

// putLate puts an object of an append that was under way when all was erased.
func putLate(ts *testscript.TestScript, _ bool, args []string) { putFirst(ts, args[0], args[1]) }

// putSnapshot puts an object where the snapshots of an aggregate are.
func putSnapshot(ts *testscript.TestScript, _ bool, args []string) {
	putFirst(ts, args[0], changeset.SnapshotsOf(args[1]))
}

func putFirst(ts *testscript.TestScript, file, id string) {
	ctx := context.Background()
	db, err := sqlitestore.Open(ts.MkAbs(file), nil)
	ts.Check(err)
	built, _, err := head.Extend(head.Head{}, id, []changeset.Draft{{Content: []byte("late\n")}}, time.Now())
	ts.Check(err)
	ts.Check(db.Put(ctx, built[0]))
	ts.Check(db.Close())
}

func TestEraseAsksForTheID(t *testing.T) {
	p := newTestPlace()
	require.Zero(t, p.run(t.Context(), "x", "append", "a b", "--new").exit)
	for _, typed := range []string{"", "\n", "y\n", "a\n", "A B\n"} {
		got := p.onTerminal(t, typed, "erase", "a b")
		require.Equal(t, 2, got.exit, typed)
		require.Contains(t, got.stderr, "Type a b to delete its history, 1 changeset, for good: ")
		require.Contains(t, got.stderr, "not confirmed: nothing was changed")
	}
	require.Equal(t, 2, p.onTerminal(t, "a b\n", "erase", "a b", "--json").exit)
	require.Zero(t, p.run(t.Context(), "", "cat", "a b").exit)
	got := p.onTerminal(t, "a b\n", "erase", "a b")
	require.Zero(t, got.exit, got.stderr)
	require.Equal(t, 4, p.run(t.Context(), "", "cat", "a b").exit)
	require.Zero(t, p.onTerminal(t, "", "erase", "a b").exit, "a tombstone needs no second word")
}

// An erasure that was interrupted says how far it is, and is finished by another.
func TestEraseIsInterrupted(t *testing.T) {
	schemas := compileSchemas(t)
	synctest.Test(t, func(t *testing.T) {
		for _, op := range []faults.Op{faults.Load, faults.Swap, faults.Delete} {
			p := newTestPlace()
			for range 3 {
				require.Zero(t, p.run(t.Context(), "x", "append", "order", "--any").exit)
			}
			ctx, cancel := context.WithCancel(t.Context())
			p.script.Next(op, faults.Fault{Kind: faults.HangBefore, Before: cancel})
			got := p.run(ctx, "", "erase", "order", "--yes", "--json")
			require.Equal(t, 130, got.exit, op)
			require.NoError(t, schemas.check([]byte(got.stdout)))
			if op != faults.Load {
				require.Contains(t, got.stderr, "ropewalk erase order", op)
			}
			p.script.Reset()
			require.Zero(t, p.run(t.Context(), "", "erase", "order", "--yes").exit)
			for range p.memory.Objects(t.Context(), "order") {
				t.Fatal("an object is left")
			}
		}
	})
}

// A collection that was interrupted reports its work so far.
func TestGCIsInterrupted(t *testing.T) {
	schemas := compileSchemas(t)
	synctest.Test(t, func(t *testing.T) {
		p := newTestPlace()
		ids := []string{"a", "b", "c d", "e", "f"}
		for _, id := range ids {
			require.Zero(t, p.run(t.Context(), "x", "append", id, "--new").exit)
			p.pend(t, id)
		}
		time.Sleep(8 * 24 * time.Hour)
		left := func() (n int) {
			for _, id := range ids {
				for range p.memory.Objects(t.Context(), id) {
					n++
				}
			}
			return n - len(ids)
		}
		ctx, cancel := context.WithCancel(t.Context())
		p.script.Draw(func(op faults.Op, n int) faults.Fault {
			if op == faults.Delete && n > 3 {
				return faults.Fault{Kind: faults.HangBefore}
			}
			return faults.Fault{}
		})
		time.AfterFunc(time.Second, cancel)
		got := p.run(ctx, "", "gc", "--delete", "--json")
		require.Equal(t, 130, got.exit)
		require.NoError(t, schemas.check([]byte(got.stdout)))
		require.Contains(t, got.stdout, `"kind":"gc"`, "what was done is told")
		require.Equal(t, 2, left())

		p.script.Reset()
		got = p.run(t.Context(), "", "gc", "--delete")
		require.Zero(t, got.exit)
		require.Zero(t, left())
	})
}

// A collection that ends early, for any reason, says how to go on from there.
func TestGCSaysHowToGoOn(t *testing.T) {
	unreachable := &finding.SetupError{What: "access is denied"}
	for _, test := range []struct {
		flags   gcFlags
		reports []collect.Report
		err     error
		exit    int
		hint    string
	}{
		{gcFlags{delete: true, grace: 7 * 24 * time.Hour}, []collect.Report{{AggregateID: "a"}, {AggregateID: "c d"}}, context.Canceled, 130, "all up to c d is done; continue: ropewalk gc --after 'c d' --delete"},
		{gcFlags{grace: 48 * time.Hour}, []collect.Report{{AggregateID: "a"}, {AggregateID: "b", Err: unreachable}, {AggregateID: "c"}}, nil, 7, "all up to a is done; continue: ropewalk gc --after a --grace 2d"},
		{gcFlags{}, nil, context.Canceled, 130, ""},
	} {
		a := newTestPlace().app("")
		a.stdout, a.stderr = io.Discard, io.Discard
		g := collecting{app: a, gcFlags: test.flags}
		err := g.finish(g.run(func(yield func(collect.Report, error) bool) {
			for _, r := range test.reports {
				if !yield(r, nil) {
					return
				}
			}
			if test.err != nil {
				yield(collect.Report{}, test.err)
			}
		}))
		require.Equal(t, test.exit, classify(t.Context(), err).exit)
		require.Equal(t, test.hint, hintFor(err))
	}
}
