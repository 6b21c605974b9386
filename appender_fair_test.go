package ropewalk_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/internal/chaintest"
)

// Two busy appenders of two processes, at 20 ms a request: both get their turns.
func TestAppendersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain, _ := hot(true)
		appenders := []*ropewalk.Appender{chain.NewAppender(nil), chain.NewAppender(nil)}
		made := appendFor(t, 2*time.Minute, 8, func(n int) *ropewalk.Appender { return appenders[n%2] })
		even, odd := 0, 0
		for n := 0; n < len(made); n += 2 {
			even, odd = even+made[n], odd+made[n+1]
		}
		t.Logf("in two minutes: %d and %d", even, odd)
		require.Greater(t, min(even, odd), (even+odd)/10)
	})
}

// appendFor lets n callers append for a while, and returns how often each did.
func appendFor(t *testing.T, period time.Duration, n int, of func(n int) *ropewalk.Appender) []int {
	ctx, cancel := context.WithTimeout(t.Context(), period)
	defer cancel()
	made := make([]int, n)
	atOnce(n, func(n int) {
		for ctx.Err() == nil {
			if _, err := of(n).Append(ctx, chaintest.Draft("blind")); err == nil {
				made[n]++
			}
		}
	})
	return made
}

// A busy appender leaves gaps that a decision fits into, sooner or later.
func TestAppenderLetsOthersDecide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain, _ := hot(true)
		appender := chain.NewAppender(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		decided := 0
		var group sync.WaitGroup
		group.Go(func() {
			for ctx.Err() == nil {
				if _, err := chain.Update(ctx, func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
					return []changeset.Draft{chaintest.Draft("decided")}, nil
				}); err == nil {
					decided++
				}
			}
		})
		appendFor(t, time.Minute, 8, func(int) *ropewalk.Appender { return appender })
		group.Wait()
		t.Logf("in a minute: %d decided", decided)
		require.GreaterOrEqual(t, decided, 3)
	})
}

// What must be built again keeps its place before what came later.
func TestAppenderKeepsTheOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var script faults.Script
		s, appender := hotWorld(t, &script, true, 1)
		script.On(faults.Swap, 1, faults.Fault{DelayBefore: 5 * time.Second})
		l := &ledger{}
		for n := range 3 { // one in the swap, one prepared, one in the queue
			if n == 2 {
				script.On(faults.Put, 2, faults.Fault{DelayBefore: 10 * time.Second})
			}
			go l.call(t.Context(), appender, 1, "")
			time.Sleep(time.Second)
		}
		rival(t, s)
		time.Sleep(time.Minute)
		l.requireTrue(t, s.Contents(t))
		require.Equal(t, []string{"1.0", "2.0", "3.0"}, s.Contents(t)[2:])
	})
}

// A call whose context has ended is not built again after another writer's append.
func TestAppenderRefusedForGoodWhenTheTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var script faults.Script
		s, appender := hotWorld(t, &script, true, 1)
		script.On(faults.Swap, 1, faults.Fault{DelayBefore: 5 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l := &ledger{}
		time.AfterFunc(2*time.Second, func() { rival(t, s) })
		o := l.call(ctx, appender, 1, "")
		require.ErrorIs(t, o.err, context.DeadlineExceeded)
		require.Nil(t, o.uncertain())
		require.Len(t, s.Contents(t), 2)
		require.Equal(t, 1, script.Calls(faults.Swap))
	})
}

// Contents are the caller's again when Append returns: it waits for a put that
// does not heed its context.
func TestAppenderReturnsContents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var script faults.Script
		_, appender := hotWorld(t, &script, true, 1)
		script.On(faults.Put, 1, faults.Fault{Before: func() { time.Sleep(5 * time.Second) }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := appender.Append(ctx, chaintest.Draft("x"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}

// Callers that never have the time for a put do not keep the others away.
func TestAppenderWithHastyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var script faults.Script
		s, appender := hotWorld(t, &script, true, 1)
		script.Every(faults.Put, faults.Fault{DelayBefore: 20 * time.Millisecond})
		stop, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for n := range 5 {
			group.Go(func() {
				time.Sleep(time.Duration(3*n) * time.Millisecond)
				for stop.Err() == nil {
					ctx, cancel := context.WithTimeout(stop, 15*time.Millisecond)
					_, _ = appender.Append(ctx, chaintest.Draft("hasty"))
					cancel()
				}
			})
		}
		time.Sleep(time.Second)
		l := &ledger{}
		ctx, done := context.WithTimeout(t.Context(), time.Minute)
		defer done()
		require.NoError(t, l.call(ctx, appender, 1, "").err)
		cancel()
		group.Wait()
		l.requireTrue(t, s.Contents(t))
	})
}

// A head that is lost under a swap ends the calls that wait, too.
func TestAppenderLostHeadEndsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var script faults.Script
		s, appender := hotWorld(t, &script, true, 3)
		script.On(faults.Swap, 1, faults.Fault{DelayBefore: 5 * time.Second, Before: func() {
			s.Heads.(*memstore.Store).Tamper(func(c *memstore.Contents) { clear(c.Heads) })
		}})
		atOnce(6, func(n int) {
			time.Sleep(time.Duration(n) * time.Second / 2)
			_, err := appender.Append(t.Context(), chaintest.Draft("x"))
			if !errors.Is(err, ropewalk.ErrHeadLost) {
				t.Errorf("%d: %v", n, err)
			}
		})
	})
}

// After an uncertain swap the prepared batch goes on if the head is the head that
// it was prepared for. Otherwise it is built again.
func TestAppenderAfterAnUncertainSwap(t *testing.T) {
	for name, kind := range map[string]faults.Kind{"committed": faults.Lost, "pending": faults.Dropped} {
		for _, meanwhile := range []string{"nobody", "a rival", "a fence"} {
			t.Run(fmt.Sprintf("%s, %s", name, meanwhile), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var script faults.Script
					s, appender := hotWorld(t, &script, true, 1)
					l := &ledger{}
					script.On(faults.Swap, 1, faults.Fault{Kind: kind, DelayBefore: time.Second})
					time.AfterFunc(500*time.Millisecond, func() { script.Every(faults.Load, faults.Fault{Kind: faults.HangBefore}) })
					time.AfterFunc(5*time.Second, func() {
						switch meanwhile {
						case "a rival":
							rival(t, s)
						case "a fence":
							fence(t, s)
						}
					})
					time.AfterFunc(10500*time.Millisecond, func() { script.Every(faults.Load, faults.Fault{}) })
					var group sync.WaitGroup
					group.Go(func() { l.call(t.Context(), appender, 1, "") })
					synctest.Wait()
					group.Go(func() { l.call(t.Context(), appender, 2, "") })
					group.Wait()
					for _, o := range l.all { // in the order in which they returned
						if o.contents[0] == "1.0" {
							require.NotNil(t, o.uncertain())
						} else {
							require.NoError(t, o.err)
						}
					}
					if name == "committed" && meanwhile == "nobody" {
						require.Equal(t, 3, script.Calls(faults.Put), "what was prepared is used")
					} else {
						require.Equal(t, 5, script.Calls(faults.Put))
					}
					l.settle(t, s)
					l.requireTrue(t, s.Contents(t))
				})
			})
		}
	}
}
