package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
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
	"ropewalk/feed"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/reserved"
)

// history is one run of writers, relays and a reader over a storage that fails.
type history struct {
	t        *testing.T
	random   *rand.Rand
	db       *memstore.Store
	stream   *streaming // nil if the heads have no source
	heads    head.Store // which do not fail
	chaos    *chaos
	stores   []*ropewalk.Store // of the writers, whose requests fail
	calm     *ropewalk.Store
	mu       sync.Mutex
	restored map[string]bool
	// restores says that heads are restored; then gc, which would delete what a
	// restored head has lost, stays out.
	restores bool
	olds     map[string][]byte
	seen     []feed.Change // by the reader
	// packed says that there are writers of packed chains. What a restored head had in its
	// tip is lost.
	packed bool
}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{t: t, random: rand.New(rand.NewPCG(seed, 0)), db: memstore.New(), restored: map[string]bool{}, olds: map[string][]byte{}, restores: seed%2 == 0}
	h.heads = bare{h.db}
	if seed%3 > 0 {
		h.stream, h.heads = newStreaming(h.db, seed)
	}
	h.chaos = &chaos{random: rand.New(rand.NewPCG(seed, 2)), rate: 0.05}
	for _, o := range writers[seed/2%uint64(len(writers))] {
		o.SettleTimeout = time.Second
		h.packed = h.packed || o.Packed
		h.stores = append(h.stores, ropewalk.New(chaoticObjects{changeset.NewPassThrough(h.db), h.chaos}, chaoticHeads{head.NewPassThrough(h.heads), h.chaos}, &o))
	}
	h.calm = ropewalk.New(h.db, h.heads, &ropewalk.Options{SettleTimeout: time.Second})
	return h
}

// writers are the options of the stores that the writers of a history use: of format 1,
// of packed chains, and of both.
var writers = [][]ropewalk.Options{
	{{}},
	{{Packed: true, TipSize: 1500}},
	{{}, {Packed: true, TipSize: 600}},
	{{Packed: true, TipSize: 64 << 10}, {Packed: true, TipSize: -1}},
}

// store returns the store of one of the writers.
func (h *history) store(random *rand.Rand) *ropewalk.Store {
	return h.stores[random.IntN(len(h.stores))]
}

// relay runs relays one after another, each killed after a while.
func (h *history) relay(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		life, kill := context.WithTimeout(ctx, time.Duration(random.IntN(20_000))*time.Millisecond)
		r := feed.Open(h.store(random), nil).Relay(&feed.RelayOptions{ListEvery: time.Second})
		if random.IntN(4) == 0 {
			_, _ = r.Once(life)
		} else {
			_ = r.Run(life)
		}
		kill()
		time.Sleep(time.Duration(random.IntN(3_000)) * time.Millisecond)
	}
}

// write does one thing to an aggregate.
func (h *history) write(ctx context.Context, random *rand.Rand) {
	id := fmt.Sprintf("a%d", random.IntN(6))
	chain := h.store(random).Chain(id)
	switch n := random.IntN(40); {
	case n == 0 && !h.restores:
		_, _ = gc.New(h.db, h.heads, nil).Erase(ctx, id)
	case n < 4: // a fence
		if at, err := chain.Head(ctx); err == nil {
			ref := ropewalk.Ref{AggregateID: id, Version: at.Version + 1, ID: changeset.NewID()}
			_, _ = chain.Settle(ctx, ref, at.Revision)
		}
	case n < 6 && h.restores:
		h.restore(id)
	case n < 6:
		collector := gc.New(h.db, h.heads, &gc.Options{Grace: -1, Delete: true})
		_, _ = collector.Collect(ctx, id)
		for at, err := range h.calm.Heads(ctx, "") {
			if err == nil && reserved.Is(at.AggregateID) {
				_, _ = collector.Collect(reserved.Open(ctx), at.AggregateID)
			}
		}
	case n == 6 && h.stream != nil:
		h.stream.trim()
	case n == 7 && h.stream != nil:
		h.stream.replace()
	case n == 8 || n == 9:
		h.damage(id, time.Duration(random.IntN(15_000))*time.Millisecond)
	case n == 10 || n == 11:
		_, _ = gc.New(h.db, h.heads, nil).Flush(ctx, id)
	default:
		drafts := make([]ropewalk.Draft, 1+random.IntN(3))
		at, err := chain.Head(ctx)
		if err == nil || errors.Is(err, ropewalk.ErrNotFound) {
			_, _ = chain.Append(ctx, at, drafts...)
		}
	}
}

