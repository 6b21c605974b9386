package projectiontests

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"
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
	{"an owner that stops while the database fails for a moment hands over", handsOverAfterFailures},
	{"of two processes that find no owner, one becomes the owner", claimsOnce},
	{"an owner that dies is replaced after standby", takesOver},
	{"a replaced owner calls no handler and commits nothing", shutsOut},
	{"a replaced owner commits nothing, also if its successor has not committed yet", shutsOutAtOnce},
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
	time.Sleep(3 * w.options.Standby)
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
	w.options.Retries, w.options.RetryPause = feed.Forever, w.options.Standby
	var called, good atomic.Bool
	owner := w.start(w.projection(w.process(nil), 1), w.failingAt("a", func() error {
		if good.Load() {
			return nil
		}
		return errBad
	}))
	w.eventually(func() bool { return w.owned() })
	other := w.start(w.projection(w.process(nil), 1), w.refused(&called))
	time.Sleep(3 * w.options.Standby)
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

// handsOver has a process in standby, which looks after a fifteenth part of the time that
// it would wait for a silent owner.
func handsOver(w *world) {
	w.write("a")
	w.options.Standby = time.Minute
	first := w.start(w.projection(w.process(nil), 1), w.counting(1))
	w.handled(1, 1)
	second := w.start(w.projection(w.process(nil), 1), w.counting(1))
	time.Sleep(w.d.standby() / 5) // the second one finds the owner
	require.NoError(w.t, first.stop())
	began := time.Now()
	w.write("b")
	w.handled(1, 2)
	require.Less(w.t, time.Since(began), w.options.Standby/2)
	require.Equal(w.t, uint64(2), w.status(1).Fence)
	require.NoError(w.t, second.stop())
}

// handsOverAfterFailures has an owner whose first attempts to give up the ownership fail
// without an effect, or take effect without a reply.
func handsOverAfterFailures(w *world) {
	w.write("a")
	for _, verdict := range []sqlfaults.Verdict{sqlfaults.Refuse, sqlfaults.Lose} {
		failures := 2
		db := w.process(&sqlfaults.Script{Decide: func(s sqlfaults.Step) sqlfaults.Verdict {
			if strings.Contains(s.Query, "SET owner = ''") && failures > 0 {
				failures--
				return verdict
			}
			return sqlfaults.Pass
		}})
		require.NoError(w.t, w.projection(db, 1).Once(w.t.Context(), w.feed, w.counting(1)), "verdict %d", verdict)
		require.Zero(w.t, failures)
		require.False(w.t, w.owned())
	}
}

// claimsOnce stops a process that has found no owner, just before its claim.
func claimsOnce(w *world) {
	w.write("a")
	db, sleeps, wake := w.asleepAt(1, func(s sqlfaults.Step) bool {
		return strings.Contains(s.Query, "SET owner") && strings.Contains(s.Query, "fence + 1")
	})
	late := w.start(w.projection(db, 1), w.counting(1))
	w.sees(sleeps)
	owner := w.start(w.projection(w.process(nil), 1), w.counting(1))
	w.handled(1, 1)
	wake()
	time.Sleep(w.options.Standby / 2)
	w.write("b")
	w.handled(1, 2)
	require.Equal(w.t, uint64(1), w.status(1).Fence)
	require.NoError(w.t, owner.stop())
	require.NoError(w.t, late.stop())
}

// dying returns a process that works until it must die, and then neither reads nor
// writes. Its last sign of life came after heard.
func (w *world) dying(handler projection.Handler) (r *running, die func(), heard *atomic.Pointer[time.Time]) {
	var dead atomic.Bool
	heard = &atomic.Pointer[time.Time]{}
	script := &sqlfaults.Script{Decide: func(s sqlfaults.Step) sqlfaults.Verdict {
		if dead.Load() {
			return sqlfaults.KillBefore
		}
		if now := time.Now(); strings.Contains(s.Query, "SET position") {
			heard.Store(&now) // before the others can see the new beat
		}
		return sqlfaults.Pass
	}}
	db := w.process(script)
	r = w.start(w.projection(db, 1), handler)
	script.Killed = r.cancel
	return r, func() { dead.Store(true) }, heard
}

func takesOver(w *world) {
	w.write("a")
	first, die, heard := w.dying(w.counting(1))
	w.handled(1, 1)
	second := w.start(w.projection(w.process(nil), 1), w.counting(1))
	time.Sleep(w.options.Standby / 5)
	die()
	died := time.Now()
	w.write("b")
	w.handled(1, 2)
	require.GreaterOrEqual(w.t, time.Since(*heard.Load()), w.options.Standby, "taken over before the owner was silent for long")
	require.Less(w.t, time.Since(died), 3*w.options.Standby)
	require.NoError(w.t, second.stop())
	first.cancel()
	<-first.done
}

