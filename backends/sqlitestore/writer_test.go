package sqlitestore

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	sqlite3 "modernc.org/sqlite/lib"

	"ropewalk/changeset"
	"ropewalk/head"
)

// together lets the requests wait at the same time, so that one transaction
// takes them, and returns their outcomes.
func together(t *testing.T, s *Store, applies ...func() error) []error {
	t.Helper()
	batch := make([]*request, len(applies))
	for i, apply := range applies {
		batch[i] = &request{apply: apply, since: time.Now(), outcome: make(chan error, 1)}
	}
	w := s.writer
	w.mu.Lock()
	require.False(t, w.running)
	w.waiting, w.running = slices.Clone(batch), true
	w.loop.Go(w.run)
	w.mu.Unlock()
	outcomes := make([]error, len(batch))
	for i, r := range batch {
		select {
		case outcomes[i] = <-r.outcome:
		case <-time.After(time.Minute):
			t.Fatalf("request %d was never told", i)
		}
	}
	return outcomes
}

// writing returns a request that commits an append, as Commit does.
func writing(t *testing.T, s *Store, changesets []changeset.Changeset, old, next head.Head) func() error {
	t.Helper()
	rows, _, err := newRows(changesets)
	require.NoError(t, err)
	r, err := newReplacement(old, next)
	require.NoError(t, err)
	return func() error {
		if _, err := s.swap(r); err != nil {
			return err
		}
		return s.session.insertAll(rows)
	}
}

// TestConcurrentAppendersShareCommits measures the group commit as it happens.
func TestConcurrentAppendersShareCommits(t *testing.T) {
	const appenders, appends = 16, 40
	s := open(t)
	before := s.writer.commits.Load()
	var all errgroup.Group
	for i := range appenders {
		all.Go(func() (err error) {
			var h head.Head
			for n := 0; n < appends && err == nil; n++ {
				h, err = tryAppend(s, h, fmt.Sprintf("order-%d", i), "one")
			}
			return err
		})
	}
	require.NoError(t, all.Wait())
	commits := s.writer.commits.Load() - before
	require.LessOrEqual(t, commits, int64(appenders*appends/2), "hardly any append shared its commit")
	t.Logf("%d appends in %d commits", appenders*appends, commits)
}

// TestAConflictIsItsOwn commits three appends at once. The second meets a
// conflict with the first.
func TestAConflictIsItsOwn(t *testing.T) {
	s := open(t)
	first, next1 := extend(t, head.Head{}, "order-1", "one")
	rival, rivalNext := extend(t, head.Head{}, "order-1", "rival")
	second, next2 := extend(t, next1, "order-1", "two")
	before := s.writer.commits.Load()
	outcomes := together(t, s,
		writing(t, s, first, head.Head{}, next1),
		writing(t, s, rival, head.Head{}, rivalNext),
		writing(t, s, second, next1, next2))
	require.Equal(t, before+1, s.writer.commits.Load())
	require.NoError(t, outcomes[0])
	var conflict *head.ConflictError
	require.ErrorAs(t, outcomes[1], &conflict)
	require.True(t, conflict.Winner.SameRecord(next1))
	require.NoError(t, outcomes[2])

	h, err := s.Load(t.Context(), "order-1")
	require.NoError(t, err)
	require.True(t, h.SameRecord(next2))
	requireChain(t, s, h, head.Head{})
	_, err = s.Stat(t.Context(), rival[0].Ref)
	require.ErrorIs(t, err, changeset.ErrNotFound)
}

