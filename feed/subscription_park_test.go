package feed_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/feed"
)

var errWrong = errors.New("wrong")

// failing is a handler that fails for some changes, by their names.
func (c *consumers) failing(wrong map[string]bool) feed.Handler {
	return func(ctx context.Context, change feed.Change) error {
		c.mu.Lock()
		fails := wrong[names([]feed.Change{change})[0]]
		c.mu.Unlock()
		if fails {
			return errWrong
		}
		return c.handle(ctx, change)
	}
}

// allow lets a change succeed from now on.
func (c *consumers) allow(wrong map[string]bool, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(wrong, name)
}

func TestParkedAggregateWaitsWithItsLaterChanges(t *testing.T) {
	for _, parallel := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			c := newConsumers(t)
			c.write("a", "b", "a", "b", "a", "b")
			s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Park: true, Parallel: parallel})
			wrong := map[string]bool{"a1": true}
			r := start(t, s, c.failing(wrong))
			time.Sleep(2 * time.Second)
			c.write("a", "b")
			time.Sleep(10 * time.Second)
			requireEachOnceInOrder(t, c.changes(), map[string]int{"a": 1, "b": 4})
			status := statusOf(t, s)
			require.Equal(t, endOf(t, c.feed()), status.Position, "others go on")
			require.Len(t, status.Parked, 1)
			require.Equal(t, "a", status.Parked[0].AggregateID)
			require.Equal(t, uint64(1), status.Parked[0].Version)
			require.Equal(t, "error", status.Parked[0].Reason)
			require.NoError(t, r.stop())

			r = start(t, s, c.failing(nil)) // the list is kept
			c.write("a")
			time.Sleep(10 * time.Second)
			requireEachOnceInOrder(t, c.changes(), map[string]int{"a": 1, "b": 4})

			require.NoError(t, s.Replay(t.Context()))
			require.True(t, statusOf(t, s).Replaying)
			time.Sleep(10 * time.Second)
			c.write("a")
			time.Sleep(10 * time.Second)
			requireEachOnceInOrder(t, c.changes(), map[string]int{"a": 6, "b": 4})
			require.Empty(t, statusOf(t, s).Parked)
			require.False(t, statusOf(t, s).Replaying)
			require.NoError(t, r.stop())
		})
	}
}

// The position and the list are one swap: there is no save at which a parked change
// is neither before the checkpoint nor on the list.
func TestParkedChangeIsNeverForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		for i := range 30 {
			c.write(fmt.Sprint("a", i%10))
		}
		s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Park: true, Parallel: 3, SaveEvery: time.Millisecond})
		r := start(t, s, func(ctx context.Context, change feed.Change) error {
			time.Sleep(time.Duration(change.Version+1) * 3 * time.Millisecond)
			if change.Version == 1 {
				return errWrong
			}
			return c.handle(ctx, change)
		})
		for range 40 {
			time.Sleep(time.Millisecond)
			status := statusOf(t, s)
			handled := names(c.changes())
			parked := map[string]bool{}
			for _, p := range status.Parked {
				parked[p.AggregateID] = true
			}
			for change, err := range c.feed().After(t.Context(), feed.Position{}) {
				require.NoError(t, err)
				if order, _ := change.Position.Compare(status.Position); order <= 0 && !parked[change.AggregateID] {
					require.Contains(t, handled, names([]feed.Change{change})[0])
				}
			}
		}
		require.NoError(t, r.stop())
	})
}

func TestListOfParkedAggregatesIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a", "b", "ok", "a", "c", "ok")
		s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Park: true, MaxParked: 2})
		handler := func(ctx context.Context, change feed.Change) error {
			if change.AggregateID != "ok" {
				panic("wrong")
			}
			return c.handle(ctx, change)
		}
		for range 2 {
			err := s.Run(t.Context(), handler)
			require.ErrorIs(t, err, feed.ErrTooManyParked)
			require.ErrorContains(t, err, c.heads["c"].Ref.String())
			require.Equal(t, "ok0", c.seen())
			status := statusOf(t, s)
			require.Len(t, status.Parked, 2)
			require.Equal(t, "panic", status.Parked[1].Reason)
			lag, err := s.Lag(t.Context())
			require.NoError(t, err)
			require.Equal(t, uint64(2), lag.Changes, "the checkpoint is before the change that could not be parked")
		}
		s = c.feed().Subscription("orders", &feed.SubscriptionOptions{Park: true, MaxParked: 3})
		require.NoError(t, start(t, s, handler).stopAfter(time.Second))
		require.Equal(t, "ok0 ok1", c.seen())
	})
}

// While changes are replayed, new changes of the same and of other aggregates
// arrive. Each is handled once and in order.
func TestReplayWhileChangesArrive(t *testing.T) {
	for _, parallel := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			c := newConsumers(t)
			wrong := map[string]bool{"a1": true, "b0": true}
			slow := func(ctx context.Context, change feed.Change) error {
				time.Sleep(70 * time.Millisecond)
				return c.failing(wrong)(ctx, change)
			}
			s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Park: true, Parallel: parallel})
			r := start(t, s, slow)
			for i := range 300 {
				c.write("a", "b", "c")
				time.Sleep(210 * time.Millisecond / 3)
				switch i {
				case 50:
					c.allow(wrong, "a1")
					c.allow(wrong, "b0")
				case 60, 120:
					require.NoError(t, s.Replay(t.Context()))
				}
			}
			require.NoError(t, r.stopAfter(5*time.Minute))
			requireEachOnceInOrder(t, c.changes(), map[string]int{"a": 300, "b": 300, "c": 300})
			require.Empty(t, statusOf(t, s).Parked)
		})
	}
}

func TestReplayThatFailsAgainParksFromThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a", "b", "a", "b", "a", "b", "a")
		wrong := map[string]bool{"a0": true, "a2": true, "b1": true}
		s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Park: true})
		r := start(t, s, c.failing(wrong))
		time.Sleep(2 * time.Second)
		require.Equal(t, "b0", c.seen())
		c.allow(wrong, "a0")
		require.NoError(t, s.Replay(t.Context()))
		time.Sleep(20 * time.Second)
		require.Equal(t, "b0 a0 a1", c.seen())
		status := statusOf(t, s)
		require.False(t, status.Replaying)
		require.Equal(t, uint64(2), status.Parked[0].Version)
		require.Equal(t, uint64(1), status.Parked[1].Version)
		c.allow(wrong, "a2")
		c.allow(wrong, "b1")
		c.write("a", "b")
		require.NoError(t, s.Replay(t.Context()))
		time.Sleep(20 * time.Second)
		requireEachOnceInOrder(t, c.changes(), map[string]int{"a": 5, "b": 4})
		require.NoError(t, r.stop())
	})
}

// A change is under way when a replay is asked for, and its aggregate is parked then.
// It stays parked, because it was not part of the replay, or failed in it.
func TestReplayForgetsNothingThatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a", "b", "b", "a", "b")
		wrong := map[string]bool{"a0": true, "b0": true}
		s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Park: true, Parallel: 2})
		r := start(t, s, func(ctx context.Context, change feed.Change) error {
			if change.AggregateID == "b" {
				time.Sleep(20 * time.Second)
			}
			return c.failing(wrong)(ctx, change)
		})
		time.Sleep(2 * time.Second) // the list is saved
		c.allow(wrong, "a0")
		require.NoError(t, s.Replay(t.Context()))
		time.Sleep(time.Minute)
		require.Equal(t, "a0 a1", c.seen())
		require.Len(t, statusOf(t, s).Parked, 1)
		require.Equal(t, uint64(0), statusOf(t, s).Parked[0].Version)
		c.allow(wrong, "b0")
		require.NoError(t, s.Replay(t.Context()))
		require.NoError(t, r.stopAfter(2*time.Minute))
		require.Equal(t, "a0 a1 b0 b1 b2", c.seen())
	})
}

