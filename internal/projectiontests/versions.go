package projectiontests

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/feed"
	"ropewalk/head"
	"ropewalk/internal/sqlfaults"
	"ropewalk/projection"
)

var versionChecks = []check{
	{"another version is refused", refusesOtherVersions},
	{"a version is built beside the live one, which then ends", rebuilds},
	{"a version is not switched to before it has handled as much as the live one", waitsForTheLive},
	{"a version is not switched to if the live one is found to be ahead", waitsEarlier},
	{"the switch and the function for it are one transaction", switchesAtOnce},
	{"a switch whose COMMIT is not answered is found out", survivesLostSwitches},
	{"each step of a rebuild and of its switch fails, or ends the process", rebuildsThroughFaults},
	{"a rebuild that is interrupted goes on", resumesRebuilds},
	{"a switch can be taken back", switchesBack},
	{"a rebuild is the way out of another history", rebuildsInOtherHistory},
	{"a dropped version begins again, and the live one is not dropped", drops},
}

func refusesOtherVersions(w *world) {
	w.write("a")
	require.NoError(w.t, w.projection(w.db, 2).Once(w.t.Context(), w.feed, w.counting(2)))
	for _, version := range []int{1, 3} {
		err := w.projection(w.db, version).Run(w.t.Context(), w.feed, w.counting(1))
		require.ErrorIs(w.t, err, projection.ErrOtherVersion)
		require.ErrorContains(w.t, err, "version 2 is")
		require.ErrorContains(w.t, err, fmt.Sprintf("rebuild the projection as version %d", version))
	}
	require.Zero(w.t, w.model(1).Total)
	live, err := w.projection(w.db, 1).Live(w.t.Context())
	require.NoError(w.t, err)
	require.Equal(w.t, 2, live)
}

// rebuilds makes a second version while the first goes on, and changes come.
func rebuilds(w *world) {
	w.write("a", "b")
	old := w.start(w.projection(w.process(nil), 1), w.counting(1))
	standingBy := w.start(w.projection(w.process(nil), 1), w.counting(1))
	w.handled(1, 2)
	switched := 0
	err := w.projection(w.process(nil), 2).Rebuild(w.t.Context(), w.feed, w.slowly(2), func(ctx context.Context, tx *sql.Tx) error {
		switched++
		return nil
	})
	require.NoError(w.t, err)
	require.Equal(w.t, 1, switched)
	require.True(w.t, w.status(2).Live)
	require.False(w.t, w.status(1).Live)
	frozen := w.model(1)
	w.write("c", "d")
	oldErr, standbyErr := old.wait(), standingBy.wait()
	require.True(w.t, errors.Is(oldErr, projection.ErrReplaced) || errors.Is(standbyErr, projection.ErrReplaced), "%v, %v", oldErr, standbyErr)
	for _, err := range []error{oldErr, standbyErr} {
		require.True(w.t, errors.Is(err, projection.ErrReplaced) || errors.Is(err, projection.ErrOtherVersion), "%v", err)
	}
	require.Equal(w.t, frozen, w.model(1), "the old version went on after the switch")
	require.NoError(w.t, w.projection(w.db, 2).Once(w.t.Context(), w.feed, w.counting(2)))
	require.Equal(w.t, 4+w.heads0("w"), w.model(2).Total)
	require.NoError(w.t, w.projection(w.db, 2).Rebuild(w.t.Context(), w.feed, w.counting(2), nil), "it is live already")
}

// slowly is the handler of a version, during which further changes come.
func (w *world) slowly(version int) projection.Handler {
	return func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
		if c.AggregateID != "w" || c.Version < 3 {
			w.write("w")
		}
		return w.counting(version)(ctx, tx, c)
	}
}

// heads0 returns the number of changesets of an aggregate.
func (w *world) heads0(id string) int {
	if h := w.heads[id]; h.Exists() {
		return int(h.Version) + 1
	}
	return 0
}

// waitsForTheLive stops a rebuild just before the transaction of the switch. Meanwhile a
// change comes, and the live version handles it.
func waitsForTheLive(w *world) { w.waitsBefore(sqlfaults.Begin) }

// waitsEarlier stops it before it looks where the live version is.
func waitsEarlier(w *world) { w.waitsBefore(sqlfaults.Query) }