// TestAFailureIsItsOwn lets two requests fail among others: one that has
// written its changeset by then, and one that has lost the transaction, as
// SQLite does when the disk is full.
func TestAFailureIsItsOwn(t *testing.T) {
	s := open(t)
	invalid, full := errors.New("invalid"), errors.New("disk full")
	first, next := extend(t, head.Head{}, "order-1", "one")
	bad, badNext := extend(t, head.Head{}, "order-2", "one")
	last, lastNext := extend(t, head.Head{}, "order-3", "one")
	write := writing(t, s, bad, head.Head{}, badNext)
	before := s.writer.commits.Load()
	outcomes := together(t, s,
		writing(t, s, first, head.Head{}, next),
		func() error { return errors.Join(write(), invalid) },
		func() error { s.session.rollback(); return full },
		writing(t, s, last, head.Head{}, lastNext))
	require.Equal(t, before+1, s.writer.commits.Load(), "the others share one")
	require.NoError(t, outcomes[0])
	requireRefused(t, outcomes[1], false)
	require.ErrorIs(t, outcomes[1], invalid)
	requireRefused(t, outcomes[2], false)
	require.ErrorIs(t, outcomes[2], full)
	require.NoError(t, outcomes[3])

	for id, want := range map[string]head.Head{"order-1": next, "order-2": {}, "order-3": lastNext} {
		h, err := s.Load(t.Context(), id)
		require.NoError(t, err)
		require.True(t, h.SameRecord(want), id)
	}
	_, err := s.Stat(t.Context(), bad[0].Ref)
	require.ErrorIs(t, err, changeset.ErrNotFound)
	requireChain(t, s, next, head.Head{})
	requireChain(t, s, lastNext, head.Head{})
}

// TestKnownRecordsAreNotRead appends while no head can be read: a record that
// matches the one its writer has seen, byte for byte, need not be read.
func TestKnownRecordsAreNotRead(t *testing.T) {
	s := open(t)
	require.NoError(t, s.session.load.Close())
	h := appendTo(t, s, head.Head{}, "order-1", "one")
	h = appendTo(t, s, h, "order-1", "two", "three")
	require.EqualValues(t, 2, h.Version)
	requireChain(t, s, h, head.Head{})
}

// TestFailedCommitThatStaysOpenIsRefused makes COMMIT fail by a constraint that
// SQLite checks then. The transaction is still open, so nothing is committed.
func TestFailedCommitThatStaysOpenIsRefused(t *testing.T) {
	s := open(t)
	s.session.conn.run(t, "PRAGMA foreign_keys = ON",
		"CREATE TABLE parent (id INTEGER PRIMARY KEY)",
		"CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
	first, next := extend(t, head.Head{}, "order-1", "one")
	rival, rivalNext := extend(t, head.Head{}, "order-1", "rival")
	outcomes := together(t, s,
		writing(t, s, first, head.Head{}, next),
		writing(t, s, rival, head.Head{}, rivalNext),
		func() error { s.session.conn.run(t, "INSERT INTO child VALUES (7)"); return nil })

	require.ErrorContains(t, outcomes[0], "FOREIGN KEY")
	requireRefused(t, outcomes[0], false)
	requireRefused(t, outcomes[1], true) // the record it met was perhaps never there
	requireRefused(t, outcomes[2], false)
	appendTo(t, s, head.Head{}, "order-1", "one")
}

// resultCode is an error with a result code of SQLite.
type resultCode int

func (c resultCode) Error() string { return fmt.Sprintf("result code %d", int(c)) }

func (c resultCode) Code() int { return int(c) }

// TestOutcomeOfAFailedCommit: the outcome is known only where SQLite cannot have
// written the commit record.
func TestOutcomeOfAFailedCommit(t *testing.T) {
	for code, definite := range map[resultCode]bool{
		sqlite3.SQLITE_FULL:          true,
		sqlite3.SQLITE_READONLY:      true,
		sqlite3.SQLITE_IOERR_WRITE:   false,
		sqlite3.SQLITE_IOERR_FSYNC:   false,
		sqlite3.SQLITE_IOERR_SHMSIZE: false,
		sqlite3.SQLITE_NOMEM:         false,
		sqlite3.SQLITE_CORRUPT:       false,
		sqlite3.SQLITE_FULL | 1<<20:  true, // an extended code
	} {
		err := outcomeOfCommit(code, false)
		_, refused := errors.AsType[*head.NotAppliedError](err)
		require.Equal(t, definite, refused, "%d", code)
		require.ErrorIs(t, err, code)
		requireRefused(t, outcomeOfCommit(code, true), false)
	}
	requireRefused(t, outcomeOfCommit(resultCode(sqlite3.SQLITE_BUSY), true), true)
}