// A process that is killed during a replay leaves the rest of it to the next one.
func TestReplayGoesOnAfterADeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		for range 100 {
			c.write("a")
		}
		wrong := map[string]bool{"a0": true}
		options := &feed.SubscriptionOptions{Park: true}
		require.NoError(t, start(t, c.feed().Subscription("orders", options), c.failing(wrong)).stopAfter(time.Second))
		c.allow(wrong, "a0")
		require.NoError(t, c.feed().Subscription("orders", options).Replay(t.Context()))
		slow := func(ctx context.Context, change feed.Change) error {
			time.Sleep(100 * time.Millisecond)
			return c.handle(ctx, change)
		}
		var script faults.Script
		dying := start(t, c.process(&script).Subscription("orders", options), slow)
		time.Sleep(5 * time.Second)
		script.Every(faults.Swap, faults.Fault{Kind: faults.Dropped})
		require.Error(t, dying.stop())
		handled := len(c.changes())
		require.InDelta(t, 50, handled, 2)
		next := start(t, c.feed().Subscription("orders", options), slow)
		time.Sleep(time.Minute)
		require.NoError(t, next.stop())
		requireNoGap(t, c, 100)
		require.LessOrEqual(t, len(c.changes()), 100+12, "at most what was handled since the last save is repeated")
	})
}

func TestErasedParkedAggregateIsReplayedAsErased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a", "a", "b", "a")
		wrong := map[string]bool{"a1": true}
		s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Park: true})
		r := start(t, s, c.failing(wrong))
		time.Sleep(2 * time.Second)
		c.erase("a")
		time.Sleep(2 * time.Second)
		require.Equal(t, "a0 b0", c.seen())
		require.NoError(t, s.Replay(t.Context()))
		time.Sleep(20 * time.Second)
		require.Equal(t, "a0 b0 a!", c.seen())
		require.Empty(t, statusOf(t, s).Parked)
		require.NoError(t, r.stop())
	})
}

func TestReplayWithoutAnOwnerWaitsForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Park: true})
		require.ErrorIs(t, s.Replay(t.Context()), ropewalk.ErrNotFound)
		c.write("a")
		wrong := map[string]bool{"a0": true}
		require.NoError(t, start(t, s, c.failing(wrong)).stopAfter(time.Second))
		require.NoError(t, s.Replay(t.Context()))
		c.write("a")
		require.NoError(t, start(t, s, c.failing(nil)).stopAfter(time.Second))
		require.Equal(t, "a0 a1", c.seen())
		require.NoError(t, s.Replay(t.Context()), "nothing is parked")
		require.False(t, statusOf(t, s).Replaying)
	})
}

func TestResetLetsTheSubscriptionGoOnElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a", "b", "c")
		s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Park: true})
		require.NoError(t, start(t, s, c.failing(map[string]bool{"a0": true, "c0": true})).stopAfter(time.Second))
		require.Len(t, statusOf(t, s).Parked, 2)
		b := c.changes()[0].Position
		require.NoError(t, s.Reset(t.Context(), b))
		require.Len(t, statusOf(t, s).Parked, 1, "a comes before the position, and c is delivered again")
		require.NoError(t, start(t, s, c.handle).stopAfter(time.Second))
		require.Equal(t, "b0 c0", c.seen())
		require.NoError(t, s.Reset(t.Context(), feed.Position{}))
		require.Empty(t, statusOf(t, s).Parked)
		require.NoError(t, start(t, s, c.handle).stopAfter(time.Second))
		require.Equal(t, "b0 c0 a0 b0 c0", c.seen())
	})
}

