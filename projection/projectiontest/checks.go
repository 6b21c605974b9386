package projectiontest

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/feed"
	"ropewalk/internal/sqlfaults"
	"ropewalk/projection"
)

// orders is in how many orders a history is delivered.
const orders = 5

// sample is how many steps are left out with -short before the next step that fails.
const sample = 10

// maxRuns is how many processes may be needed to get to the end of a history.
const maxRuns = 100

func repeats(t testing.TB, s Subject) {
	h := newHistory(t, s)
	require.Equal(t, expected(t, s, h), expected(t, s, h), "the read models of two runs")
}

func interleaves(t testing.TB, s Subject) {
	if s.Ordered {
		return
	}
	h := newHistory(t, s)
	want := expected(t, s, h)
	for seed := range uint64(orders) {
		require.Equal(t, want, expected(t, s, h.shuffled(t, seed)), "the read model of order %d", seed)
	}
}

var errAgain = errors.New("projectiontest: hand the change over again")

func redelivers(t testing.TB, s Subject) {
	h := newHistory(t, s)
	want := expected(t, s, h)
	w := newWorld(t, s, h)
	seen := map[feed.Position]int{}
	handler := func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
		err := s.Handler(ctx, tx, c)
		if seen[c.Position]++; seen[c.Position] <= 2 {
			return errors.Join(errAgain, err)
		}
		return err
	}
	require.NoError(t, w.projection(w.db).Once(t.Context(), h.feed, handler))
	require.Equal(t, want, w.model(), "the read model")
}

// steps returns how many steps an undisturbed run has, and what its read model says.
func steps(t testing.TB, s Subject, h *history) (int, any) {
	w := newWorld(t, s, h)
	script := &sqlfaults.Script{}
	require.NoError(t, w.process(script, s.Handler))
	return script.Steps(), w.model()
}

// process runs the projection in a process whose steps a script decides about. A killed
// process ends without an error.
func (w *world) process(script *sqlfaults.Script, handler projection.Handler) error {
	ctx, kill := context.WithCancel(w.t.Context())
	defer kill()
	script.Killed = kill
	db, err := sqlfaults.Open(w.driver, w.dsn, script)
	if err != nil {
		return err
	}
	return errors.Join(w.projection(db).Once(ctx, w.history.feed, handler), db.Close())
}

// finish starts processes, in which nothing goes wrong, until one comes to the end.
func (w *world) finish() {
	w.t.Helper()
	w.free()
	require.NoError(w.t, w.projection(w.db).Once(w.t.Context(), w.history.feed, w.subject.Handler))
}

func losesReplies(t testing.TB, s Subject) {
	eachStep(t, s, sqlfaults.Refuse, sqlfaults.Lose)
}

func kills(t testing.TB, s Subject) {
	eachStep(t, s, sqlfaults.KillBefore, sqlfaults.KillAfter)
}

// eachStep runs the projection once for each of its steps and each verdict, lets the step
// have the verdict, and then finishes the history.
func eachStep(t testing.TB, s Subject, verdicts ...sqlfaults.Verdict) {
	h := newHistory(t, s)
	n, want := steps(t, s, h)
	stride := 1
	if testing.Short() {
		stride = 1 + sample
	}
	for i := 0; i < n*len(verdicts); i += stride {
		number, verdict := 1+i/len(verdicts), verdicts[i%len(verdicts)]
		w := newWorld(t, s, h)
		script := &sqlfaults.Script{Decide: func(step sqlfaults.Step) sqlfaults.Verdict {
			if step.Number == number {
				return verdict
			}
			return sqlfaults.Pass
		}}
		_ = w.process(script, s.Handler) // it can fail, for example to give the projection up
		w.finish()
		require.Equal(t, want, w.model(), "the read model after step %d had verdict %d", number, verdict)
		require.NoError(t, w.db.Close())
	}
}

func losesCommits(t testing.TB, s Subject) {
	h := newHistory(t, s)
	want := expected(t, s, h)
	w := newWorld(t, s, h)
	commits := 0
	script := &sqlfaults.Script{Decide: func(step sqlfaults.Step) sqlfaults.Verdict {
		if step.Kind != sqlfaults.Commit {
			return sqlfaults.Pass
		}
		commits++
		return []sqlfaults.Verdict{sqlfaults.Refuse, sqlfaults.Lose}[commits%2]
	}}
	require.NoError(t, w.process(script, s.Handler))
	require.Equal(t, want, w.model(), "the read model")
}

// takesTurns lets two processes, which are killed now and then, take the projection from
// each other.
func takesTurns(t testing.TB, s Subject) {
	h := newHistory(t, s)
	want := expected(t, s, h)
	w := newWorld(t, s, h)
	var running, freeing sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer freeing.Wait()
	defer stop()
	freeing.Go(func() { w.freeOften(ctx) })
	errs := make([]error, 2)
	for i := range errs {
		running.Go(func() { errs[i] = w.restart(uint64(i)) })
	}
	running.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, want, w.model(), "the read model")
}

func (w *world) freeOften(ctx context.Context) {
	for ctx.Err() == nil {
		w.free()
		select {
		case <-ctx.Done():
		case <-time.After(3 * time.Millisecond):
		}
	}
}

// restart starts process after process until one comes to the end. The first processes
// are killed at some step.
func (w *world) restart(seed uint64) error {
	random := rand.New(rand.NewPCG(seed, 1))
	var err error
	for range maxRuns {
		last := 1 + random.IntN(40)
		script := &sqlfaults.Script{Decide: func(step sqlfaults.Step) sqlfaults.Verdict {
			if step.Number == last {
				return sqlfaults.KillBefore + sqlfaults.Verdict(last%2)
			}
			return sqlfaults.Pass
		}}
		err = w.process(script, w.subject.Handler)
		if err == nil && !script.Dead() {
			return nil
		}
		if err != nil && !errors.Is(err, projection.ErrReplaced) && !script.Dead() {
			return err
		}
	}
	return errors.Join(errors.New("projectiontest: the end of the history was never reached"), err)
}
