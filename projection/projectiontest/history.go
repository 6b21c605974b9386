package projectiontest

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/feed"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// history is a store with changes, and its feed.
type history struct {
	db      *memstore.Store
	feed    *feed.Feed
	changes []feed.Change
}

// newHistory returns the history of a subject. Its last change is the erasure of the
// aggregate that was the first.
func newHistory(t testing.TB, s Subject) *history {
	t.Helper()
	db := memstore.New()
	require.NoError(t, s.Fill(t.Context(), ropewalk.New(db, db, nil)))
	h := open(t, db)
	require.NotEmpty(t, h.changes, "Fill has written nothing")
	erase(t, db, h.changes[0].AggregateID)
	return open(t, db)
}

func open(t testing.TB, db *memstore.Store) *history {
	t.Helper()
	h := &history{db: db, feed: feed.Open(ropewalk.New(db, db, nil), nil)}
	for c, err := range h.feed.After(t.Context(), feed.Position{}) {
		require.NoError(t, err)
		h.changes = append(h.changes, c)
	}
	return h
}

func erase(t testing.TB, db *memstore.Store, id string) {
	t.Helper()
	h, err := db.Load(t.Context(), id)
	require.NoError(t, err)
	if h.State != head.Erased {
		_, err = db.Swap(t.Context(), h, link.Tombstone(h))
		require.NoError(t, err)
	}
}

// shuffled returns the same history in another order across aggregates: the changes of
// each aggregate stay in their order.
func (h *history) shuffled(t testing.TB, seed uint64) *history {
	t.Helper()
	queues, ids := map[string][]feed.Change{}, []string(nil)
	for _, c := range h.changes {
		if queues[c.AggregateID] == nil {
			ids = append(ids, c.AggregateID)
		}
		queues[c.AggregateID] = append(queues[c.AggregateID], c)
	}
	db := memstore.New()
	heads := map[string]head.Head{}
	for random := rand.New(rand.NewPCG(seed, 0)); len(ids) > 0; {
		i := random.IntN(len(ids))
		id := ids[i]
		heads[id] = h.copyTo(t, db, queues[id][0], heads[id])
		if queues[id] = queues[id][1:]; len(queues[id]) == 0 {
			ids = append(ids[:i], ids[i+1:]...)
		}
	}
	return open(t, db)
}

// copyTo copies a change to another store.
func (h *history) copyTo(t testing.TB, db *memstore.Store, c feed.Change, at head.Head) head.Head {
	t.Helper()
	if c.Erased {
		erase(t, db, c.AggregateID)
		return head.Head{}
	}
	stored, err := h.db.Get(t.Context(), c.Ref, nil)
	require.NoError(t, err)
	require.NoError(t, db.Put(t.Context(), stored))
	next := link.Next(at, stored.Header)
	next.Revision = at.Revision + 1 // the changesets of one append are copied one by one
	next, err = db.Swap(t.Context(), at, next)
	require.NoError(t, err)
	return next
}