// restore remembers the record of a head, or puts the record back that it
// remembered, as the restore of a backup does.
func (h *history) restore(id string) {
	h.db.Tamper(func(c *memstore.Contents) {
		name := head.ObjectName(id)
		old := h.olds[id]
		if bytes.Equal(c.Heads[name], damaged) {
			return
		}
		if old == nil {
			h.olds[id] = bytes.Clone(c.Heads[name])
		} else if !bytes.Equal(old, c.Heads[name]) {
			c.Heads[name] = old
			h.mu.Lock()
			h.restored[id] = true
			h.mu.Unlock()
		}
	})
}

// damaged is the record of a damaged head.
var damaged = []byte("{")

// damage makes the record of a head unreadable for a while.
func (h *history) damage(id string, d time.Duration) {
	var kept []byte
	h.db.Tamper(func(c *memstore.Contents) {
		if kept = c.Heads[head.ObjectName(id)]; kept != nil && !bytes.Equal(kept, damaged) {
			c.Heads[head.ObjectName(id)] = damaged
		}
	})
	time.Sleep(d)
	h.db.Tamper(func(c *memstore.Contents) {
		if kept != nil && bytes.Equal(c.Heads[head.ObjectName(id)], damaged) {
			c.Heads[head.ObjectName(id)] = kept
		}
	})
}

// follow reads the feed, and begins again at the last position after each error. It
// leaves out the aggregates whose changesets were lost with a restored head.
func (h *history) follow(ctx context.Context, random *rand.Rand) {
	var at feed.Position
	lost := map[string]bool{}
	for ctx.Err() == nil {
		known := maps.Clone(lost) // the reading may still look at it when an error adds to lost
		only := func(id string) bool { return !known[id] }
		for c, err := range feed.Open(h.store(random), &feed.Options{Only: only}).Follow(ctx, at) {
			if err != nil {
				require.NotErrorIs(h.t, err, feed.ErrOtherHistory)
				h.lose(lost, err)
				break
			}
			at = c.Position
			h.mu.Lock()
			h.seen = append(h.seen, c)
			h.mu.Unlock()
		}
		_ = sleep(ctx, time.Second)
	}
}

// lose notes the aggregate of a changeset that is missing, which is no damage if its head
// was restored in a packed chain.
func (h *history) lose(lost map[string]bool, err error) {
	corrupt, ok := errors.AsType[*ropewalk.CorruptError](err)
	if !ok || corrupt.Ref.ID.IsZero() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	require.True(h.t, h.packed && h.restored[corrupt.Ref.AggregateID], err)
	lost[corrupt.Ref.AggregateID] = true
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	return ctx.Err()
}

// run lets everybody work, and then lets everything come to rest.
func (h *history) run() {
	ctx, stop := context.WithCancel(h.t.Context())
	var others sync.WaitGroup
	for range 2 {
		random := rand.New(rand.NewPCG(h.random.Uint64(), 0))
		others.Go(func() { h.relay(ctx, random) })
	}
	reader := rand.New(rand.NewPCG(h.random.Uint64(), 0))
	others.Go(func() { h.follow(ctx, reader) })
	var writers sync.WaitGroup
	for range 3 {
		random := rand.New(rand.NewPCG(h.random.Uint64(), 0))
		writers.Go(func() {
			for range 40 {
				h.write(ctx, random)
				time.Sleep(time.Duration(random.IntN(1_000)) * time.Millisecond)
			}
		})
	}
	others.Go(func() { h.chaos.blackouts(ctx) })
	writers.Wait()
	h.chaos.set(0)
	h.chaos.late.Wait()
	time.Sleep(time.Duration(h.random.IntN(60)) * time.Second)
	stop()
	others.Wait()
	h.chaos.late.Wait()
}

