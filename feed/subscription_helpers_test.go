package feed_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/feed"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// consumers is a store with changes, and the processes that consume them.
type consumers struct {
	t     *testing.T
	db    *memstore.Store
	store *ropewalk.Store
	heads map[string]head.Head

	mu      sync.Mutex
	handled []feed.Change
}

func newConsumers(t *testing.T) *consumers {
	db := memstore.New()
	return &consumers{t: t, db: db, store: ropewalk.New(db, db, nil), heads: map[string]head.Head{}}
}

// writer returns the store that an aggregate is written to: every second aggregate is
// packed, so that its changesets are in the head, or share objects.
func (c *consumers) writer(id string) *ropewalk.Store {
	if id[len(id)-1]%2 == 0 {
		return c.store
	}
	return ropewalk.New(c.store.Changesets(), faults.TwoSteps(c.store.HeadStore()), &ropewalk.Options{Packed: true, TipSize: 600})
}

// process returns the feed as another process sees it, whose requests fail by a
// script.
func (c *consumers) process(script *faults.Script) *feed.Feed {
	return feed.Open(ropewalk.New(script.Changesets(c.db), script.Heads(c.db), nil), nil)
}

func (c *consumers) feed() *feed.Feed { return feed.Open(c.store, nil) }

// write appends a changeset to each of the aggregates.
func (c *consumers) write(ids ...string) {
	c.t.Helper()
	for _, id := range ids {
		c.writeContent(id, "content of "+id)
	}
}

func (c *consumers) writeContent(id, content string) {
	c.t.Helper()
	h, err := c.writer(id).Chain(id).Append(c.t.Context(), c.heads[id], ropewalk.Draft{Content: []byte(content), ContentType: "application/x-ndjson"})
	require.NoError(c.t, err)
	c.heads[id] = h
}

// erase erases an aggregate as package gc does.
func (c *consumers) erase(id string) {
	c.t.Helper()
	_, err := c.db.Swap(c.t.Context(), c.heads[id], link.Tombstone(c.heads[id]))
	require.NoError(c.t, err)
	c.db.Tamper(func(stored *memstore.Contents) {
		for name := range stored.Objects {
			if ref, err := changeset.ParseObjectName(name); err == nil && ref.AggregateID == id {
				delete(stored.Objects, name)
			}
		}
	})
}

// fence raises the revision of a head, as package gc does.
func (c *consumers) fence(id string) {
	c.t.Helper()
	for {
		h, err := c.db.Load(c.t.Context(), id)
		require.NoError(c.t, err)
		if _, err = c.db.Swap(c.t.Context(), h, link.Fence(h)); err == nil {
			return
		}
	}
}

// handle is a handler that remembers the changes.
func (c *consumers) handle(_ context.Context, change feed.Change) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handled = append(c.handled, change)
	return nil
}

// seen returns the changes that were handled, in order, such as "a0 b0 a1 a!" with
// an exclamation mark for an erasure.
func (c *consumers) seen() string { return strings.Join(names(c.changes()), " ") }

func (c *consumers) changes() []feed.Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]feed.Change(nil), c.handled...)
}

func names(changes []feed.Change) (all []string) {
	for _, change := range changes {
		name := fmt.Sprint(change.AggregateID, change.Version)
		if change.Erased {
			name = change.AggregateID + "!"
		}
		all = append(all, name)
	}
	return all
}

// running is a run of a subscription.
type running struct {
	cancel context.CancelFunc
	done   chan error
}

func start(t *testing.T, s *feed.Subscription, handler feed.Handler) *running {
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{cancel, make(chan error, 1)}
	go func() { r.done <- s.Run(ctx, handler) }()
	t.Cleanup(cancel)
	return r
}

// stop ends the run gracefully and returns its error.
func (r *running) stop() error {
	r.cancel()
	return <-r.done
}

func statusOf(t *testing.T, s *feed.Subscription) feed.SubscriptionStatus {
	t.Helper()
	status, err := s.Status(t.Context())
	require.NoError(t, err)
	return status
}

func endOf(t *testing.T, f *feed.Feed) feed.Position {
	t.Helper()
	end, err := f.End(t.Context())
	require.NoError(t, err)
	return end
}
