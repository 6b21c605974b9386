package sqlitestore

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// in runs a test in a bubble of virtual time, with a store and a connection of
// another program to the same file.
func in(t *testing.T, test func(t *testing.T, s *Store, other connection)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ropewalk.db")
	synctest.Test(t, func(t *testing.T) {
		test(t, openAt(t, path, nil), raw(t, path))
	})
}

// async runs f and sends how long it took, in virtual time, and its error.
func async(f func() error) <-chan outcome {
	done := make(chan outcome, 1)
	began := time.Now()
	go func() {
		err := f()
		done <- outcome{time.Since(began), err}
	}()
	return done
}

type outcome struct {
	took time.Duration
	err  error
}

func commit(ctx context.Context, s *Store, changesets []changeset.Changeset, old, next head.Head) func() error {
	return func() error {
		_, err := s.Commit(ctx, changesets, old, next)
		return err
	}
}

func requireRefused(t *testing.T, err error, retryable bool) {
	t.Helper()
	var refused *head.NotAppliedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, retryable, refused.Retryable)
}

func TestTimeIsVirtual(t *testing.T) {
	in(t, func(t *testing.T, s *Store, _ connection) {
		began := time.Now()
		time.Sleep(time.Hour)
		h := appendTo(t, s, head.Head{}, "order-1", "one", "two")
		info, err := s.Stat(t.Context(), h.Ref)
		require.NoError(t, err)
		require.Equal(t, began.Add(time.Hour).UTC(), info.LastModified)
		require.Equal(t, time.Hour, time.Since(began), "the store itself took time")
	})
}

func TestBusyIsBounded(t *testing.T) {
	in(t, func(t *testing.T, s *Store, other connection) {
		h := appendTo(t, s, head.Head{}, "order-1", "one")
		changesets, next := extend(t, h, "order-1", "two")
		other.run(t, "BEGIN IMMEDIATE")
		committing := async(commit(t.Context(), s, changesets, h, next))
		time.Sleep(time.Second)
		putting := async(func() error { return s.Put(t.Context(), changesets[0]) })

		loaded, err := s.Load(t.Context(), "order-1")
		require.NoError(t, err, "a reader does not wait")
		require.Equal(t, h, loaded)
		for _, refused := range []outcome{<-committing, <-putting} {
			require.ErrorIs(t, refused.err, ErrBusy)
			require.InDelta(t, DefaultBusyTimeout, refused.took, float64(2*longestPause), "each waits for its own bound")
			if refused.took < DefaultBusyTimeout {
				t.Errorf("refused after %v", refused.took)
			}
		}
		other.run(t, "ROLLBACK")
		_, err = s.Get(t.Context(), changesets[0].Ref, nil)
		require.ErrorIs(t, err, changeset.ErrNotFound)
		_, err = s.Commit(t.Context(), changesets, h, next)
		require.NoError(t, err)
	})
}

func TestBusyKinds(t *testing.T) {
	in(t, func(t *testing.T, s *Store, other connection) {
		changesets, next := extend(t, head.Head{}, "order-1", "one")
		other.run(t, "BEGIN IMMEDIATE")
		_, err := s.Commit(t.Context(), changesets, head.Head{}, next)
		requireRefused(t, err, true)
		require.ErrorIs(t, err, ErrBusy)
		err = s.Put(t.Context(), changesets[0])
		require.ErrorIs(t, err, ErrBusy)
		require.NotErrorAs(t, err, new(*head.NotAppliedError))
		require.ErrorIs(t, s.Delete(t.Context(), changesets[0].Ref), ErrBusy)
		other.run(t, "ROLLBACK")
	})
}

// TestBusyDatabaseIsWaitedFor releases the lock within the bound.
func TestBusyDatabaseIsWaitedFor(t *testing.T) {
	in(t, func(t *testing.T, s *Store, other connection) {
		changesets, next := extend(t, head.Head{}, "order-1", "one")
		other.run(t, "BEGIN IMMEDIATE")
		committing := async(commit(t.Context(), s, changesets, head.Head{}, next))
		time.Sleep(DefaultBusyTimeout - time.Second)
		other.run(t, "ROLLBACK")
		committed := <-committing
		require.NoError(t, committed.err)
		require.Less(t, committed.took, DefaultBusyTimeout)
	})
}