// waitsBefore stops a rebuild before its first step of a kind after its first COMMIT, by
// which it has caught up.
func (w *world) waitsBefore(kind string) {
	w.write("a")
	live := w.start(w.projection(w.process(nil), 1), w.counting(1))
	w.handled(1, 1)
	var committed atomic.Bool
	db, sleeps, wake := w.asleepAt(1, func(s sqlfaults.Step) bool {
		committed.CompareAndSwap(false, s.Kind == sqlfaults.Commit)
		return committed.Load() && s.Kind == kind
	})
	counts := []int{0, 0}
	rebuild := w.begin(func(ctx context.Context) error {
		return w.projection(db, 2).Rebuild(ctx, w.feed, w.counting(2), func(ctx context.Context, tx *sql.Tx) error {
			return errors.Join(tx.QueryRowContext(ctx, "SELECT n FROM total").Scan(&counts[0]), tx.QueryRowContext(ctx, "SELECT n FROM total2").Scan(&counts[1]))
		})
	})
	w.sees(sleeps)
	require.Equal(w.t, 1, w.model(2).Total, "it has not caught up yet")
	w.write("b")
	w.handled(1, 2)
	wake()
	require.NoError(w.t, rebuild.wait())
	require.Equal(w.t, []int{2, 2}, counts, "what both versions had handled at the switch")
	require.ErrorIs(w.t, live.wait(), projection.ErrReplaced)
}

func switchesAtOnce(w *world) {
	w.write("a")
	require.NoError(w.t, w.projection(w.db, 1).Once(w.t.Context(), w.feed, w.counting(1)))
	p := w.projection(w.process(nil), 2)
	calls := 0
	err := p.Rebuild(w.t.Context(), w.feed, w.counting(2), func(ctx context.Context, tx *sql.Tx) error {
		calls++
		_, err := tx.ExecContext(ctx, "UPDATE total SET n = 100")
		return errors.Join(errBad, err)
	})
	require.ErrorIs(w.t, err, errBad)
	require.Greater(w.t, calls, 1, "a failure is tried again")
	require.Equal(w.t, 1, w.model(1).Total)
	require.True(w.t, w.status(1).Live)

	err = p.Rebuild(w.t.Context(), w.feed, w.counting(2), func(ctx context.Context, tx *sql.Tx) error { return tx.Rollback() })
	require.ErrorIs(w.t, err, projection.ErrTransactionEnded)
	require.True(w.t, w.status(1).Live)

	require.NoError(w.t, p.Rebuild(w.t.Context(), w.feed, w.counting(2), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE total SET n = 100")
		return err
	}))
	require.Equal(w.t, 100, w.model(1).Total)
	require.True(w.t, w.status(2).Live)
}

func survivesLostSwitches(w *world) {
	w.write("a")
	require.NoError(w.t, w.projection(w.db, 1).Once(w.t.Context(), w.feed, w.counting(1)))
	for _, test := range []struct {
		commit sqlfaults.Verdict
		load   sqlfaults.Verdict // of the position afterwards
		calls  int               // of the switch function
	}{
		{sqlfaults.Refuse, sqlfaults.Pass, 2},
		{sqlfaults.Lose, sqlfaults.Pass, 1},
		{sqlfaults.Refuse, sqlfaults.Refuse, 2},
		{sqlfaults.Lose, sqlfaults.Refuse, 1},
	} {
		to := 3 - w.liveVersion()
		commits, loads, calls := 0, 0, 0
		script := &sqlfaults.Script{Decide: func(s sqlfaults.Step) sqlfaults.Verdict {
			if s.Kind == sqlfaults.Commit && calls > 0 {
				if commits++; commits == 1 {
					return test.commit
				}
			}
			if s.Kind == sqlfaults.Query && commits > 0 {
				if loads++; loads == 1 {
					return test.load
				}
			}
			return sqlfaults.Pass
		}}
		require.NoError(w.t, w.projection(w.process(script), to).Rebuild(w.t.Context(), w.feed, w.counting(to), func(context.Context, *sql.Tx) error {
			calls++
			return nil
		}))
		require.Equal(w.t, to, w.liveVersion())
		require.Equal(w.t, test.calls, calls)
	}
}

func rebuildsThroughFaults(w *world) {
	w.write("a", "b", "a")
	require.NoError(w.t, w.projection(w.db, 1).Once(w.t.Context(), w.feed, w.counting(1)))
	verdicts := []sqlfaults.Verdict{sqlfaults.Refuse, sqlfaults.Lose, sqlfaults.KillBefore, sqlfaults.KillAfter}
	stride := 1
	if testing.Short() {
		stride = 11
	}
	for i := 0; ; i += stride {
		reached := w.fails(i/len(verdicts)+1, verdicts[i%len(verdicts)])
		if !reached {
			require.Greater(w.t, i, 10*len(verdicts))
			return
		}
	}
}

