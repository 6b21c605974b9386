package feed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
)

// shelf holds changesets, and can lose, damage and exchange them. It counts reads by
// aggregate.
type shelf struct {
	*memstore.Store
	mu        sync.Mutex
	lost      map[changeset.ID]bool
	damaged   map[changeset.ID]bool
	exchanged map[changeset.ID]bool
	reads     map[string]int
}

func (s *shelf) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	s.mu.Lock()
	lost, damaged, exchanged := s.lost[ref.ID], s.damaged[ref.ID], s.exchanged[ref.ID]
	s.reads[ref.AggregateID]++
	s.mu.Unlock()
	if lost {
		return changeset.Changeset{}, changeset.ErrNotFound
	}
	c, err := s.Store.Get(ctx, ref, admission)
	if damaged && err == nil {
		c.Body[len(c.Body)/2] ^= 1
	}
	if exchanged && err == nil { // for another object whose hashes hold
		c.Body[len(c.Body)-1] ^= 1
		c.BodySHA256 = sha256.Sum256(c.Body)
	}
	return c, err
}

// testFeed is a feed whose batches a test makes.
type testFeed struct {
	t     *testing.T
	shelf *shelf
	feed  *Feed
	state *state
	next  map[string]head.Advance // the newest advance of each aggregate
	bytes int64                   // of all batches
}

func newTestFeed(t *testing.T) *testFeed {
	s := &shelf{Store: memstore.New(), lost: map[changeset.ID]bool{}, damaged: map[changeset.ID]bool{}, exchanged: map[changeset.ID]bool{}, reads: map[string]int{}}
	f := &testFeed{t: t, shelf: s, feed: Open(ropewalk.New(s, struct{ head.Store }{s.Store}, nil), nil), next: map[string]head.Advance{}}
	f.start()
	return f
}

// start lets a relay start.
func (f *testFeed) start() {
	r, err := f.feed.registerNew(f.t.Context(), "test")
	require.NoError(f.t, err)
	clear(f.shelf.reads)
	f.state, err = f.feed.newState(f.t.Context(), r.Generation)
	require.NoError(f.t, err)
}

// batchesRead returns how many batches were read since the start.
func (f *testFeed) batchesRead() int { return f.shelf.reads[f.state.chain().AggregateID()] }

// append appends a batch of advances as a relay does.
func (f *testFeed) append(advances ...advance) {
	ctx := f.t.Context()
	p := preamble{Source: "test", Cursor: []byte(`1`), Snapshot: f.state.snapshot}
	b := batch{p, advances}
	content, err := b.encode()
	require.NoError(f.t, err)
	f.bytes += int64(len(content))
	require.NoError(f.t, f.state.append(ctx, b))
	require.NoError(f.t, f.state.snapshotIfDue(ctx))
}

// advance makes the next advance of an aggregate.
func (f *testFeed) advance(aggregateID string) advance {
	last, known := f.next[aggregateID]
	a := head.Advance{AggregateID: aggregateID, ID: changeset.NewID()}
	if known {
		a.First, a.Last, a.Before = last.Last+1, last.Last+1, last.ID
	}
	f.next[aggregateID] = a
	return advance{Advance: a}
}

// grow appends batches of n advances of so many aggregates.
func (f *testFeed) grow(batches, n, aggregates int, random *rand.Rand) {
	for range batches {
		var advances []advance
		for range n {
			advances = append(advances, f.advance(fmt.Sprintf("order-%d", random.IntN(aggregates))))
		}
		f.append(advances...)
	}
}

// contents returns the buckets of a map.
func contents(p *progress) (all [][]byte) {
	for i := range p {
		all = append(all, p[i].encode())
	}
	return all
}

// objects returns the objects of snapshots and their size.
func (f *testFeed) objects() (refs []changeset.Ref, size int64) {
	for o, err := range f.shelf.Objects(f.t.Context(), f.state.snapshotRef(changeset.ID{}).AggregateID) {
		require.NoError(f.t, err)
		refs, size = append(refs, o.Ref), size+o.Size
	}
	return refs, size
}

