package sqlitestore

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"ropewalk/changeset"
	"ropewalk/head"
)

// together runs the requests in one transaction and returns their outcomes.
func together(t *testing.T, s *Store, applies ...func(*session) error) []error {
	t.Helper()
	batch := make([]*request, len(applies))
	for i, apply := range applies {
		batch[i] = &request{apply: apply, outcome: make(chan error, 1)}
	}
	require.NoError(t, s.writer.session.beginWrite())
	s.writer.commit(batch)
	outcomes := make([]error, len(batch))
	for i, r := range batch {
		outcomes[i] = <-r.outcome
	}
	return outcomes
}

// writing returns a request that commits an append.
func writing(t *testing.T, s *Store, changesets []changeset.Changeset, old, next head.Head) func(*session) error {
	t.Helper()
	rows, _, err := newRows(changesets)
	require.NoError(t, err)
	return func(w *session) error {
		if err := w.insertAll(rows); err != nil {
			return err
		}
		_, err := s.swap(w, old, next)
		return err
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

// TestOneConflictRollsBackOnlyItself commits three appends at once, of which
// the middle one has written its changeset when it meets the conflict.
func TestOneConflictRollsBackOnlyItself(t *testing.T) {
	s := open(t)
	first, next1 := extend(t, head.Head{}, "order-1", "one")
	rival, rivalNext := extend(t, head.Head{}, "order-1", "rival")
	second, next2 := extend(t, next1, "order-1", "two")
	outcomes := together(t, s,
		writing(t, s, first, head.Head{}, next1),
		writing(t, s, rival, head.Head{}, rivalNext),
		writing(t, s, second, next1, next2))
	require.NoError(t, outcomes[0])
	var conflict *head.SwapConflict
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

// TestBrokenTransactionIsNotApplied lets a request lose the transaction, as
// SQLite does when the disk is full.
func TestBrokenTransactionIsNotApplied(t *testing.T) {
	s := open(t)
	full := errors.New("disk full")
	first, next := extend(t, head.Head{}, "order-1", "one")
	untried := &atomic.Bool{}
	outcomes := together(t, s,
		writing(t, s, first, head.Head{}, next),
		func(w *session) error { w.rollback(); return full },
		func(*session) error { untried.Store(true); return nil })
	requireRefused(t, outcomes[0], true)
	requireRefused(t, outcomes[1], false)
	require.ErrorIs(t, outcomes[1], full)
	requireRefused(t, outcomes[2], true)
	require.False(t, untried.Load())

	h, err := s.Load(t.Context(), "order-1")
	require.NoError(t, err)
	require.Zero(t, h)
	appendTo(t, s, head.Head{}, "order-1", "one")
}

// TestFailedCommitIsUnknown makes COMMIT fail, by a constraint that SQLite
// checks then.
func TestFailedCommitIsUnknown(t *testing.T) {
	s := open(t)
	s.writer.session.conn.run(t, "PRAGMA foreign_keys = ON",
		"CREATE TABLE parent (id INTEGER PRIMARY KEY)",
		"CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
	first, next := extend(t, head.Head{}, "order-1", "one")
	rival, rivalNext := extend(t, head.Head{}, "order-1", "rival")
	invalid := errors.New("invalid")
	outcomes := together(t, s,
		writing(t, s, first, head.Head{}, next),
		writing(t, s, rival, head.Head{}, rivalNext),
		func(*session) error { return invalid },
		func(w *session) error { w.conn.run(t, "INSERT INTO child VALUES (7)"); return nil })

	require.ErrorContains(t, outcomes[0], "FOREIGN KEY")
	require.NotErrorAs(t, outcomes[0], new(*head.NotApplied))
	require.NotErrorAs(t, outcomes[0], new(*head.SwapConflict))
	requireRefused(t, outcomes[1], true) // the record it met was perhaps never there
	requireRefused(t, outcomes[2], false)
	require.ErrorIs(t, outcomes[2], invalid)
	require.NotErrorAs(t, outcomes[3], new(*head.NotApplied))
	appendTo(t, s, head.Head{}, "order-1", "one")
}