// check compares the feed with the chains.
func (h *history) check() {
	t, f := h.t, feed.Open(h.calm, nil)
	_, err := f.Relay(nil).Once(t.Context())
	require.NoError(t, err)
	again, err := f.Relay(nil).Once(t.Context())
	require.NoError(t, err)
	require.Zero(t, again.Batches, "the feed grows by itself")
	findings, err := ropewalk.Collect(f.Verify(t.Context()))
	require.NoError(t, err)
	findings = slices.DeleteFunc(findings, func(f feed.Finding) bool { return h.restored[f.AggregateID] })
	require.Empty(t, findings)

	all, err := ropewalk.Collect(h.readable(h.calm).After(t.Context(), feed.Position{}))
	require.NoError(t, err)
	h.checkOrder(all)
	h.checkReader(all)
	h.checkOwnChains()
}

// readable returns the feed without the aggregates whose changesets may be lost.
func (h *history) readable(store *ropewalk.Store) *feed.Feed {
	return feed.Open(store, &feed.Options{Only: func(id string) bool { return !h.packed || !h.restored[id] }})
}

// checkOwnChains checks that the library's own chains are of format 1.
func (h *history) checkOwnChains() {
	own := 0
	for at, err := range h.heads.List(h.t.Context(), "") {
		require.NoError(h.t, err)
		if reserved.Is(at.AggregateID) {
			own++
			require.False(h.t, at.IsPacked(), at.AggregateID)
		}
	}
	require.NotZero(h.t, own)
}

// checkOrder checks that each aggregate's changes are exactly its chain.
func (h *history) checkOrder(all []feed.Change) {
	byAggregate := map[string][]feed.Change{}
	for _, c := range all {
		byAggregate[c.AggregateID] = append(byAggregate[c.AggregateID], c)
	}
	heads := map[string]head.Head{}
	for at, err := range h.calm.Heads(h.t.Context(), "") {
		require.NoError(h.t, err)
		if !reserved.Is(at.AggregateID) && !(h.packed && h.restored[at.AggregateID]) {
			heads[at.AggregateID] = at
		}
	}
	require.ElementsMatch(h.t, slices.Collect(maps.Keys(heads)), slices.Collect(maps.Keys(byAggregate)))
	for id, at := range heads {
		changes := byAggregate[id]
		for i, c := range changes {
			require.True(h.t, i == 0 || c.Erased || c.Parent == changes[i-1].ID, "two histories of %s", id)
		}
		if h.restored[id] {
			continue
		}
		last := changes[len(changes)-1]
		require.Equal(h.t, at.Version, last.Version, id)
		require.Equal(h.t, at.State == head.Erased, last.Erased, id)
		if last.Erased {
			continue
		}
		require.Equal(h.t, at.ID, last.ID)
		for i, c := range changes {
			require.EqualValues(h.t, i, c.Version, id)
			require.False(h.t, c.Erased)
		}
	}
}

// checkReader checks that the reader saw what the feed had when it read: the same
// positions in the same order, though some changes were erased since.
func (h *history) checkReader(all []feed.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := map[string]uint64{}
	for i, c := range h.seen {
		if i > 0 {
			order, comparable := h.seen[i-1].Position.Compare(c.Position)
			require.True(h.t, comparable)
			require.Negative(h.t, order)
		}
		if !c.Erased {
			require.Equal(h.t, next[c.AggregateID], c.Version)
		}
		next[c.AggregateID] = c.Version + 1
	}
	if len(h.seen) > 0 {
		rest, err := ropewalk.Collect(h.readable(h.calm).After(h.t.Context(), h.seen[len(h.seen)-1].Position))
		require.NoError(h.t, err)
		require.LessOrEqual(h.t, len(rest), len(all))
	}
}

// Whatever writers, relays and the storage do, the feed has every change once and in
// the order of its aggregate.
func TestTheFeedHasEveryChangeOnce(t *testing.T) {
	t.Cleanup(feed.SetSizes(1<<10, 2))
	for seed := range uint64(histories()) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHistory(t, seed)
				h.run()
				h.check()
			})
		})
	}
}

func histories() int {
	if testing.Short() {
		return 20
	}
	return 100
}