func setMinSnapshot(t *testing.T, bytes int64) {
	before := minSnapshot
	minSnapshot = bytes
	t.Cleanup(func() { minSnapshot = before })
}

// All snapshots that were ever written are together not larger than the feed, however
// it grows, and what a relay reads after its snapshot is not much more than that
// snapshot.
func TestSnapshotsAreNotLargerThanTheFeed(t *testing.T) {
	for name, grow := range map[string]func(f *testFeed, r *rand.Rand){
		"new aggregates":        func(f *testFeed, r *rand.Rand) { f.grow(40, 500, 1<<40, r) },
		"the same aggregates":   func(f *testFeed, r *rand.Rand) { f.grow(50, 500, 5000, r) },
		"few aggregates":        func(f *testFeed, r *rand.Rand) { f.grow(100, 200, 50, r) },
		"small batches":         func(f *testFeed, r *rand.Rand) { f.grow(1000, 3, 1000, r) },
		"a sweep and then news": func(f *testFeed, r *rand.Rand) { f.grow(1, 10_000, 1<<40, r); f.grow(100, 100, 1<<40, r) },
	} {
		t.Run(name, func(t *testing.T) {
			setMinSnapshot(t, 40<<10)
			f := newTestFeed(t)
			grow(f, rand.New(rand.NewPCG(1, 2)))
			_, size := f.objects() // within the grace, nothing is deleted
			require.LessOrEqual(t, size, f.bytes)
			require.NotNil(t, f.state.snapshot)
			require.Less(t, f.state.size, int64(f.state.progress.len()*entrySize)+minSnapshot+int64(len(f.state.waypoints)*40))
			want := contents(f.state.progress)
			f.start()
			require.Equal(t, want, contents(f.state.progress))
			require.Less(t, f.batchesRead(), int(f.state.head.Len()))
		})
	}
}

// TestLargeSnapshotIsRestored has more bytes than one object may have.
func TestLargeSnapshotIsRestored(t *testing.T) {
	f := newTestFeed(t)
	const n = 65 << 20 / entrySize
	random := rand.New(rand.NewPCG(1, 2))
	for i := range f.state.progress {
		f.state.progress[i].sorted = randomBucket(byte(i), n/buckets, random)
	}
	f.append(f.advance("order-1"))
	require.NoError(t, f.state.writeSnapshot(t.Context()))
	f.append(f.advance("order-2"))
	refs, size := f.objects()
	require.Greater(t, size, int64(64<<20))
	require.Len(t, refs, buckets+1)
	before := f.state.progress
	f.start()
	require.Equal(t, n+2, f.state.progress.len())
	require.LessOrEqual(t, f.batchesRead(), 2)
	for i := range before {
		require.True(t, bytes.Equal(before[i].encode(), f.state.progress[i].encode()), i)
	}
}

// randomBucket returns a bucket of n entries.
func randomBucket(first byte, n int, random *rand.Rand) (content []byte) {
	for i := range n {
		k := key{first, byte(i >> 16), byte(i >> 8), byte(i)}
		binary.BigEndian.PutUint64(k[8:], random.Uint64())
		content = appendEntry(content, k, fed{random.Uint64N(1 << 40), random.Uint32(), random.Uint32()})
	}
	return content
}

// A relay that stands by knows when the next snapshot is due as the active relay does.
func TestSnapshotOfAnotherRelay(t *testing.T) {
	f := newTestFeed(t)
	random := rand.New(rand.NewPCG(1, 2))
	other, err := f.feed.newState(t.Context(), f.state.generation)
	require.NoError(t, err)
	for range 3 {
		f.grow(3, 100, 500, random)
		require.NoError(t, f.state.writeSnapshot(t.Context()))
		f.grow(2, 100, 500, random)
		_, err = other.catchUp(t.Context())
		require.NoError(t, err)
		require.Equal(t, f.state.snapshot, other.snapshot)
		require.Equal(t, f.state.size, other.size)
	}
}

