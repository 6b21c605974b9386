package projectiontests

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/feed"
	"ropewalk/internal/sqlfaults"
	"ropewalk/projection"
)

var deliveryChecks = []check{
	{"a change and an erasure have their effect, with the fence of the owner", delivers},
	{"several changes share a transaction", batches},
	{"the changes around one that fails are handled, and the error names the change", handlesOthers},
	{"a change that fails for a while is handled", triesAgain},
	{"a panic is an error", recovers},
	{"a transaction that the database refuses at COMMIT is an error of its change", reportsRefusals},
	{"a handler that commits is found out", detectsCommits},
	{"a handler that rolls back is found out", detectsRollbacks},
	{"a COMMIT that takes effect after its transaction was repeated counts once", survivesLateCommits},
	{"positions after changes that are not selected are saved", savesSkipped},
	{"a position of another history stops the projection and changes nothing", stopsInOtherHistory},
	{"a database that fails for long ends the run, and a short failure does not", endsWithTheDatabase},
}

var errBad = errors.New("a bad change")

func delivers(w *world) {
	w.write("a", "b", "a")
	w.erase("a")
	var fences []uint64
	handler := func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
		fences = append(fences, c.Fence)
		return w.counting(1)(ctx, tx, c)
	}
	require.NoError(w.t, w.projection(w.db, 1).Once(w.t.Context(), w.feed, handler))
	require.Equal(w.t, Model{4, []string{"b0"}}, w.model(1))
	require.Equal(w.t, []uint64{1, 1, 1, 1}, fences)
	w.write("c")
	require.NoError(w.t, w.projection(w.db, 1).Once(w.t.Context(), w.feed, handler))
	require.Equal(w.t, Model{5, []string{"b0", "c0"}}, w.model(1))
	require.Equal(w.t, uint64(2), fences[4])
	require.Equal(w.t, projection.Status{Version: 1, Live: true, Position: w.end(), Fence: 2}, w.status(1))
}

func batches(w *world) {
	w.write("a", "b", "c", "d", "e", "f", "g")
	commits := 0
	script := &sqlfaults.Script{Decide: func(s sqlfaults.Step) sqlfaults.Verdict {
		if s.Kind == sqlfaults.Commit {
			commits++
		}
		return sqlfaults.Pass
	}}
	w.options.Batch = 3
	require.NoError(w.t, w.projection(w.process(script), 1).Once(w.t.Context(), w.feed, func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
		time.Sleep(20 * time.Millisecond) // the next changes are read in the meantime
		return w.counting(1)(ctx, tx, c)
	}))
	require.Equal(w.t, 7, w.model(1).Total)
	require.Less(w.t, commits, 7, "no transaction was shared")
	require.GreaterOrEqual(w.t, commits, 3, "a transaction had more changes than a batch")
}

// failingAt returns a handler that fails at an aggregate, after its effect, while bad
// reports true.
func (w *world) failingAt(id string, bad func() error) projection.Handler {
	return func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
		err := w.counting(1)(ctx, tx, c)
		if c.AggregateID == id {
			err = errors.Join(bad(), err)
		}
		return err
	}
}

func handlesOthers(w *world) {
	w.write("a", "b", "bad", "c")
	err := w.projection(w.db, 1).Once(w.t.Context(), w.feed, w.failingAt("bad", func() error { return errBad }))
	failed, ok := errors.AsType[*projection.HandlerError](err)
	require.True(w.t, ok, "%v", err)
	require.ErrorIs(w.t, err, errBad)
	require.Equal(w.t, "bad", failed.Ref.AggregateID)
	require.Equal(w.t, w.options.Retries+1, failed.Attempts)
	require.Equal(w.t, "counter@1", failed.Projection)
	require.Equal(w.t, Model{2, []string{"a0", "b0"}}, w.model(1))
	order, comparable := w.status(1).Position.Compare(failed.Position)
	require.True(w.t, comparable && order < 0, "the position is not before the change")
	require.Empty(w.t, w.status(1).Owner, "the projection was not given up")

	require.NoError(w.t, w.projection(w.db, 1).Once(w.t.Context(), w.feed, w.counting(1)))
	require.Equal(w.t, Model{4, []string{"a0", "b0", "bad0", "c0"}}, w.model(1))
}

func triesAgain(w *world) {
	w.write("a", "bad", "c")
	attempts := 0
	require.NoError(w.t, w.projection(w.db, 1).Once(w.t.Context(), w.feed, w.failingAt("bad", func() error {
		if attempts++; attempts <= w.options.Retries {
			return errBad
		}
		return nil
	})))
	require.Equal(w.t, Model{3, []string{"a0", "bad0", "c0"}}, w.model(1))
}

func recovers(w *world) {
	w.write("a", "bad")
	err := w.projection(w.db, 1).Once(w.t.Context(), w.feed, w.failingAt("bad", func() error { panic(errBad) }))
	panicked, ok := errors.AsType[*feed.PanicError](err)
	require.True(w.t, ok, "%v", err)
	require.ErrorIs(w.t, panicked, errBad)
	require.NotEmpty(w.t, panicked.Stack)
	require.Equal(w.t, Model{1, []string{"a0"}}, w.model(1))
}

