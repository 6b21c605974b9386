package feed_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk"
	"ropewalk/faults"
	"ropewalk/feed"
	"ropewalk/head"
)

// Each request of creating, claiming, saving and giving up goes wrong once, in each
// way. Nothing is lost, and the run ends as if nothing had happened.
func TestSubscriptionSurvivesFaultsAtEveryRequest(t *testing.T) {
	kinds := map[string]faults.Fault{
		"dropped":     {Kind: faults.Dropped},
		"lost":        {Kind: faults.Lost},
		"late":        {Kind: faults.Late, LateBy: 700 * time.Millisecond},
		"much later":  {Kind: faults.Late, LateBy: 20 * time.Second},
		"refused":     {Kind: faults.Refused, Retryable: true},
		"hang before": {Kind: faults.HangBefore},
		"hang after":  {Kind: faults.HangAfter},
	}
	for name, fault := range kinds {
		for _, op := range []faults.Op{faults.Load, faults.Swap} {
			for call := 1; call <= 7; call++ {
				if fault.Kind == faults.Late && op == faults.Load {
					continue // the same as dropped
				}
				t.Run(fmt.Sprint(op, " ", call, " ", name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { surviveFault(t, op, call, fault) })
				})
			}
		}
	}
}

func surviveFault(t *testing.T, op faults.Op, call int, fault faults.Fault) {
	c := newConsumers(t)
	c.write("b", "d") // of format 1: their heads are not loaded
	var script faults.Script
	script.On(op, call, fault)
	r := start(t, c.process(&script).Subscription("orders", nil), c.handle)
	time.Sleep(20 * time.Second)
	for range 6 {
		c.write("b")
		if op == faults.Load {
			c.fence("$subscription-orders") // the next save meets a conflict, and loads
		}
		time.Sleep(6 * time.Second)
	}
	require.Empty(t, script.Unused())
	s := c.feed().Subscription("orders", nil)
	require.NoError(t, s.Reset(t.Context(), feed.Position{}))
	require.ErrorIs(t, <-r.done, feed.ErrReplaced)
	require.NoError(t, start(t, s, func(context.Context, feed.Change) error { return nil }).stopAfter(time.Second))
	require.Equal(t, "b0 d0 b1 b2 b3 b4 b5 b6", c.seen(), "in one run, each once")
	status := statusOf(t, s)
	require.Equal(t, endOf(t, c.feed()), status.Position)
	require.Empty(t, status.Owner)
	require.Equal(t, uint64(2), status.Fence, "one owner for each run")
}

func TestRefusedSaveEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a")
		var script faults.Script
		s := c.process(&script).Subscription("orders", nil)
		r := start(t, s, c.handle)
		synctest.Wait()
		script.Every(faults.Swap, faults.Fault{Kind: faults.Refused, Err: errors.New("denied")})
		require.ErrorContains(t, <-r.done, "denied")
	})
}

// A process that the others do not hear of is replaced. It may handle one window of
// changes more, and not one change after the time of standby.
func TestReplacedOwnerHandlesAtMostOneWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		var script faults.Script
		first := start(t, c.process(&script).Subscription("orders", nil), c.handle)
		time.Sleep(10 * time.Second)
		second := start(t, c.feed().Subscription("orders", nil), c.handle)
		time.Sleep(10 * time.Second)
		script.Every(faults.Swap, faults.Fault{Kind: faults.Dropped})
		script.Every(faults.Load, faults.Fault{Kind: faults.Dropped})
		for range 400 {
			c.write("d", "b") // of format 1: their heads are not loaded
		}
		time.Sleep(10 * time.Second)
		require.Len(t, c.changes(), 256, "no more than one window without a save")
		time.Sleep(10 * time.Second)
		require.Error(t, <-first.done)
		require.NoError(t, second.stop())
		changes := c.changes()
		require.Len(t, changes, 256+800)
		for _, change := range changes[:256] {
			require.Equal(t, uint64(1), change.Fence)
		}
		requireEachOnceInOrder(t, changes[256:], map[string]int{"d": 400, "b": 400})
		require.Equal(t, uint64(2), changes[256].Fence)
	})
}

func TestOwnerWithoutNewsOfItselfHandlesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		var script faults.Script
		first := start(t, c.process(&script).Subscription("orders", nil), c.handle)
		time.Sleep(time.Second)
		script.Every(faults.Swap, faults.Fault{Kind: faults.HangBefore})
		time.Sleep(16 * time.Second) // the owner has not noticed that its save fails
		c.write("a")
		time.Sleep(time.Second)
		require.Empty(t, c.changes())
		require.Error(t, <-first.done)
	})
}

// The owner learns at its next save that it was replaced.
func TestReplacedOwnerEndsAtItsNextSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		s := c.feed().Subscription("orders", nil)
		r := start(t, s, func(ctx context.Context, change feed.Change) error {
			time.Sleep(time.Millisecond)
			return c.handle(ctx, change)
		})
		time.Sleep(10 * time.Second)
		require.NoError(t, s.Reset(t.Context(), feed.Position{}))
		replaced := time.Now()
		for range 2000 {
			c.write("a")
		}
		require.ErrorIs(t, <-r.done, feed.ErrReplaced)
		require.LessOrEqual(t, time.Since(replaced), time.Second)
		require.LessOrEqual(t, len(c.changes()), 256)
	})
}

// conflicting claims of each swap that the record has changed.
type conflicting struct {
	head.PassThrough
	swaps int
}

func (s *conflicting) Swap(context.Context, head.Head, head.Head) (head.Head, error) {
	s.swaps++
	return head.Head{}, &head.ConflictError{}
}