// asleep returns a process that is stopped before the BEGIN of one of its transactions,
// until it is woken.
func (w *world) asleep(nth int32) (db *sql.DB, sleeps <-chan struct{}, wake func()) {
	return w.asleepAt(nth, func(s sqlfaults.Step) bool { return s.Kind == sqlfaults.Begin })
}

// asleepAt returns a process that is stopped before the nth of its steps of a kind.
func (w *world) asleepAt(nth int32, is func(sqlfaults.Step) bool) (db *sql.DB, sleeps <-chan struct{}, wake func()) {
	reached, woken := make(chan struct{}), make(chan struct{})
	var seen atomic.Int32
	script := &sqlfaults.Script{Decide: func(s sqlfaults.Step) sqlfaults.Verdict {
		if is(s) && seen.Add(1) == nth {
			close(reached)
			<-woken
		}
		return sqlfaults.Pass
	}}
	wake = sync.OnceFunc(func() { close(woken) })
	db = w.process(script)
	w.t.Cleanup(wake)
	return db, reached, wake
}

// sees waits for an event of another process.
func (w *world) sees(event <-chan struct{}) {
	w.t.Helper()
	select {
	case <-event:
	case <-time.After(time.Minute):
		require.Fail(w.t, "it never happened")
	}
}

// shutsOut stops an owner before the BEGIN of its second transaction. When it goes on,
// another owner has handled its changes.
func shutsOut(w *world) {
	var late atomic.Bool
	first, wake := w.asleepBeforeB(&late)
	second := w.start(w.projection(w.process(nil), 1), w.counting(1))
	w.handled(1, 2)
	wake()
	require.ErrorIs(w.t, first.wait(), projection.ErrReplaced)
	require.False(w.t, late.Load(), "the handler of a replaced owner was called")
	require.Equal(w.t, Model{2, []string{"a0", "b0"}}, w.model(1))
	require.NoError(w.t, second.stop())
}

// asleepBeforeB starts an owner that is stopped before the BEGIN of its second
// transaction, for a change of b.
func (w *world) asleepBeforeB(called *atomic.Bool) (owner *running, wake func()) {
	w.write("a")
	db, sleeps, wake := w.asleep(2)
	owner = w.start(w.projection(db, 1), w.noting("b", called))
	w.handled(1, 1)
	w.write("b")
	w.sees(sleeps)
	return owner, wake
}

// noting is the handler of the first version. It notes that it was called for an
// aggregate.
func (w *world) noting(id string, called *atomic.Bool) projection.Handler {
	return func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
		if c.AggregateID == id {
			called.Store(true)
		}
		return w.counting(1)(ctx, tx, c)
	}
}

// shutsOutAtOnce also stops the second owner, before its first transaction.
func shutsOutAtOnce(w *world) {
	var late atomic.Bool
	first, wake := w.asleepBeforeB(&late)
	otherDB, otherSleeps, wakeOther := w.asleep(1)
	second := w.start(w.projection(otherDB, 1), w.counting(1))
	w.sees(otherSleeps)
	wake()
	require.ErrorIs(w.t, first.wait(), projection.ErrReplaced)
	require.False(w.t, late.Load(), "the handler of a replaced owner was called")
	require.Equal(w.t, Model{1, []string{"a0"}}, w.model(1))
	wakeOther()
	w.handled(1, 2)
	require.NoError(w.t, second.stop())
}

// shutsOutMidway takes the connection from an owner within its transaction. The database
// rolls back, another owner comes, and then the first owner goes on.
func shutsOutMidway(w *world) {
	w.write("a")
	reached, woken := make(chan struct{}), make(chan struct{})
	wake := sync.OnceFunc(func() { close(woken) })
	w.t.Cleanup(wake)
	var calls atomic.Int32
	first := w.start(w.projection(w.process(nil), 1), func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
		err := w.counting(1)(ctx, tx, c)
		if calls.Add(1) == 1 {
			err = errors.Join(err, tx.Rollback()) // as the server does when a connection ends
			close(reached)
			<-woken
			err = errors.Join(err, errBad)
		}
		return err
	})
	w.sees(reached)
	second := w.start(w.projection(w.process(nil), 1), w.counting(1))
	w.handled(1, 1)
	wake()
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
