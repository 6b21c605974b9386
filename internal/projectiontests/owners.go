package projectiontests

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/feed"
	"ropewalk/internal/sqlfaults"
	"ropewalk/projection"
)

var ownerChecks = []check{
	{"an owner without changes is not replaced", staysOwner},
	{"an owner whose handler fails is not replaced", staysOwnerInTrouble},
	{"an owner that stops hands over at once", handsOver},
	{"an owner that dies is replaced after standby", takesOver},
	{"a replaced owner calls no handler and commits nothing", shutsOut},
	{"a replaced owner that is within a transaction commits nothing", shutsOutMidway},
	{"many instances start at once, and each change counts once", startsAtOnce},
}

// refused is a handler that must not be called.
func (w *world) refused(called *atomic.Bool) projection.Handler {
	return func(context.Context, *sql.Tx, feed.Change) error {
		called.Store(true)
		return errBad
	}
}

func staysOwner(w *world) {
	w.write("a")
	var called atomic.Bool
	owner := w.start(w.projection(w.process(nil), 1), w.counting(1))
	w.handled(1, 1)
	other := w.start(w.projection(w.process(nil), 1), w.refused(&called))
	time.Sleep(3 * standby)
	w.write("b")
	w.handled(1, 2)
	require.Equal(w.t, uint64(1), w.status(1).Fence)
	require.NoError(w.t, other.stop())
	require.NoError(w.t, owner.stop())
	require.False(w.t, called.Load(), "two instances called their handlers")
	require.Empty(w.t, w.status(1).Owner)
}

func staysOwnerInTrouble(w *world) {
	w.write("a")
	w.options.Retries, w.options.RetryPause = feed.Forever, standby
	var called, good atomic.Bool
	owner := w.start(w.projection(w.process(nil), 1), w.failingAt("a", func() error {
		if good.Load() {
			return nil
		}
		return errBad
	}))
	w.eventually(func() bool { return w.owned() })
	other := w.start(w.projection(w.process(nil), 1), w.refused(&called))
	time.Sleep(3 * standby)
	good.Store(true)
	w.handled(1, 1)
	require.Equal(w.t, uint64(1), w.status(1).Fence)
	require.NoError(w.t, other.stop())
	require.NoError(w.t, owner.stop())
	require.False(w.t, called.Load())
}

// owned reports whether the first version has an owner. The table may not exist yet.
func (w *world) owned() bool {
	all, err := w.projection(w.db, 1).Status(w.t.Context())
	return err == nil && len(all) > 0 && all[0].Owner != ""
}

func handsOver(w *world) {
	w.write("a")
	first := w.start(w.projection(w.process(nil), 1), w.counting(1))
	w.handled(1, 1)
	second := w.start(w.projection(w.process(nil), 1), w.counting(1))
	time.Sleep(standby / 5)
	require.NoError(w.t, first.stop())
	began := time.Now()
	w.write("b")
	w.handled(1, 2)
	require.Less(w.t, time.Since(began), standby/2)
	require.Equal(w.t, uint64(2), w.status(1).Fence)
	require.NoError(w.t, second.stop())
}

// dying returns a process that works until it is told to die, and then neither reads nor
// writes.
func (w *world) dying(handler projection.Handler) (r *running, die func()) {
	var dead atomic.Bool
	script := &sqlfaults.Script{Decide: func(sqlfaults.Step) sqlfaults.Verdict {
		if dead.Load() {
			return sqlfaults.KillBefore
		}
		return sqlfaults.Pass
	}}
	db := w.process(script)
	r = w.start(w.projection(db, 1), handler)
	script.Killed = r.cancel
	return r, func() { dead.Store(true) }
}

func takesOver(w *world) {
	w.write("a")
	first, die := w.dying(w.counting(1))
	w.handled(1, 1)
	second := w.start(w.projection(w.process(nil), 1), w.counting(1))
	time.Sleep(standby / 5)
	die()
	began := time.Now()
	w.write("b")
	w.handled(1, 2)
	require.GreaterOrEqual(w.t, time.Since(began), standby/2, "taken over before the owner was silent for long")
	require.Less(w.t, time.Since(began), 3*standby)
	require.NoError(w.t, second.stop())
	first.cancel()
	<-first.done
}

// asleep returns a process that is stopped at a step for as long as wake is not closed.
func (w *world) asleep(at func(sqlfaults.Step) bool) (db *sql.DB, sleeps <-chan struct{}, wake chan struct{}) {
	reached := make(chan struct{})
	wake = make(chan struct{})
	var once atomic.Bool
	script := &sqlfaults.Script{Decide: func(s sqlfaults.Step) sqlfaults.Verdict {
		if at(s) && once.CompareAndSwap(false, true) {
			close(reached)
			<-wake
		}
		return sqlfaults.Pass
	}}
	return w.process(script), reached, wake
}

// shutsOut stops an owner before the BEGIN of its second transaction. When it goes on,
// another owner has handled its changes.
func shutsOut(w *world) {
	w.write("a")
	begins := 0
	db, sleeps, wake := w.asleep(func(s sqlfaults.Step) bool {
		if s.Kind == sqlfaults.Begin {
			begins++
		}
		return begins == 2
	})
	var late atomic.Int32
	first := w.start(w.projection(db, 1), func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
		if c.AggregateID != "a" {
			late.Add(1)
		}
		return w.counting(1)(ctx, tx, c)
	})
	w.handled(1, 1)
	w.write("b")
	<-sleeps
	second := w.start(w.projection(w.process(nil), 1), w.counting(1))
	w.handled(1, 2)
	close(wake)
	require.ErrorIs(w.t, first.wait(), projection.ErrReplaced)
	require.Zero(w.t, late.Load(), "the handler of a replaced owner was called")
	require.Equal(w.t, Model{2, []string{"a0", "b0"}}, w.model(1))
	require.NoError(w.t, second.stop())
}

// shutsOutMidway takes the connection from an owner within its transaction. The database
// rolls back, another owner comes, and then the first owner goes on.
func shutsOutMidway(w *world) {
	w.write("a")
	reached, wake := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	first := w.start(w.projection(w.process(nil), 1), func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
		err := w.counting(1)(ctx, tx, c)
		if calls.Add(1) == 1 {
			err = errors.Join(err, tx.Rollback()) // as the server does when a connection ends
			close(reached)
			<-wake
			err = errors.Join(err, errBad)
		}
		return err
	})
	<-reached
	second := w.start(w.projection(w.process(nil), 1), w.counting(1))
	w.handled(1, 1)
	close(wake)
	require.Error(w.t, first.wait())
	require.Equal(w.t, int32(1), calls.Load())
	require.Equal(w.t, Model{1, []string{"a0"}}, w.model(1))
	require.NoError(w.t, second.stop())
}

func startsAtOnce(w *world) {
	var all []*running
	for range 4 {
		all = append(all, w.start(w.projection(w.process(nil), 1), w.counting(1)))
	}
	var want []string
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		w.write(id)
		want = append(want, id+"0")
		time.Sleep(10 * time.Millisecond)
	}
	w.handled(1, 6)
	for len(all) > 0 { // one after another hands over
		require.NoError(w.t, all[0].stop())
		all = all[1:]
		if len(all) > 0 {
			id := "z" + string(rune('0'+len(all)))
			w.write(id)
			want = append(want, id+"0")
			w.handled(1, len(want))
		}
	}
	slices.Sort(want)
	require.Equal(w.t, Model{len(want), want}, w.model(1))
}
