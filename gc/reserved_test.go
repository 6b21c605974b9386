package gc_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
	"ropewalk/internal/reserved"
)

// The library's own chains.
var (
	oneFeed      = reserved.Feed("0123456789abcdef")
	anotherFeed  = reserved.Feed("fedcba9876543210")
	subscription = reserved.Subscription("mail")
)

// withFeed returns a place with a feed, which has snapshots, with an earlier feed
// that was erased, with a subscription, and with an aggregate.
func withFeed(t *testing.T) place {
	p, _ := inMemory(t)
	p.grow(2)
	for _, id := range []string{reserved.Register, oneFeed, anotherFeed, subscription} {
		p.of(id).grow(3)
	}
	p.of(oneFeed).snapshots().orphan(head.Head{}, "of the map")
	p.of(anotherFeed).snapshots().orphan(head.Head{}, "of the map")
	_, err := p.of(anotherFeed).collector(gc.Options{}).Erase(reserved.Open(t.Context()), anotherFeed)
	require.NoError(t, err)
	return p
}

// collectAll returns what was deleted of each aggregate.
func (p place) collectAll() map[string]int64 {
	p.Helper()
	deleted := map[string]int64{}
	for r, err := range p.collector(gc.Options{Grace: -1, Delete: true}).CollectAll(p.Context(), "") {
		require.NoError(p, err)
		require.NoError(p, r.Err)
		require.NotContains(p, deleted, r.AggregateID)
		deleted[r.AggregateID] = r.Deleted.Objects
	}
	return deleted
}

// A relay that lost a race has left a batch. Snapshots, and what a later version may
// keep under reserved IDs, have no chain.
func TestCollectAllCollectsReservedChains(t *testing.T) {
	p := withFeed(t)
	for _, id := range []string{reserved.Register, oneFeed, subscription} {
		after := p.of(id).head()
		p.of(id).orphan(after, "the loser's")
		p.of(id).grow(1)
	}
	p.of("$later").orphan(head.Head{}, "unknown")
	want := map[string]int64{reserved.Register: 1, oneFeed: 1, subscription: 1, p.id: 0}
	require.Equal(t, want, p.collectAll())
	for id := range want {
		require.Zero(t, p.of(id).verify().Lost, id)
	}
	require.Len(t, p.of(oneFeed).objects(), 4)
	require.Len(t, p.of(oneFeed).snapshots().objects(), 1, "the feed lives")
	require.Len(t, p.of("$later").objects(), 1)
}

// The door is open within CollectAll alone: an application cannot collect a
// reserved chain by its ID.
func TestReservedChainsAreNotCollectedByName(t *testing.T) {
	p := withFeed(t)
	for _, id := range []string{reserved.Register, oneFeed, subscription} {
		_, err := p.of(id).collect()
		require.ErrorIs(t, err, changeset.ErrInvalidAggregateID)
		_, err = p.of(id).erase()
		require.ErrorIs(t, err, changeset.ErrInvalidAggregateID)
		require.Equal(t, head.Live, p.of(id).head().State)
	}
	_, err := p.collector(gc.Options{}).Erase(reserved.Open(t.Context()), reserved.Snapshots(oneFeed))
	require.ErrorIs(t, err, changeset.ErrInvalidAggregateID, "no chain")
}

// The snapshots of a living feed are in use. If a store has no other snapshots, no
// collection lists its heads.
func TestFeedsCostNoListOfHeads(t *testing.T) {
	p := withFeed(t)
	lists := func() int {
		heads := meter.New(0)
		under := p
		under.heads = heads.Heads(p.heads)
		under.collectAll()
		return heads.Count().List
	}
	require.Zero(t, lists())

	snapshots := p.snapshots().orphan(head.Head{}, "of the aggregate")
	require.Equal(t, 1, lists(), "its aggregate may be erased")
	require.Len(t, p.snapshots().objects(), 1)
	require.NoError(t, p.changesets.Delete(t.Context(), snapshots[0]))
	require.Zero(t, lists())
}

// An erased feed without objects may have left snapshots.
func TestSnapshotsOfAnErasedFeedAreFound(t *testing.T) {
	p := withFeed(t)
	require.Empty(t, p.of(anotherFeed).objects())
	require.Empty(t, p.of(anotherFeed).snapshots().objects(), "its erasure has deleted them")
	p.of(anotherFeed).snapshots().orphan(head.Head{}, "late")
	require.Equal(t, map[string]int64{reserved.Register: 0, oneFeed: 0, subscription: 0, p.id: 0, anotherFeed: 1}, p.collectAll())
	require.Empty(t, p.of(anotherFeed).snapshots().objects())
	require.Len(t, p.of(oneFeed).snapshots().objects(), 1)
}

// A fence of a subscription leaves its checkpoint, and so does its tombstone.
func TestFenceKeepsTheCheckpoint(t *testing.T) {
	p, _ := inMemory(t)
	p = p.of(subscription)
	h := p.grow(1)
	moved := link.Fence(h)
	moved.Checkpoint = "a=1"
	moved, err := p.heads.Swap(t.Context(), h, moved)
	require.NoError(t, err)
	p.orphan(moved, "pending")

	require.Equal(t, map[string]int64{subscription: 1}, p.collectAll())
	fenced := p.head()
	require.Equal(t, link.Fence(moved), fenced)
	require.Equal(t, "a=1", fenced.Checkpoint)
	require.Equal(t, "a=1", p.grow(1).Checkpoint, "an append keeps it, too")

	_, err = p.collector(gc.Options{}).Erase(reserved.Open(t.Context()), p.id)
	require.NoError(t, err)
	_, err = p.chain().Reader(t.Context())
	require.ErrorIs(t, err, ropewalk.ErrErased)
	require.Equal(t, "a=1", p.head().Checkpoint)
}
