package feed_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/feed"
)

func TestSubscriptionGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a", "b", "a")
		s := c.feed().Subscription("orders", nil)
		first := start(t, s, c.handle)
		time.Sleep(time.Second / 2)
		require.Equal(t, "a0 b0 a1", c.seen())
		c.write("b")
		synctest.Wait()
		require.NoError(t, first.stop())
		require.Equal(t, "a0 b0 a1 b1", c.seen())
		status := statusOf(t, s)
		require.Equal(t, endOf(t, c.feed()), status.Position)
		require.Empty(t, status.Owner)

		c.write("c")
		second := start(t, s, c.handle)
		time.Sleep(time.Second / 2)
		require.NoError(t, second.stop())
		require.Equal(t, "a0 b0 a1 b1 c0", c.seen())
		changes := c.changes()
		require.Less(t, changes[0].Fence, changes[4].Fence)
		require.Equal(t, "content of c", string(changes[4].Content))
	})
}

func TestSubscriptionBeginsWhereItsOptionsSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a")
		after := endOf(t, c.feed())
		c.write("b")
		for name, tt := range map[string]struct {
			options *feed.SubscriptionOptions
			want    string
		}{
			"c": {&feed.SubscriptionOptions{FromNow: true}, ""}, "bc": {&feed.SubscriptionOptions{From: after}, "b0"}, "abc": {nil, "a0 b0"},
		} {
			s := c.feed().Subscription(name, tt.options)
			require.NoError(t, start(t, s, c.handle).stopAfter(time.Second))
			require.Equal(t, tt.want, c.seen(), name)
			c.handled = nil
		}
		c.write("c")
		for _, name := range []string{"c", "bc", "abc"} {
			s := c.feed().Subscription(name, nil) // From and FromNow only count at first
			require.NoError(t, start(t, s, c.handle).stopAfter(time.Second))
			require.Equal(t, "c0", c.seen(), name)
			c.handled = nil
		}
	})
}

// stopAfter lets the run go on for a while.
func (r *running) stopAfter(d time.Duration) error {
	time.Sleep(d)
	return r.stop()
}

// Two processes take turns, as a rolling deployment makes them: a subscription is
// never without an owner for longer than a look of the process in standby.
func TestRollingDeploymentNeverEndsWithoutAnOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		old := start(t, c.feed().Subscription("orders", nil), c.handle)
		for i := range 5 {
			time.Sleep(3 * time.Second)
			next := start(t, c.feed().Subscription("orders", nil), c.handle)
			time.Sleep(40 * time.Second)
			require.NoError(t, old.stop())
			c.write("a")
			time.Sleep(3 * time.Second / 2)
			require.Len(t, c.changes(), i+1, "the process in standby has taken over")
			old = next
		}
		require.NoError(t, old.stop())
		require.Equal(t, "a0 a1 a2 a3 a4", c.seen())
	})
}

func TestSlowHandlerKeepsItsOwnership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a", "b")
		s := c.feed().Subscription("orders", nil)
		slow := start(t, s, func(ctx context.Context, change feed.Change) error {
			time.Sleep(5 * time.Minute)
			return c.handle(ctx, change)
		})
		time.Sleep(time.Second)
		standby := start(t, c.feed().Subscription("orders", nil), func(context.Context, feed.Change) error {
			t.Error("the process in standby has taken over")
			return nil
		})
		time.Sleep(11 * time.Minute)
		require.NoError(t, standby.stop())
		require.NoError(t, slow.stop())
		require.Equal(t, "a0 b0", c.seen())
	})
}

func TestFailedChangeStopsTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a", "b", "c")
		s := c.feed().Subscription("orders", nil)
		wrong := errors.New("wrong")
		err := s.Run(t.Context(), func(ctx context.Context, change feed.Change) error {
			if change.AggregateID == "b" {
				return wrong
			}
			return c.handle(ctx, change)
		})
		require.ErrorIs(t, err, wrong)
		failed, ok := errors.AsType[*feed.HandlerError](err)
		require.True(t, ok)
		require.Equal(t, c.heads["b"].Ref, failed.Ref)
		require.Equal(t, 1, failed.Attempts)
		require.Equal(t, c.changes()[0].Position, statusOf(t, s).Position, "the checkpoint is before the change")
		require.Empty(t, statusOf(t, s).Owner)
		require.NoError(t, start(t, s, c.handle).stopAfter(time.Second))
		require.Equal(t, "a0 b0 c0", c.seen())
	})
}

func TestFailedChangeIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a", "b")
		failing := func(times int) feed.Handler {
			return func(ctx context.Context, change feed.Change) error {
				if times--; times >= 0 {
					return errors.New("not yet")
				}
				return c.handle(ctx, change)
			}
		}
		s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Retries: 3})
		began := time.Now()
		err := s.Run(t.Context(), failing(4))
		failed, ok := errors.AsType[*feed.HandlerError](err)
		require.True(t, ok)
		require.Equal(t, 4, failed.Attempts)
		require.Greater(t, time.Since(began), 200*time.Millisecond, "attempts are spaced")
		require.NoError(t, start(t, s, failing(3)).stopAfter(time.Minute))
		require.Equal(t, "a0 b0", c.seen())

		c.write("c")
		s = c.feed().Subscription("orders", &feed.SubscriptionOptions{Retries: feed.Forever})
		require.NoError(t, start(t, s, failing(50)).stopAfter(2*time.Hour))
		require.Equal(t, "a0 b0 c0", c.seen())
	})
}

func TestPanicIsAnErrorOfTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a")
		s := c.feed().Subscription("orders", nil)
		err := s.Run(t.Context(), func(context.Context, feed.Change) error { panic("out of order") })
		panicked, ok := errors.AsType[*feed.PanicError](err)
		require.True(t, ok)
		require.Equal(t, "out of order", panicked.Value)
		require.Contains(t, string(panicked.Stack), "TestPanicIsAnErrorOfTheHandler")
		require.ErrorContains(t, err, c.heads["a"].Ref.String())

		err = s.Run(t.Context(), func(context.Context, feed.Change) error {
			(&testing.T{}).SkipNow()
			return nil
		})
		require.ErrorContains(t, err, "runtime.Goexit")
		require.NoError(t, start(t, s, c.handle).stopAfter(time.Second))
		require.Equal(t, "a0", c.seen())
	})
}

func TestStopGivesHandlersTimeToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a", "b")
		s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Park: true})
		r := start(t, s, func(ctx context.Context, change feed.Change) error {
			select {
			case <-time.After(9 * time.Second):
				return c.handle(ctx, change)
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		time.Sleep(time.Second)
		began := time.Now()
		require.NoError(t, r.stop())
		require.Equal(t, 8*time.Second, time.Since(began), "the handler could end its work")
		require.Equal(t, "a0", c.seen(), "no new change was handed over")
		require.Equal(t, c.changes()[0].Position, statusOf(t, s).Position)

		r = start(t, s, func(ctx context.Context, change feed.Change) error {
			<-ctx.Done()
			return ctx.Err()
		})
		time.Sleep(time.Second)
		began = time.Now()
		require.NoError(t, r.stop(), "an unfinished change is not an error of its handler")
		require.Equal(t, 10*time.Second, time.Since(began), "the time of grace")
		require.Empty(t, statusOf(t, s).Owner)
		require.Empty(t, statusOf(t, s).Parked)
		require.NoError(t, start(t, s, c.handle).stopAfter(time.Second))
		require.Equal(t, "a0 b0", c.seen())
	})
}

// With the highest finished position as the checkpoint, a0 would be lost.
func TestCheckpointIsTheLowestUnfinishedPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("z")
		before := endOf(t, c.feed())
		c.write("a", "b", "c", "b")
		s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Parallel: 3})
		stuck := errors.New("stuck")
		r := start(t, s, func(ctx context.Context, change feed.Change) error {
			if change.AggregateID == "a" {
				time.Sleep(time.Minute)
				return stuck
			}
			return c.handle(ctx, change)
		})
		time.Sleep(30 * time.Second)
		require.Len(t, c.changes(), 4, "others are not held up")
		require.Equal(t, before, statusOf(t, s).Position)
		require.ErrorIs(t, <-r.done, stuck)
		require.Equal(t, before, statusOf(t, s).Position)
		require.NoError(t, start(t, s, c.handle).stopAfter(time.Second))
		require.Contains(t, c.seen(), "a0")
		require.Equal(t, endOf(t, c.feed()), statusOf(t, s).Position)
	})
}

func TestParallelKeepsTheOrderOfEachAggregate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		for range 20 {
			c.write("a", "b", "c", "d", "e")
		}
		s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Parallel: 3})
		active, most, of := 0, 0, map[string]int{}
		r := start(t, s, func(ctx context.Context, change feed.Change) error {
			c.mu.Lock()
			active++
			of[change.AggregateID]++
			most = max(most, active)
			if of[change.AggregateID] > 1 {
				t.Error("two changes of an aggregate are under way")
			}
			c.mu.Unlock()
			time.Sleep(time.Duration(change.Content[len(change.Content)-1]) * time.Millisecond)
			c.mu.Lock()
			active--
			of[change.AggregateID]--
			c.mu.Unlock()
			return c.handle(ctx, change)
		})
		require.NoError(t, r.stopAfter(time.Minute))
		require.Equal(t, 3, most)
		requireEachOnceInOrder(t, c.changes(), map[string]int{"a": 20, "b": 20, "c": 20, "d": 20, "e": 20})
	})
}

func requireEachOnceInOrder(t *testing.T, changes []feed.Change, want map[string]int) {
	t.Helper()
	got := map[string]int{}
	for _, change := range changes {
		require.Equal(t, uint64(got[change.AggregateID]), change.Version, "%s", change.Ref)
		got[change.AggregateID]++
	}
	require.Equal(t, want, got)
}

func TestChangesInFlightAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("stuck")
		for i := range 3000 {
			c.write(fmt.Sprint("a", i%7))
		}
		release := make(chan struct{})
		s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Parallel: 4})
		r := start(t, s, func(ctx context.Context, change feed.Change) error {
			if change.AggregateID == "stuck" {
				<-release
			}
			return c.handle(ctx, change)
		})
		time.Sleep(time.Minute)
		require.Len(t, c.changes(), 1023, "1,024 changes are under way, one of which is stuck")
		close(release)
		require.NoError(t, r.stopAfter(time.Minute))
		require.Len(t, c.changes(), 3001)
	})
}

func TestBatchesHaveWhatHasCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a", "b", "a", "b", "a", "b")
		var sizes []int
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Window: 4, Park: true})
		err := s.RunBatch(ctx, func(ctx context.Context, changes []feed.Change) error {
			sizes = append(sizes, len(changes))
			time.Sleep(time.Second)
			for _, change := range changes {
				if change.AggregateID == "b" && change.Version == 1 {
					return errors.New("wrong")
				}
			}
			c.handled = append(c.handled, changes...)
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, "a0 b0 a1 a2", c.seen(), "the changes of a batch that failed are handed over one at a time")
		require.Greater(t, slices.Max(sizes), 1)
		require.LessOrEqual(t, slices.Max(sizes), 4)
		require.Len(t, statusOf(t, s).Parked, 1)
	})
}

func TestShareHasEachAggregateOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		want := map[string]int{}
		for i := range 200 {
			id := fmt.Sprint("order-", i)
			c.write(id)
			want[id] = 1
		}
		const of = 4
		for i := 1; i <= of; i++ {
			s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Share: feed.Share{Index: i, Of: of}})
			before := len(c.changes())
			require.NoError(t, start(t, s, c.handle).stopAfter(time.Second))
			require.InDelta(t, 200/of, len(c.changes())-before, 25)
			require.Equal(t, endOf(t, c.feed()), statusOf(t, s).Position, "skipped changes move the checkpoint")
		}
		requireEachOnceInOrder(t, c.changes(), want)
	})
}

func TestNamesAndSharesThatCannotBeUsed(t *testing.T) {
	c := newConsumers(t)
	for _, name := range []string{"", "a/b", "ä", "a b", strings.Repeat("a", 65), strings.Repeat("@", 64)} {
		require.Error(t, c.feed().Subscription(name, nil).Run(t.Context(), c.handle), "%q", name)
	}
	for _, share := range []feed.Share{{1, 0}, {0, 1}, {3, 2}, {-1, 2}, {1, 5000}} {
		s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Share: share})
		require.Error(t, s.Run(t.Context(), c.handle), "%v", share)
	}
	_, err := c.feed().Subscription("orders", nil).Status(t.Context())
	require.ErrorIs(t, err, ropewalk.ErrNotFound, "nothing was stored")
}

func TestFiltersMoveTheCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.writeContent("order-1", `{"type":"paid","data":1}`)
		c.writeContent("order-2", `{"type":"opened","data":1}`+"\n"+`{"type":"sent","data":1}`)
		c.writeContent("user-1", `{"type":"named","data":1}`)
		c.writeContent("order-3", `not an event`)
		c.erase("user-1")
		for want, options := range map[string]feed.SubscriptionOptions{
			"order-10 order-20 order-30":        {Prefix: "order-"},
			"user-1!":                           {Erasures: feed.OnlyErasures},
			"order-20 user-1! order-30 user-1!": {Types: []string{"sent", "lost"}},
			"order-10 order-20 order-30 ":       {Erasures: feed.WithoutErasures},
			"":                                  {Prefix: "nothing"},
			"order-10 order-20 user-1! order-30 user-1!": {},
		} {
			s := c.feed().Subscription(fmt.Sprint("s", len(want)), &options)
			require.NoError(t, start(t, s, c.handle).stopAfter(time.Second))
			require.Equal(t, strings.TrimSpace(want), c.seen())
			require.Equal(t, endOf(t, c.feed()), statusOf(t, s).Position)
			c.handled = nil
		}
	})
}

func TestFiltersReadOnlyWhatTheyNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsumers(t)
		c.write("a", "b")
		c.db.Tamper(func(stored *memstore.Contents) {
			for _, o := range stored.Objects {
				o.Body = []byte("damaged")
			}
		})
		for _, options := range []feed.SubscriptionOptions{{Prefix: "c"}, {Erasures: feed.OnlyErasures}} {
			s := c.feed().Subscription("s"+options.Prefix, &options)
			require.NoError(t, start(t, s, c.handle).stopAfter(time.Second))
		}
		err := c.feed().Subscription("all", nil).Run(t.Context(), c.handle)
		_, ok := errors.AsType[*ropewalk.CorruptError](err)
		require.True(t, ok, "%v", err)
	})
}
