package aggregate_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/reserved"
)

// Log is a state that shows exactly which events made it, in which order.
type Log struct{ Entries []int }

// Entry is the only event of a Log.
type Entry struct{ N int }

// logs returns the type with snapshots every so many changesets.
func logs(every int) aggregate.Type[Log, Entry] {
	return aggregate.Type[Log, Entry]{
		Name:   "log",
		Events: aggregate.Events[Entry]{"entry": Entry{}},
		Evolve: func(l Log, e Entry) Log {
			return Log{append(l.Entries[:len(l.Entries):len(l.Entries)], e.N)}
		},
		Snapshots: aggregate.Snapshots[Log]{Every: every, Schema: "1"},
	}
}

type logRepository = aggregate.Repository[Log, Entry]

func over(db *memstore.Store, typ aggregate.Type[Log, Entry]) *logRepository {
	return aggregate.New(ropewalk.New(db, db, nil), typ, nil)
}

// overPacked is over for a store of packed chains, in two steps, with tips.
func overPacked(db *memstore.Store, typ aggregate.Type[Log, Entry], tip int) *logRepository {
	return aggregate.New(ropewalk.New(db, faults.TwoSteps(db), packing(tip)), typ, nil)
}

// packing are options of a store of packed chains.
func packing(tip int) *ropewalk.Options { return &ropewalk.Options{Packed: true, TipSize: tip} }

// grow saves entries one by one until there are n changesets, each with a
// command ID, and waits for each snapshot.
func grow(t testing.TB, repo *logRepository, l aggregate.Loaded[Log], n int) aggregate.Loaded[Log] {
	t.Helper()
	for i := len(l.State.Entries); i < n; i++ {
		var err error
		l, err = repo.Save(t.Context(), l, []Entry{{i}}, aggregate.Once(fmt.Sprint("command-", i)))
		require.NoError(t, err)
		require.NoError(t, repo.Wait(t.Context()))
	}
	return l
}

// requireLog requires that a log has the entries 0 to n-1, at version n-1.
func requireLog(t testing.TB, n int, l aggregate.Loaded[Log], err error) {
	t.Helper()
	require.NoError(t, err)
	require.Len(t, l.State.Entries, n)
	for i, entry := range l.State.Entries {
		require.Equal(t, i, entry)
	}
	require.Equal(t, uint64(n-1), l.Head.Version)
}

// snapshots returns all snapshots of an aggregate that are stored.
func snapshots(t testing.TB, db *memstore.Store, id string) (refs []changeset.Ref) {
	t.Helper()
	for o, err := range db.Objects(t.Context(), reserved.Snapshots(id)) {
		require.NoError(t, err)
		refs = append(refs, o.Ref)
	}
	return refs
}

// raw appends contents as they are, as other programs would.
func raw(t testing.TB, db *memstore.Store, id string, contents ...string) head.Head {
	t.Helper()
	var drafts []changeset.Draft
	for _, content := range contents {
		drafts = append(drafts, changeset.Draft{Content: []byte(content)})
	}
	h, err := ropewalk.New(db, db, nil).Chain(id).Create(t.Context(), drafts...)
	require.NoError(t, err)
	return h
}

// bubble runs a test in virtual time, and lets a failure of rapid's, which is
// a panic, pass the bubble's wall.
func bubble(t *testing.T, test func(*testing.T)) {
	var failure any
	synctest.Test(t, func(t *testing.T) {
		defer func() { failure = recover() }()
		test(t)
	})
	if failure != nil {
		panic(failure)
	}
}

// canceled returns a context that has ended.
func canceled(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func sum(content []byte) changeset.Digest { return sha256.Sum256(content) }
