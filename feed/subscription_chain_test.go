package feed_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/feed"
	"ropewalk/head"
)

// newChainConsumers returns consumers of a store without a log.
func newChainConsumers(t *testing.T) *consumers {
	db := memstore.New()
	return &consumers{t: t, db: db, store: ropewalk.New(db, bare{db}, nil), heads: map[string]head.Head{}}
}

// A subscription follows a chain as it follows a log: it waits for the feed, parks in
// the middle of a long advance, and replays from there.
func TestSubscriptionFollowsAChain(t *testing.T) {
	for _, parallel := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			c := newChainConsumers(t)
			wrong := map[string]bool{"long150": true, "a1": true}
			s := c.feed().Subscription("orders", &feed.SubscriptionOptions{Park: true, Parallel: parallel})
			r := start(t, s, c.failing(wrong))
			time.Sleep(5 * time.Second) // no feed yet
			h, err := c.store.Chain("long").Create(t.Context(), make([]changeset.Draft, 200)...)
			require.NoError(t, err)
			c.heads["long"] = h
			c.write("a", "a", "a")

			ctx, cancel := context.WithCancel(t.Context())
			relay := make(chan error)
			go func() { relay <- c.feed().Relay(nil).Run(ctx) }()
			time.Sleep(2 * time.Minute)
			c.write("a", "b", "long")
			time.Sleep(2 * time.Minute)
			requireEachOnceInOrder(t, c.changes(), map[string]int{"long": 150, "a": 1, "b": 1})
			status := statusOf(t, s)
			require.Len(t, status.Parked, 2)
			require.Equal(t, uint64(150), status.Parked[1].Version)
			require.Equal(t, endOf(t, c.feed()), status.Position)

			c.allow(wrong, "long150")
			require.NoError(t, s.Replay(t.Context()))
			time.Sleep(2 * time.Minute)
			c.write("long")
			time.Sleep(2 * time.Minute)
			requireEachOnceInOrder(t, c.changes(), map[string]int{"long": 202, "a": 1, "b": 1})
			require.NoError(t, r.stop())
			cancel()
			<-relay
		})
	}
}

// A subscription whose feed was dropped stops, and keeps its checkpoint.
func TestSubscriptionOfADroppedFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChainConsumers(t)
		c.write("a", "b")
		_, err := c.feed().Relay(nil).Once(t.Context())
		require.NoError(t, err)
		s := c.feed().Subscription("orders", nil)
		r := start(t, s, c.handle)
		time.Sleep(time.Minute)
		before := statusOf(t, s).Position
		require.NoError(t, c.feed().Drop(t.Context()))
		err = <-r.done
		require.True(t, errors.Is(err, feed.ErrFeedReplaced) || errors.Is(err, feed.ErrNoFeed), "%v", err)
		require.ErrorIs(t, s.Run(t.Context(), c.handle), feed.ErrNoFeed)

		_, err = c.feed().Relay(nil).Sweep(t.Context())
		require.NoError(t, err)
		require.ErrorIs(t, s.Run(t.Context(), c.handle), feed.ErrOtherHistory)
		require.Equal(t, before, statusOf(t, s).Position)
		require.NoError(t, s.Reset(t.Context(), feed.Position{}))
		require.NoError(t, start(t, s, c.handle).stopAfter(time.Minute))
		require.Len(t, c.changes(), 4)
	})
}