func TestConflictWithoutAChangeIsNotRepeatedForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		lying := &conflicting{PassThrough: head.NewPassThrough(c.db)}
		err := feed.Open(ropewalk.New(c.db, lying, nil), nil).Subscription("orders", nil).Run(t.Context(), c.handle)
		_, conflict := errors.AsType[*head.ConflictError](err)
		require.True(t, conflict, "%v", err)
		require.LessOrEqual(t, lying.swaps, 100)
	})
}

// The handlers of a replaced owner get no time of grace.
func TestReplacedOwnerEndsItsHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a")
		s := c.feed().Subscription("orders", nil)
		r := start(t, s, func(ctx context.Context, _ feed.Change) error {
			<-ctx.Done()
			return ctx.Err()
		})
		time.Sleep(10 * time.Second)
		began := time.Now()
		require.NoError(t, s.Reset(t.Context(), feed.Position{}))
		require.ErrorIs(t, <-r.done, feed.ErrReplaced)
		require.LessOrEqual(t, time.Since(began), 5*time.Second)
	})
}

func TestLateClaimOfADeadProcessDoesNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a")
		var script faults.Script
		script.On(faults.Swap, 3, faults.Fault{Kind: faults.Late, LateBy: 30 * time.Second}) // the claim
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		require.NoError(t, c.process(&script).Subscription("orders", nil).Run(ctx, c.handle))
		require.Empty(t, script.Unused())
		r := start(t, c.feed().Subscription("orders", nil), c.handle)
		time.Sleep(40 * time.Second)
		c.write("b")
		require.NoError(t, r.stopAfter(time.Second))
		require.Equal(t, "a0 b0", c.seen())
	})
}

// A fence of gc raises the revision and nothing else: it is no news, and replaces
// no owner.
func TestFenceOfTheHeadIsNotANewOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a")
		s := c.feed().Subscription("orders", nil)
		r := start(t, s, c.handle)
		for range 20 {
			time.Sleep(700 * time.Millisecond)
			c.fence("$subscription-orders")
			c.write("a")
		}
		require.NoError(t, r.stopAfter(time.Second))
		require.Equal(t, uint64(1), statusOf(t, s).Fence)
		require.Equal(t, endOf(t, c.feed()), statusOf(t, s).Position)
	})
}

// killPlan is the life of one process.
type killPlan struct {
	runs, writes int
	parallel     int
	window       int
}

// Processes are killed at any moment: their requests no longer arrive. The
// changes of each aggregate are handed over in order, without gaps,
// and each at least once.
func TestKilledProcessesLeaveNoGap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plans := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) killPlan {
			return killPlan{
				rapid.IntRange(0, 4000).Draw(rt, "runs"), rapid.IntRange(0, 40).Draw(rt, "writes"),
				rapid.IntRange(1, 4).Draw(rt, "parallel"), rapid.IntRange(1, 30).Draw(rt, "window"),
			}
		}), 1, 6).Draw(rt, "plans")
		park := rapid.Bool().Draw(rt, "park")
		synctest.Test(t, func(t *testing.T) { killEach(t, plans, park) })
	})
}

func killEach(t *testing.T, plans []killPlan, park bool) {
	c := newConsumers(t)
	ids := []string{"a", "b", "c"}
	total := 0
	for _, plan := range plans {
		for i := range plan.writes {
			c.write(ids[(i*i+i/3)%3])
		}
		total += plan.writes
		killed(t, c, plan, park)
	}
	s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Park: park})
	r := start(t, s, c.handle)
	time.Sleep(20 * time.Second)
	require.NoError(t, s.Replay(t.Context()))
	require.NoError(t, r.stopAfter(20*time.Second))
	require.Empty(t, statusOf(t, s).Parked)
	requireNoGap(t, c, total)
}

// killed runs a process, and kills it.
func killed(t *testing.T, c *consumers, plan killPlan, park bool) {
	var script faults.Script
	s := c.process(&script).Subscription("orders", &feed.SubscriptionOptions{Parallel: plan.parallel, Window: plan.window, Park: park, MaxParked: 3})
	dead := make(chan struct{})
	calls := 0
	r := start(t, s, func(ctx context.Context, change feed.Change) error {
		select {
		case <-time.After(time.Duration(change.Version%5) * 30 * time.Millisecond):
		case <-dead:
			return errors.New("dead")
		}
		c.mu.Lock()
		calls++
		fails := park && calls%7 == 3
		c.mu.Unlock()
		if fails {
			return errors.New("failed")
		}
		return c.handle(ctx, change)
	})
	time.Sleep(16*time.Second + time.Duration(plan.runs)*time.Millisecond)
	if park && plan.runs%3 == 0 {
		_ = s.Replay(t.Context())
		time.Sleep(time.Duration(5000+plan.runs) * time.Millisecond)
	}
	for _, op := range []faults.Op{faults.Swap, faults.Load, faults.Get} {
		script.Every(op, faults.Fault{Kind: faults.Dropped})
	}
	close(dead)
	_ = r.stop()
}

func requireNoGap(t *testing.T, c *consumers, total int) {
	next := map[string]uint64{}
	for _, change := range c.changes() {
		id := change.AggregateID
		require.LessOrEqual(t, change.Version, next[id], "a change was left out")
		next[id] = max(next[id], change.Version+1)
	}
	sum := 0
	for id := range next {
		require.Equal(t, c.heads[id].Len(), next[id])
		sum += int(next[id])
	}
	require.Equal(t, total, sum)
}