// TestContextEndsWhileWaiting ends the context of one of two requests before a
// transaction has taken them.
func TestContextEndsWhileWaiting(t *testing.T) {
	in(t, func(t *testing.T, s *Store, other connection) {
		changesets, next := extend(t, head.Head{}, "order-1", "one")
		patient, alsoNext := extend(t, head.Head{}, "order-2", "one")
		other.run(t, "BEGIN IMMEDIATE")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		leaving := async(commit(ctx, s, changesets, head.Head{}, next))
		putting := async(func() error { return s.Put(ctx, changesets[0]) })
		staying := async(commit(t.Context(), s, patient, head.Head{}, alsoNext))

		left := <-leaving
		require.Equal(t, time.Second, left.took)
		requireRefused(t, left.err, false)
		require.ErrorIs(t, left.err, context.DeadlineExceeded)
		require.ErrorIs(t, (<-putting).err, context.DeadlineExceeded)
		other.run(t, "ROLLBACK")
		require.NoError(t, (<-staying).err)
		_, err := s.Stat(t.Context(), changesets[0].Ref)
		require.ErrorIs(t, err, changeset.ErrNotFound)
		loaded, err := s.Load(t.Context(), "order-1")
		require.NoError(t, err)
		require.Zero(t, loaded)
	})
}

// TestContextEndsOnceTaken ends the context of a request whose transaction has
// begun: its caller waits for the outcome.
func TestContextEndsOnceTaken(t *testing.T) {
	in(t, func(t *testing.T, s *Store, _ connection) {
		ctx, cancel := context.WithCancel(t.Context())
		held := make(chan struct{})
		holding := async(func() error {
			return s.writer.do(ctx, 0, func() error { <-held; return nil })
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		require.Empty(t, holding, "the caller did not wait")
		close(held)
		require.NoError(t, (<-holding).err)
	})
}

// TestGroupCommit lets requests gather: a transaction takes them, including
// requests that come while it applies others.
func TestGroupCommit(t *testing.T) {
	in(t, func(t *testing.T, s *Store, _ connection) {
		held := make(chan struct{})
		first := async(func() error {
			return s.writer.do(t.Context(), 0, func() error { <-held; return nil })
		})
		synctest.Wait()
		before := s.writer.commits.Load()
		var all []<-chan outcome
		for i := range maxBatch + 1 {
			changesets, next := extend(t, head.Head{}, fmt.Sprintf("order-%d", i), "one")
			all = append(all, async(commit(t.Context(), s, changesets, head.Head{}, next)))
		}
		synctest.Wait()
		close(held)
		require.NoError(t, (<-first).err)
		for _, committed := range all {
			require.NoError(t, (<-committed).err)
		}
		require.Equal(t, int64(2), s.writer.commits.Load()-before, "a full batch, the first among it, and two more")
	})
}

// TestGroupCommitIsBoundedInBytes fills a batch with two large requests.
func TestGroupCommitIsBoundedInBytes(t *testing.T) {
	in(t, func(t *testing.T, s *Store, _ connection) {
		held := make(chan struct{})
		idle := func() error { return nil }
		first := async(func() error {
			return s.writer.do(t.Context(), 0, func() error { <-held; return nil })
		})
		synctest.Wait()
		before := s.writer.commits.Load()
		var all []<-chan outcome
		for range 5 {
			all = append(all, async(func() error { return s.writer.do(t.Context(), maxBatchBytes/2, idle) }))
		}
		synctest.Wait()
		close(held)
		require.NoError(t, (<-first).err)
		for _, committed := range all {
			require.NoError(t, (<-committed).err)
		}
		require.Equal(t, int64(3), s.writer.commits.Load()-before, "the first and two, two, and one")
	})
}

func TestCloseRefusesThoseWhoWait(t *testing.T) {
	in(t, func(t *testing.T, s *Store, other connection) {
		changesets, next := extend(t, head.Head{}, "order-1", "one")
		other.run(t, "BEGIN IMMEDIATE")
		waiting := async(commit(t.Context(), s, changesets, head.Head{}, next))
		synctest.Wait()
		began := time.Now()
		require.NoError(t, s.Close())
		require.LessOrEqual(t, time.Since(began), 2*longestPause)
		refused := <-waiting
		requireRefused(t, refused.err, false)
		require.ErrorIs(t, refused.err, fs.ErrClosed)
		other.run(t, "ROLLBACK")
	})
}

func TestCloseWaitsForTheTransaction(t *testing.T) {
	in(t, func(t *testing.T, s *Store, _ connection) {
		held := make(chan struct{})
		holding := async(func() error {
			return s.writer.do(t.Context(), 0, func() error { <-held; return nil })
		})
		synctest.Wait()
		closing := async(s.Close)
		synctest.Wait()
		require.Empty(t, closing, "closed under a transaction")
		close(held)
		require.NoError(t, (<-holding).err)
		require.NoError(t, (<-closing).err)
	})
}