func reportsRefusals(w *world) {
	w.write("a")
	script := &sqlfaults.Script{Decide: func(s sqlfaults.Step) sqlfaults.Verdict {
		if s.Kind == sqlfaults.Commit {
			return sqlfaults.Refuse
		}
		return sqlfaults.Pass
	}}
	err := w.projection(w.process(script), 1).Once(w.t.Context(), w.feed, w.counting(1))
	failed, ok := errors.AsType[*projection.HandlerError](err)
	require.True(w.t, ok, "%v", err)
	require.Equal(w.t, "a", failed.Ref.AggregateID)
	require.ErrorContains(w.t, err, "commit")
	require.Equal(w.t, Model{}, w.model(1))
}

func detectsCommits(w *world) {
	w.write("a", "b")
	err := w.projection(w.db, 1).Once(w.t.Context(), w.feed, func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
		return errors.Join(w.counting(1)(ctx, tx, c), tx.Commit())
	})
	require.ErrorIs(w.t, err, projection.ErrTransactionEnded)
	require.ErrorContains(w.t, err, "rebuild")
}

func detectsRollbacks(w *world) {
	w.write("a")
	for _, after := range []error{nil, errBad} {
		err := w.projection(w.db, 1).Once(w.t.Context(), w.feed, func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
			return errors.Join(w.counting(1)(ctx, tx, c), tx.Rollback(), after)
		})
		require.ErrorIs(w.t, err, projection.ErrTransactionEnded)
		require.NotContains(w.t, err.Error(), "rebuild")
		require.Equal(w.t, Model{}, w.model(1))
		require.True(w.t, w.status(1).Position.IsZero())
	}
}

// survivesLateCommits loses the connection at COMMIT. The server commits when the process
// has read the old position and has begun to try the same changes again.
func survivesLateCommits(w *world) {
	w.write("a", "b")
	w.options.Batch = 1
	commits, updates := 0, 0
	var script *sqlfaults.Script
	script = &sqlfaults.Script{Decide: func(s sqlfaults.Step) sqlfaults.Verdict {
		switch {
		case s.Kind == sqlfaults.Commit:
			if commits++; commits == 1 {
				updates = 0
				return sqlfaults.Late
			}
		case strings.Contains(s.Query, "SET position") && commits == 1:
			if updates++; updates == 2 { // the first update is a beat, which fails if the row is locked
				require.NoError(w.t, script.Land())
			}
		}
		return sqlfaults.Pass
	}}
	require.NoError(w.t, w.projection(w.process(script), 1).Once(w.t.Context(), w.feed, w.counting(1)))
	require.Equal(w.t, Model{2, []string{"a0", "b0"}}, w.model(1))
	require.Equal(w.t, w.end(), w.status(1).Position)
}

func savesSkipped(w *world) {
	w.options.Prefix, w.options.Types = "order/", []string{"opened"}
	w.writeContent("order/1", `{"type":"opened","data":1}`)
	w.writeContent("user/1", `{"type":"opened","data":1}`)
	w.writeContent("order/1", `{"type":"closed","data":1}`)
	r := w.start(w.projection(w.db, 1), w.counting(1))
	w.handled(1, 1)
	w.eventually(func() bool { return w.status(1).Position == w.end() })
	require.NoError(w.t, r.stop())

	w.options.Standby = time.Hour // so that no beat saves the position: the end of the run does
	w.writeContent("user/1", `{"type":"opened","data":1}`)
	w.eventually(func() bool { // a run that is stopped early may not have read the change yet
		r := w.start(w.projection(w.db, 1), w.counting(1))
		time.Sleep(100 * time.Millisecond)
		require.NoError(w.t, r.stop())
		return w.status(1).Position == w.end()
	})
	require.Equal(w.t, Model{1, []string{"order/10"}}, w.model(1))
}

func stopsInOtherHistory(w *world) {
	w.write("a", "b")
	require.NoError(w.t, w.projection(w.db, 1).Once(w.t.Context(), w.feed, w.counting(1)))
	before := w.status(1)
	w.log, w.heads = memstore.New(), nil
	w.feed = w.feedOf(w.log)
	err := w.projection(w.db, 1).Run(w.t.Context(), w.feed, w.counting(1))
	require.ErrorIs(w.t, err, feed.ErrOtherHistory)
	require.ErrorContains(w.t, err, "rebuild")
	require.Equal(w.t, before.Position, w.status(1).Position)
	require.Equal(w.t, 2, w.model(1).Total)
}

// endsWithTheDatabase has two failures. The run counts the second one from its first step
// that is refused.
func endsWithTheDatabase(w *world) {
	w.write("a")
	var down atomic.Bool
	var began atomic.Pointer[time.Time]
	script := &sqlfaults.Script{Decide: func(sqlfaults.Step) sqlfaults.Verdict {
		if !down.Load() {
			return sqlfaults.Pass
		}
		now := time.Now()
		began.CompareAndSwap(nil, &now)
		return sqlfaults.Refuse
	}}
	r := w.start(w.projection(w.process(script), 1), w.counting(1))
	w.handled(1, 1)
	down.Store(true)
	w.write("b")
	time.Sleep(w.options.Standby / 3)
	down.Store(false)
	w.handled(1, 2)
	began.Store(nil)
	down.Store(true)
	err := r.wait()
	require.Error(w.t, err)
	require.ErrorContains(w.t, err, fmt.Sprintf("projection %q", "counter@1"))
	require.GreaterOrEqual(w.t, time.Since(*began.Load()), w.options.Standby)
}
