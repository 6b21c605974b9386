package feed_test

import (
	"context"
	"fmt"
	"iter"
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
)

// loggedStore is a store of heads in memory with a log of all commits.
type loggedStore struct {
	*memstore.Store
	mu         sync.Mutex
	generation string
	rows       []head.LogEntry
	news       chan struct{}
}

func newLoggedStore() *loggedStore {
	return &loggedStore{Store: memstore.New(), generation: "00000000000000aa", news: make(chan struct{})}
}

func (s *loggedStore) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	return s.Commit(ctx, nil, old, next)
}

func (s *loggedStore) Commit(ctx context.Context, changesets []changeset.Changeset, old, next head.Head) (head.Head, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, err := s.Store.Commit(ctx, changesets, old, next)
	if err != nil || strings.HasPrefix(next.AggregateID, "$") || old.Ref == next.Ref && old.State == next.State {
		return h, err
	}
	a := head.Advance{AggregateID: next.AggregateID, First: old.Len(), Last: next.Version, ID: next.ID, Before: old.ID, Erased: next.State == head.Erased}
	row := uint64(len(s.rows) + 1)
	position := head.LogPosition{Generation: s.generation, Row: row, Mark: [8]byte{byte(row), byte(row >> 8), 1}}
	s.rows = append(s.rows, head.LogEntry{Position: position, Advance: a})
	close(s.news)
	s.news = make(chan struct{})
	return h, nil
}

func (s *loggedStore) Entries(ctx context.Context, from head.LogPosition, follow bool) iter.Seq2[[]head.LogEntry, error] {
	return func(yield func([]head.LogEntry, error) bool) {
		for at := from; ; {
			page, news, err := s.page(at)
			if err != nil || (len(page) > 0 || follow) && !yield(page, nil) || len(page) == 0 && !follow {
				if err != nil {
					yield(nil, err)
				}
				return
			}
			if len(page) > 0 {
				at = page[len(page)-1].Position
				at.Row++
				continue
			}
			select {
			case <-news:
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			}
		}
	}
}

// page returns the entries from a position on. After the first page, the position is
// one row too high.
func (s *loggedStore) page(from head.LogPosition) ([]head.LogEntry, chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := int(max(from.Row, 1))
	known := from.Row == 0 || first <= len(s.rows) && s.rows[first-1].Position == from ||
		first >= 2 && first-2 < len(s.rows) && s.rows[first-2].Position.Mark == from.Mark
	if !known || from.Generation != "" && from.Generation != s.generation {
		return nil, nil, head.ErrOtherLog
	}
	last := min(len(s.rows), first+99)
	if first > last {
		return nil, s.news, nil
	}
	return s.rows[first-1 : last : last], s.news, nil
}

func (s *loggedStore) LogEnd(context.Context) (head.LogPosition, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rows) == 0 {
		return head.LogPosition{Generation: s.generation}, nil
	}
	return s.rows[len(s.rows)-1].Position, nil
}

// consumers is a store with changes, and the processes that consume them.
type consumers struct {
	t     *testing.T
	db    *loggedStore
	store *ropewalk.Store
	heads map[string]head.Head

	mu      sync.Mutex
	handled []feed.Change
}

func newConsumers(t *testing.T) *consumers {
	db := newLoggedStore()
	return &consumers{t: t, db: db, store: ropewalk.New(db.Store, db, nil), heads: map[string]head.Head{}}
}

// process returns the feed as another process sees it, whose requests fail by a
// script.
func (c *consumers) process(script *faults.Script) *feed.Feed {
	return feed.Open(ropewalk.New(script.Changesets(c.db.Store), script.Heads(c.db), nil), nil)
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
	h, err := c.store.Chain(id).Append(c.t.Context(), c.heads[id], ropewalk.Draft{Content: []byte(content), ContentType: "application/x-ndjson"})
	require.NoError(c.t, err)
	c.heads[id] = h
}

// erase erases an aggregate as package gc does.
func (c *consumers) erase(id string) {
	c.t.Helper()
	tombstone := c.heads[id]
	tombstone.State = head.Erased
	tombstone.Revision++
	_, err := c.db.Swap(c.t.Context(), c.heads[id], tombstone)
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
		next := h
		next.Revision++
		if _, err = c.db.Swap(c.t.Context(), h, next); err == nil {
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