// A checkpoint that the feed does not have, because a backup was restored or the
// feed is another one, stays as it is.
func TestCheckpointOfAnotherHistory(t *testing.T) {
	damages := map[string]func(c *consumers){
		"ahead of the feed": func(c *consumers) { c.db.Tamper(func(stored *memstore.Contents) { stored.Log = stored.Log[:1] }) },
		"another feed":      func(c *consumers) { c.db = c.db.Clone() },
		"another history":   func(c *consumers) { c.db.Tamper(func(stored *memstore.Contents) { stored.Log[1].Mark[7] ^= 1 }) },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newConsumers(t)
				c.write("a", "b")
				s := c.feed().Subscription("orders", nil)
				require.NoError(t, start(t, s, c.handle).stopAfter(time.Second))
				before := statusOf(t, s).Position
				old := before
				damage(c)
				s = feed.Open(ropewalk.New(c.db, c.db, nil), nil).Subscription("orders", nil)
				for range 2 {
					err := s.Run(t.Context(), c.handle)
					require.ErrorIs(t, err, feed.ErrOtherHistory)
					require.ErrorContains(t, err, "reset")
					require.ErrorContains(t, err, before.String())
				}
				_, err := s.Lag(t.Context())
				require.ErrorIs(t, err, feed.ErrOtherHistory)
				require.Equal(t, before, statusOf(t, s).Position)
				require.Equal(t, "a0 b0", c.seen())
				require.ErrorIs(t, s.Reset(t.Context(), old), feed.ErrOtherHistory)
				require.NoError(t, s.Reset(t.Context(), feed.Position{}))
				require.NoError(t, start(t, s, c.handle).stopAfter(time.Second))
				require.Greater(t, len(c.changes()), 2)
			})
		})
	}
}

func TestListAndDeletionOfSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a")
		f := c.feed()
		list := func() (all []string) {
			for status, err := range f.Subscriptions(t.Context()) {
				require.NoError(t, err)
				all = append(all, status.Name+status.Share.String())
			}
			return all
		}
		require.Empty(t, list())
		half := f.Subscription("orders", &feed.SubscriptionOptions{Share: feed.Share{Index: 2, Of: 2}})
		whole := f.Subscription("orders", nil)
		for _, s := range []*feed.Subscription{whole, half, f.Subscription("mail", nil)} {
			require.NoError(t, start(t, s, c.handle).stopAfter(time.Second))
		}
		require.Equal(t, []string{"mail", "orders", "orders2-of-2"}, list())
		fence := statusOf(t, whole).Fence

		owner := start(t, whole, c.handle)
		time.Sleep(time.Second)
		require.NoError(t, whole.Delete(t.Context()))
		require.ErrorIs(t, <-owner.done, feed.ErrReplaced)
		require.Equal(t, []string{"mail", "orders2-of-2"}, list())
		require.ErrorIs(t, whole.Delete(t.Context()), ropewalk.ErrNotFound)

		c.handled = nil
		require.NoError(t, start(t, whole, c.handle).stopAfter(time.Second))
		require.Equal(t, "a0", c.seen(), "it is new")
		require.Greater(t, c.changes()[0].Fence, fence, "and its fence still grows")
		require.Len(t, list(), 3)
	})
}

func TestLagCountsWhatIsNotDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Prefix: "order-"})
		_, err := s.Lag(t.Context())
		require.ErrorIs(t, err, ropewalk.ErrNotFound)
		c.write("order-1")
		require.NoError(t, start(t, s, c.handle).stopAfter(time.Second))
		lag, err := s.Lag(t.Context())
		require.NoError(t, err)
		require.Zero(t, lag.Changes)
		require.True(t, lag.Oldest.IsZero())
		require.Equal(t, lag.End, lag.Position)

		c.write("user-1")
		time.Sleep(time.Hour)
		written := time.Now()
		_, err = c.store.Chain("order-2").Create(t.Context(), changeset.Draft{}, changeset.Draft{}, changeset.Draft{})
		require.NoError(t, err)
		time.Sleep(time.Hour)
		c.write("order-1", "user-1", "order-1")
		lag, err = s.Lag(t.Context())
		require.NoError(t, err)
		require.Equal(t, uint64(5), lag.Changes)
		require.False(t, lag.AtLeast)
		require.True(t, lag.Oldest.Equal(written))
		require.Equal(t, endOf(t, c.feed()), lag.End)
	})
}