// fails rebuilds the projection in another database, where one step fails. It reports
// whether there is such a step.
func (w *world) fails(number int, verdict sqlfaults.Verdict) (reached bool) {
	w.t.Helper()
	other := newWorld(w.t, w.d)
	other.log, other.feed, other.options.Batch = w.log, w.feed, 1
	first, second := other.projection(other.db, 1), other.projection(other.db, 2)
	require.NoError(w.t, first.Once(w.t.Context(), w.feed, w.counting(1)))
	script := &sqlfaults.Script{Decide: func(s sqlfaults.Step) sqlfaults.Verdict {
		if s.Number == number {
			reached = true
			return verdict
		}
		return sqlfaults.Pass
	}}
	ctx, kill := context.WithCancel(w.t.Context())
	defer kill()
	script.Killed = kill
	_ = other.projection(other.process(script), 2).Rebuild(ctx, w.feed, w.counting(2), nil)
	other.eventually(func() bool { // a dead owner is silent for long, and its transaction ends a little later
		_, err := other.db.ExecContext(w.t.Context(), "UPDATE ropewalk_projections SET owner = ''")
		return err == nil
	})
	require.NoError(w.t, second.Rebuild(w.t.Context(), w.feed, w.counting(2), nil), "step %d, verdict %d", number, verdict)
	require.Equal(w.t, 2, other.liveVersion(), "step %d, verdict %d", number, verdict)
	require.Equal(w.t, w.model(1), other.model(2), "step %d, verdict %d", number, verdict)
	require.ErrorIs(w.t, first.Once(w.t.Context(), w.feed, w.counting(1)), projection.ErrOtherVersion)
	require.NoError(w.t, other.db.Close())
	return reached
}

func (w *world) liveVersion() int {
	w.t.Helper()
	live, err := w.projection(w.db, 9).Live(w.t.Context())
	require.NoError(w.t, err)
	return live
}

func resumesRebuilds(w *world) {
	w.write("a", "b", "c", "d")
	require.NoError(w.t, w.projection(w.db, 1).Once(w.t.Context(), w.feed, w.counting(1)))
	w.options.Batch = 1
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	err := w.projection(w.db, 2).Rebuild(ctx, w.feed, func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
		if c.AggregateID == "c" {
			cancel()
		}
		return w.counting(2)(ctx, tx, c)
	}, nil)
	require.ErrorIs(w.t, err, context.Canceled)
	require.Equal(w.t, 2, w.model(2).Total)
	require.True(w.t, w.status(1).Live)
	require.NoError(w.t, w.projection(w.db, 2).Rebuild(w.t.Context(), w.feed, w.counting(2), nil))
	require.Equal(w.t, w.model(1), w.model(2))
}

func switchesBack(w *world) {
	w.write("a")
	require.NoError(w.t, w.projection(w.db, 1).Once(w.t.Context(), w.feed, w.counting(1)))
	require.NoError(w.t, w.projection(w.db, 2).Rebuild(w.t.Context(), w.feed, w.counting(2), nil))
	w.write("b")
	require.NoError(w.t, w.projection(w.db, 2).Once(w.t.Context(), w.feed, w.counting(2)))
	require.NoError(w.t, w.projection(w.db, 1).Rebuild(w.t.Context(), w.feed, w.counting(1), nil))
	require.Equal(w.t, 1, w.liveVersion())
	require.Equal(w.t, Model{2, []string{"a0", "b0"}}, w.model(1))
}

func rebuildsInOtherHistory(w *world) {
	w.write("a", "b", "c")
	require.NoError(w.t, w.projection(w.db, 1).Once(w.t.Context(), w.feed, w.counting(1)))
	w.log, w.heads = memstore.New(), map[string]head.Head{}
	w.feed = w.feedOf(w.log)
	w.write("x")
	require.NoError(w.t, w.projection(w.db, 2).Rebuild(w.t.Context(), w.feed, w.counting(2), nil))
	require.Equal(w.t, 2, w.liveVersion())
	require.Equal(w.t, Model{1, []string{"x0"}}, w.model(2))
}

func drops(w *world) {
	w.write("a")
	require.NoError(w.t, w.projection(w.db, 1).Once(w.t.Context(), w.feed, w.counting(1)))
	never := func(ctx context.Context, tx *sql.Tx) error { return errors.New("it must not be called") }
	require.ErrorContains(w.t, w.projection(w.db, 1).Drop(w.t.Context(), never), "the version is live")

	rebuilding := w.begin(func(ctx context.Context) error {
		return w.projection(w.process(nil), 2).Rebuild(ctx, w.feed, w.counting(2), func(context.Context, *sql.Tx) error { return errBad })
	})
	w.handled(2, 1)
	empty := func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE total2 SET n = 0")
		if err == nil {
			_, err = tx.ExecContext(ctx, "DELETE FROM handled2")
		}
		return err
	}
	w.eventually(func() bool { return w.projection(w.db, 2).Drop(w.t.Context(), empty) == nil })
	require.ErrorIs(w.t, rebuilding.wait(), projection.ErrReplaced)
	require.Equal(w.t, Model{}, w.model(2))
	require.NoError(w.t, w.projection(w.db, 2).Rebuild(w.t.Context(), w.feed, w.counting(2), nil))
	require.Equal(w.t, w.model(1), w.model(2))
}
