//go:build integration

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/feed"
	"ropewalk/gc"
)

// fedAggregates is how many aggregates a store has before its feed is made.
const fedAggregates = 60

// TestFeed makes the feed of a store that is in use, in every cloud: nothing is
// missing, nothing comes twice, and all of it is proved.
func TestFeed(t *testing.T) {
	t.Parallel()
	overClouds(t, func(t *testing.T, c cloud) {
		changesets, heads := c.open(t).stores(t, direct)
		f := fedStore{T: t, store: ropewalk.New(changesets, heads, nil)}
		f.feed = feed.Open(f.store, nil)
		f.write(3)
		_, err := f.feed.Status(t.Context())
		require.ErrorIs(t, err, feed.ErrNoFeed)

		ctx, stop := context.WithCancel(t.Context())
		var relays sync.WaitGroup
		for range 2 {
			relays.Go(func() {
				err := f.feed.Relay(&feed.RelayOptions{ListEvery: 500 * time.Millisecond}).Run(ctx)
				require.ErrorIs(t, err, context.Canceled)
			})
		}
		var follower sync.WaitGroup
		follower.Go(func() { f.follow(ctx, 6*fedAggregates) })
		f.write(3)
		follower.Wait()
		f.subscribe(6 * fedAggregates)
		_, err = gc.New(changesets.(gc.Changesets), heads, nil).Erase(t.Context(), f.id(0))
		require.NoError(t, err)
		stop()
		relays.Wait()

		_, err = f.feed.Relay(nil).Once(t.Context())
		require.NoError(t, err)
		findings, err := ropewalk.Collect(f.feed.Verify(t.Context()))
		require.NoError(t, err)
		require.Empty(t, findings)
		status, err := f.feed.Status(t.Context())
		require.NoError(t, err)
		require.False(t, status.Unfed)
		require.Equal(t, fedAggregates, status.Aggregates)
		f.subscribe(1) // the erasure
		require.NoError(t, f.feed.Drop(t.Context()))
		_, err = f.feed.End(t.Context())
		require.ErrorIs(t, err, feed.ErrNoFeed)
	})
}

// fedStore is a store with a feed.
type fedStore struct {
	*testing.T
	store *ropewalk.Store
	feed  *feed.Feed
}

func (f fedStore) id(n int) string { return fmt.Sprintf("permit %d/ä", n) }

// write appends n changesets to every aggregate.
func (f fedStore) write(n int) {
	var group errgroup.Group
	group.SetLimit(8)
	for i := range fedAggregates {
		group.Go(func() error {
			chain := f.store.Chain(f.id(i))
			h, err := chain.Head(f.Context())
			if err != nil && !errors.Is(err, ropewalk.ErrNotFound) {
				return err
			}
			for range n {
				if h, err = chain.Append(f.Context(), h, changeset.Draft{Content: []byte("x")}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(f, group.Wait())
}

// follow reads n changes, each aggregate's in the order of its chain.
func (f fedStore) follow(ctx context.Context, n int) {
	next := map[string]uint64{}
	for c, err := range f.feed.Follow(ctx, feed.Position{}) {
		require.NoError(f, err)
		require.Equal(f, next[c.AggregateID], c.Version)
		require.Equal(f, "x", string(c.Content))
		next[c.AggregateID]++
		if n--; n == 0 {
			return
		}
	}
}

// subscribe lets a subscription deliver n changes.
func (f fedStore) subscribe(n int) {
	ctx, stop := context.WithCancel(f.Context())
	defer stop()
	s := f.feed.Subscription("permits", &feed.SubscriptionOptions{Parallel: 8})
	var mu sync.Mutex
	err := s.Run(ctx, func(context.Context, feed.Change) error {
		mu.Lock()
		defer mu.Unlock()
		if n--; n == 0 {
			stop()
		}
		return nil
	})
	require.NoError(f, err)
	require.LessOrEqual(f, n, 0)
	lag, err := s.Lag(f.Context())
	require.NoError(f, err)
	require.Zero(f, lag.Changes)
}