// TestNewestTwoSnapshotsAreKept deletes older snapshots, and objects that no
// manifest names, once they are older than the grace.
func TestNewestTwoSnapshotsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFeed(t)
		random := rand.New(rand.NewPCG(1, 2))
		var ids []changeset.ID
		orphan, _, err := f.state.putObject(t.Context(), []byte("orphan"), "text/plain")
		require.NoError(t, err)
		for range 4 {
			f.grow(1, 100, 1000, random)
			require.NoError(t, f.state.writeSnapshot(t.Context()))
			ids = append(ids, *f.state.snapshot)
		}
		all, _ := f.objects()
		require.NoError(t, f.state.deleteOldSnapshots(t.Context()))
		still, _ := f.objects()
		require.Len(t, still, len(all), "within the grace nothing is deleted")
		time.Sleep(snapshotGrace)
		recent, _, err := f.state.putObject(t.Context(), []byte("under way"), "text/plain")
		require.NoError(t, err)
		require.NoError(t, f.state.deleteOldSnapshots(t.Context()))
		left, _ := f.objects()
		want := []changeset.ID{recent}
		for _, id := range ids[2:] {
			m, err := f.state.readManifest(t.Context(), id)
			require.NoError(t, err)
			want = append(want, id)
			for _, b := range m.Buckets {
				if b.ID != nil {
					want = append(want, *b.ID)
				}
			}
		}
		var got []changeset.ID
		for _, ref := range left {
			got = append(got, ref.ID)
		}
		require.ElementsMatch(t, want, got)
		require.NotContains(t, got, orphan)
		require.NotContains(t, got, ids[1])
	})
}

// A snapshot that is missing or damaged, in its manifest or in a bucket, falls back to
// the snapshot before it, and then to the whole feed. The map is the same.
func TestDamagedSnapshotsFallBack(t *testing.T) {
	f := newTestFeed(t)
	random := rand.New(rand.NewPCG(1, 2))
	f.grow(10, 100, 500, random)
	require.NoError(t, f.state.writeSnapshot(t.Context()))
	older := *f.state.snapshot
	f.grow(7, 100, 500, random)
	require.NoError(t, f.state.writeSnapshot(t.Context()))
	newest := *f.state.snapshot
	f.grow(4, 100, 500, random)
	want := contents(f.state.progress)
	const whole, fromOlder, fromNewest = 21, 11, 4 // batches to fold
	bucketOf := func(id changeset.ID) changeset.ID {
		m, err := f.state.readManifest(t.Context(), id)
		require.NoError(t, err)
		i := slices.IndexFunc(m.Buckets, func(b bucket) bool { return b.ID != nil })
		return *m.Buckets[i].ID
	}
	for _, c := range []struct {
		name   string
		bad    []changeset.ID
		folded int
	}{
		{"none", nil, fromNewest},
		{"manifest", []changeset.ID{newest}, whole}, // it names the one before
		{"bucket", []changeset.ID{bucketOf(newest)}, fromOlder},
		{"bucket, and the older manifest", []changeset.ID{bucketOf(newest), older}, whole},
		{"buckets of both", []changeset.ID{bucketOf(newest), bucketOf(older)}, whole},
	} {
		for how, set := range map[string]map[changeset.ID]bool{"missing": f.shelf.lost, "damaged": f.shelf.damaged, "exchanged": f.shelf.exchanged} {
			for _, id := range c.bad {
				set[id] = true
			}
			f.start()
			clear(set)
			require.Equal(t, want, contents(f.state.progress), "%s: %s", how, c.name)
			require.InDelta(t, c.folded, f.batchesRead(), 1, "%s: %s", how, c.name) // the newest is read for its cursor, too
		}
	}
}
