package main

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/faults"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/finding"
	"ropewalk/internal/link"
	"ropewalk/internal/reserved"
)

// putLate puts an object of an append that was under way when all was erased.
func putLate(ts *testscript.TestScript, _ bool, args []string) { putFirst(ts, args[0], args[1]) }

// putSnapshot puts an object where the snapshots of an aggregate are.
func putSnapshot(ts *testscript.TestScript, _ bool, args []string) {
	putFirst(ts, args[0], reserved.Snapshots(args[1]))
}

func putFirst(ts *testscript.TestScript, file, id string) {
	ctx := context.Background()
	db, err := sqlitestore.Open(ts.MkAbs(file), nil)
	ts.Check(err)
	built, _, err := link.Extend(head.Head{}, id, []changeset.Draft{{Content: []byte("late\n")}}, time.Now())
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

// orphans returns a place with five aggregates, each with an orphan that is
// past its grace period, and a count of the orphans that are left. It waits
// for eight days.
func orphans(t *testing.T) (p *testPlace, ids []string, left func() int) {
	t.Helper()
	p, ids = newTestPlace(), []string{"a", "b", "c d", "e", "f"}
	for _, id := range ids {
		require.Zero(t, p.run(t.Context(), "x", "append", id, "--new").exit)
		p.pend(t, id)
	}
	time.Sleep(8 * 24 * time.Hour)
	return p, ids, func() (n int) {
		for _, id := range ids {
			for range p.memory.Objects(t.Context(), id) {
				n++
			}
		}
		return n - len(ids)
	}
}

// afterDeletes lets three deletes pass, and puts a fault on all later ones.
func afterDeletes(p *testPlace, fault faults.Fault) {
	p.script.Draw(func(op faults.Op, n int) faults.Fault {
		if op == faults.Delete && n > 3 {
			return fault
		}
		return faults.Fault{}
	})
}

// totalOf returns the last line of gc --json that is a total.
func totalOf(t *testing.T, stdout string) (total gcJSON) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		if strings.Contains(line, `"kind":"gc"`) {
			require.NoError(t, json.Unmarshal([]byte(line), &total))
		}
	}
	return total
}

// A collection that was interrupted reports all that it has deleted, whichever
// of the aggregates under way was the quickest.
func TestGCIsInterrupted(t *testing.T) {
	schemas := compileSchemas(t)
	synctest.Test(t, func(t *testing.T) {
		for _, named := range []bool{false, true, false, false, false, false, false} {
			p, ids, left := orphans(t)
			afterDeletes(p, faults.Fault{Kind: faults.HangBefore})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			args := []string{"gc", "--delete", "--json"}
			if named {
				args = append(args, ids...)
			}
			got := p.run(ctx, "", args...)
			require.Equal(t, 130, got.exit)
			require.NoError(t, schemas.check([]byte(got.stdout)))
			total := totalOf(t, got.stdout)
			require.EqualValues(t, 3, total.Deleted.Objects)
			require.Equal(t, 2, left())
			if named { // one after the other
				require.Equal(t, "c d", total.Last)
			}

			p.script.Reset()
			got = p.run(t.Context(), "", "gc", "--delete")
			require.Zero(t, got.exit)
			require.Zero(t, left())
		}
	})
}

// A storage that cannot be worked with any longer ends a collection, which
// reports all that it has deleted.
func TestGCReportsTheWorkBeforeAnOutage(t *testing.T) {
	schemas := compileSchemas(t)
	synctest.Test(t, func(t *testing.T) {
		p, _, left := orphans(t)
		afterDeletes(p, faults.Fault{Kind: faults.Refused, Err: &finding.SetupError{What: "access is denied"}, DelayBefore: time.Second})
		got := p.run(t.Context(), "", "gc", "--delete", "--json")
		require.Equal(t, 7, got.exit, got.stderr)
		require.NoError(t, schemas.check([]byte(got.stdout)))
		require.EqualValues(t, 3, totalOf(t, got.stdout).Deleted.Objects)
		require.Equal(t, 2, left())
		require.Contains(t, got.stderr, "access is denied")
	})
}

// A collection that ends early, for any reason, says how to go on from there.
func TestGCSaysHowToGoOn(t *testing.T) {
	unreachable := &finding.SetupError{What: "access is denied"}
	for _, test := range []struct {
		flags   gcFlags
		reports []gc.Report
		err     error
		exit    int
		hint    string
	}{
		{gcFlags{delete: true, grace: 7 * 24 * time.Hour}, []gc.Report{{AggregateID: "a"}, {AggregateID: "c d"}}, context.Canceled, 130, "all up to c d is done; continue: ropewalk gc --after 'c d' --delete"},
		{gcFlags{grace: 48 * time.Hour}, []gc.Report{{AggregateID: "a"}, {AggregateID: "b", Err: unreachable}, {AggregateID: "c"}}, nil, 7, "all up to a is done; continue: ropewalk gc --after a --grace 2d"},
		{gcFlags{}, nil, context.Canceled, 130, ""},
	} {
		a := newTestPlace().app("")
		a.Out, a.Err = io.Discard, io.Discard
		g := collecting{Streams: a.Streams, delete: test.flags.delete, grace: test.flags.grace, stop: func() {}}
		err := g.finish(g.run(func(yield func(gc.Report, error) bool) {
			for _, r := range test.reports {
				if !yield(r, nil) {
					return
				}
			}
			if test.err != nil {
				yield(gc.Report{}, test.err)
			}
		}))
		require.Equal(t, test.exit, cliexit.Classify(t.Context(), err).Exit)
		require.Equal(t, test.hint, hintFor(err))
	}
}
