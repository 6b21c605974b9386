package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/feed"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
	"ropewalk/internal/reserved"
)

// packing are options of a store of packed chains.
func packing(tip int) *ropewalk.Options { return &ropewalk.Options{Packed: true, TipSize: tip} }

// row is what a change must be in every format.
type row struct {
	aggregate, content, command, contentType string
	version                                  uint64
	part                                     changeset.Part
	erased                                   bool
}

func rowsOf(t require.TestingT, changes []feed.Change, err error) (rows []row) {
	require.NoError(t, err)
	for _, c := range changes {
		rows = append(rows, row{c.AggregateID, string(c.Content), c.CommandID, c.ContentType, c.Version, c.Part, c.Erased})
	}
	return rows
}

// writing is one append of a history that is written in several formats.
type writing struct {
	aggregate string
	sizes     []int
	erase     bool
}

func anyWritings(t *rapid.T) []writing {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) writing {
		return writing{
			aggregate: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "aggregate"),
			sizes:     rapid.SliceOfN(rapid.SampledFrom([]int{0, 10, 200, 900}), 1, 3).Draw(t, "sizes"),
			erase:     rapid.IntRange(0, 60).Draw(t, "erase") == 0,
		}
	}), 1, 60).Draw(t, "writings")
}

// write writes a history, in the format that one of the options says for each append, and
// flushes a tip from time to time.
func write(t *rapid.T, db *memstore.Store, heads head.Store, options []*ropewalk.Options, all []writing) {
	for i, w := range all {
		o := rapid.SampledFrom(options).Draw(t, "writer")
		chain := ropewalk.New(db, heads, o).Chain(w.aggregate)
		at, err := chain.Head(t.Context())
		if errors.Is(err, ropewalk.ErrErased) {
			continue
		}
		if w.erase && at.Exists() {
			_, err = gc.New(db, heads, nil).Erase(t.Context(), w.aggregate)
			require.NoError(t, err)
			continue
		}
		var drafts []ropewalk.Draft
		for n, size := range w.sizes {
			content := append(bytes.Repeat([]byte{'"'}, size), fmt.Sprint(i, n)...)
			drafts = append(drafts, ropewalk.Draft{Content: content, CommandID: fmt.Sprint("command-", i), ContentType: "text/plain"})
		}
		_, err = chain.Append(t.Context(), at, drafts...)
		require.NoError(t, err)
		if rapid.IntRange(0, 9).Draw(t, "flush") == 0 {
			_, err := gc.New(db, heads, nil).Flush(t.Context(), w.aggregate)
			require.NoError(t, err)
		}
	}
}

// The same history is fed alike, however it is stored, and wherever a reader begins.
func TestHistoriesOfAllFormatsAreFedAlike(t *testing.T) {
	mixes := [][]*ropewalk.Options{{packing(1500)}, {packing(64 << 10)}, {packing(-1)}, {nil, packing(700)}}
	rapid.Check(t, func(t *rapid.T) {
		all := anyWritings(t)
		plain, packed := memstore.New(), memstore.New()
		write(t, plain, bare{plain}, []*ropewalk.Options{nil}, all)
		mix := rapid.SampledFrom(mixes).Draw(t, "mix")
		write(t, packed, bare{packed}, mix, all)
		var rows [2][]row
		for i, db := range []*memstore.Store{plain, packed} {
			objects := changeset.Store(db)
			if rapid.Bool().Draw(t, "many") {
				objects = &library{Store: db}
			}
			store := ropewalk.New(objects, bare{db}, mix[0])
			f := feed.Open(store, nil)
			_, err := f.Relay(nil).Once(t.Context())
			require.NoError(t, err)
			changes, err := ropewalk.Collect(f.After(t.Context(), feed.Position{}))
			rows[i] = byAggregate(rowsOf(t, changes, err))
			from := rapid.IntRange(0, len(changes)-1).Draw(t, "from")
			rest, err := ropewalk.Collect(feed.Open(store, nil).After(t.Context(), changes[from].Position))
			require.Equal(t, rowsOf(t, changes[from+1:], nil), rowsOf(t, rest, err))
			findings, err := ropewalk.Collect(f.Verify(t.Context()))
			require.NoError(t, err)
			require.Empty(t, findings)
		}
		require.Equal(t, rows[0], rows[1])
	})
}

func byAggregate(rows []row) []row {
	slices.SortStableFunc(rows, func(a, b row) int { return strings.Compare(a.aggregate, b.aggregate) })
	return rows
}

// A log in one step, such as SQLite's, has the changes of packed chains in its order.
func TestLogOfPackedChains(t *testing.T) {
	l := &library{Store: memstore.New()}
	store := ropewalk.New(l, l, packing(0))
	fill(t, store, 300, 40, func(int) int { return 10 })
	changes, err := ropewalk.Collect(feed.Open(store, nil).After(t.Context(), feed.Position{}))
	require.NoError(t, err)
	require.Len(t, changes, 300)
	for i, c := range changes {
		require.Equal(t, fmt.Sprint(i), string(c.Content[10:]))
	}
}

// costs is what a reading of a feed costs beside the feed's own chains.
func costs(t *testing.T, db *memstore.Store, options *ropewalk.Options, after feed.Position) (meter.Counts, int) {
	m := meter.New(latency)
	f := feed.Open(ropewalk.New(m.Changesets(db), m.Heads(bare{db}), options), &feed.Options{Only: func(string) bool { return false }})
	for _, err := range f.After(t.Context(), after) {
		require.NoError(t, err)
	}
	own, m := m.Count(), meter.New(latency)
	f = feed.Open(ropewalk.New(m.Changesets(db), m.Heads(bare{db}), options), nil)
	n := 0
	for _, err := range f.After(t.Context(), after) {
		require.NoError(t, err)
		n++
	}
	c := m.Count()
	c.Load, c.Get, c.Stat = c.Load-own.Load, c.Get-own.Get, c.Stat-own.Stat
	return c, n
}

const latency = 10 * time.Millisecond

// A fresh change costs a follower one request, in both formats. The changes of an object
// are read by one request for all, and the first of them by one for the head.
func TestRequestsForPackedChanges(t *testing.T) {
	for name, c := range map[string]struct {
		options *ropewalk.Options
		fresh   meter.Counts // for the newest change
		all     meter.Counts // for 200 changes
	}{
		"format 1": {nil, meter.Counts{Get: 1}, meter.Counts{Get: 200}},
		"in a tip": {packing(64 << 10), meter.Counts{Load: 1}, meter.Counts{Load: 1}},
		// Some 19 objects of 11 changesets, found through one further header.
		"in objects": {packing(3 << 10), meter.Counts{Load: 1}, meter.Counts{Load: 1, Get: 18, Stat: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := memstore.New()
				store := ropewalk.New(db, bare{db}, c.options)
				relay := feed.Open(store, nil).Relay(nil)
				var h ropewalk.Head
				for i := range 200 {
					var err error
					h, err = store.Chain("order-1").Append(t.Context(), h, ropewalk.Draft{Content: make([]byte, 20)})
					require.NoError(t, err)
					if i < 190 {
						continue // one long advance, and single ones
					}
					_, err = relay.Once(t.Context())
					require.NoError(t, err)
				}
				changes, err := ropewalk.Collect(feed.Open(store, nil).After(t.Context(), feed.Position{}))
				require.NoError(t, err)
				got, n := costs(t, db, c.options, changes[198].Position)
				require.Equal(t, 1, n)
				require.Equal(t, c.fresh, meter.Counts{Get: got.Get, Load: got.Load, Stat: got.Stat})
				got, n = costs(t, db, c.options, feed.Position{})
				require.Equal(t, 200, n)
				require.LessOrEqual(t, got.Get, c.all.Get)
				require.LessOrEqual(t, got.Load, c.all.Load)
				require.LessOrEqual(t, got.Stat, c.all.Stat+3)
			})
		})
	}
}

// A reader that does not know of packed chains finds out: by a request in vain for the
// first change, and by none afterwards.
func TestUnexpectedPackedChains(t *testing.T) {
	db := memstore.New()
	fill(t, ropewalk.New(db, bare{db}, packing(64<<10)), 40, 40, func(int) int { return 10 })
	_, err := feed.Open(ropewalk.New(db, bare{db}, nil), nil).Relay(nil).Once(t.Context())
	require.NoError(t, err)
	m := meter.New(0)
	f := feed.Open(ropewalk.New(m.Changesets(db), m.Heads(bare{db}), nil), &feed.Options{ReadAhead: 1})
	changes, err := ropewalk.Collect(f.After(t.Context(), feed.Position{}))
	require.NoError(t, err)
	require.Len(t, changes, 40)
	require.LessOrEqual(t, m.Count().Get, 6, "of the register and the feed, and a few in vain")
}

// What a restored head has lost in its tip is missing. The changes of the history that
// goes on from there never take its place.
func TestChangesThatARestoredHeadHasLost(t *testing.T) {
	for _, flushed := range []bool{false, true} {
		t.Run(fmt.Sprint("flushed ", flushed), func(t *testing.T) {
			db := memstore.New()
			store := ropewalk.New(db, bare{db}, packing(64<<10))
			chain, relay := store.Chain("order-1"), feed.Open(store, nil).Relay(nil)
			var heads []ropewalk.Head
			var h ropewalk.Head
			for i := range 6 {
				var err error
				h, err = chain.Append(t.Context(), h, ropewalk.Draft{Content: []byte(fmt.Sprint("old ", i))})
				require.NoError(t, err)
				heads = append(heads, h)
				if i == 1 || i == 2 || i == 5 {
					_, err = relay.Once(t.Context())
					require.NoError(t, err)
				}
			}
			setHead(t, db, heads[1])
			h = heads[1]
			for i := range 6 {
				var err error
				h, err = chain.Append(t.Context(), h, ropewalk.Draft{Content: []byte(fmt.Sprint("new ", i))})
				require.NoError(t, err)
			}
			if flushed {
				_, err := gc.New(db, bare{db}, nil).Flush(t.Context(), "order-1")
				require.NoError(t, err)
			}
			changes, err := ropewalk.Collect(feed.Open(store, nil).After(t.Context(), feed.Position{}))
			require.Len(t, changes, 2)
			corrupt, ok := errors.AsType[*ropewalk.CorruptError](err)
			require.True(t, ok, err)
			require.Equal(t, heads[2].Ref, corrupt.Ref)
			_, err = ropewalk.Collect(feed.Open(store, &feed.Options{ReadAhead: 1}).After(t.Context(), changes[1].Position))
			require.ErrorAs(t, err, &corrupt)
			report, err := relay.Sweep(t.Context())
			require.NoError(t, err)
			require.Equal(t, []string{"order-1"}, report.Restored)
		})
	}
}

// setHead puts a record back, as a restore of the heads does.
func setHead(t *testing.T, db *memstore.Store, h head.Head) {
	record, err := head.EncodeJSON(h)
	require.NoError(t, err)
	db.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName(h.AggregateID)] = record })
}

// A handler may change what it gets: no other change shares its memory.
func TestChangesShareNoMemory(t *testing.T) {
	for _, tip := range []int{64 << 10, -1} {
		db := memstore.New()
		store := ropewalk.New(db, bare{db}, packing(tip))
		drafts := make([]ropewalk.Draft, 20)
		for i := range drafts {
			drafts[i].Content = []byte(fmt.Sprint("content ", i))
		}
		_, err := store.Chain("order-1").Create(t.Context(), drafts...)
		require.NoError(t, err)
		_, err = feed.Open(store, nil).Relay(nil).Once(t.Context())
		require.NoError(t, err)
		n := 0
		for c, err := range feed.Open(store, nil).After(t.Context(), feed.Position{}) {
			require.NoError(t, err)
			require.Equal(t, string(drafts[n].Content), string(c.Content))
			all := append(c.Content, bytes.Repeat([]byte("x"), 1000)...)
			clear(all[:cap(c.Content)])
			n++
		}
		require.Equal(t, 20, n)
	}
}

// Objects that a reader is about to read may be replaced by others, at every step.
func TestFollowingWhileObjectsAreReplaced(t *testing.T) {
	replaced := 0
	for step := 1; step <= 26; step++ {
		db := memstore.New()
		store := ropewalk.New(db, bare{db}, packing(-1))
		chain := store.Chain("order-1")
		relay := feed.Open(store, nil).Relay(nil)
		var h ropewalk.Head
		for i := range 12 {
			var err error
			h, err = chain.Append(t.Context(), h, ropewalk.Draft{Content: []byte(fmt.Sprint(i))})
			require.NoError(t, err)
			_, err = relay.Once(t.Context())
			require.NoError(t, err)
		}
		var script faults.Script
		script.On(faults.Get, step, faults.Fault{Before: func() {
			replaceAll(t, db, "order-1")
			replaced++
		}})
		read := ropewalk.New(script.Changesets(db), script.Heads(bare{db}), packing(-1))
		changes, err := ropewalk.Collect(feed.Open(read, &feed.Options{ReadAhead: 1}).After(t.Context(), feed.Position{}))
		require.NoError(t, err, step)
		require.Len(t, changes, 12)
		for i, c := range changes {
			require.Equal(t, fmt.Sprint(i), string(c.Content))
		}
	}
	require.Greater(t, replaced, 20)
}

// replaceAll puts all changesets of a packed chain as one object, swaps the head, and
// deletes the other objects.
func replaceAll(t require.TestingT, db *memstore.Store, id string) {
	ctx := context.Background()
	h, err := db.Load(ctx, id)
	require.NoError(t, err)
	all, err := ropewalk.Collect(ropewalk.New(db, bare{db}, nil).Chain(id).ReaderAt(h).All(ctx))
	require.NoError(t, err)
	var old []changeset.Ref
	for o, err := range db.Objects(ctx, id) {
		require.NoError(t, err)
		old = append(old, o.Ref)
	}
	tipped := h
	tipped.Tip, tipped.Index, tipped.PackedID, tipped.PackedDigest = "", changeset.ObjectIndex{}, changeset.ID{}, changeset.Digest{}
	for _, c := range all {
		tipped.Tip = string(changeset.AppendLine([]byte(tipped.Tip), c))
	}
	objects, next, err := link.Flush(tipped, false)
	require.NoError(t, err)
	for _, o := range objects {
		require.NoError(t, db.Put(ctx, o))
	}
	_, err = db.Swap(ctx, h, next)
	require.NoError(t, err)
	for _, ref := range old {
		require.NoError(t, db.Delete(ctx, ref))
	}
}

// The library's own chains are of format 1, whatever the option says.
func TestOwnChainsAreOfFormat1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		store := ropewalk.New(db, bare{db}, packing(64<<10))
		fill(t, store, 40, 4, func(int) int { return 10 })
		f := feed.Open(store, nil)
		for range 2 {
			_, err := f.Relay(nil).Once(t.Context())
			require.NoError(t, err)
			handled := 0
			ctx, cancel := context.WithCancel(t.Context())
			err = f.Subscription("mail", nil).Run(ctx, func(context.Context, feed.Change) error {
				if handled++; handled == 20 {
					cancel()
				}
				return nil
			})
			require.NoError(t, err)
		}
		var own []string
		for at, err := range db.List(t.Context(), "") {
			require.NoError(t, err)
			require.Equal(t, !reserved.Is(at.AggregateID), at.IsPacked(), at.AggregateID)
			if reserved.Is(at.AggregateID) {
				own = append(own, at.AggregateID)
			}
		}
		require.Len(t, own, 4, "the register, the feed, a subscription and the index: %v", own)
		require.NoError(t, f.Drop(t.Context()))
	})
}

// An erased aggregate is not delivered from memory for long.
func TestErasureWhileFollowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		store := ropewalk.New(db, bare{db}, packing(64<<10))
		relay := feed.Open(store, nil).Relay(nil)
		var h ropewalk.Head
		for range 20 {
			var err error
			h, err = store.Chain("order-1").Append(t.Context(), h, ropewalk.Draft{Content: []byte("x")})
			require.NoError(t, err)
			_, err = relay.Once(t.Context())
			require.NoError(t, err)
		}
		n := 0
		for c, err := range feed.Open(store, &feed.Options{ReadAhead: 1}).After(t.Context(), feed.Position{}) {
			require.NoError(t, err)
			if n++; n == 1 {
				_, err := gc.New(db, bare{db}, nil).Erase(t.Context(), "order-1")
				require.NoError(t, err)
				time.Sleep(2 * time.Second)
			}
			require.True(t, c.Erased || n <= 5, "only what was read ahead")
		}
		require.Equal(t, 20, n)
	})
}

// A relay that sweeps does not wait until it has the tips of ten thousand heads.
func TestTipsThatWaitAreBounded(t *testing.T) {
	t.Cleanup(feed.SetMaxTips(10 << 10))
	t.Cleanup(feed.SetSizes(1<<20, 4))
	for tip, want := range map[int]int{64 << 10: 10, -1: 1} { // a page has four heads
		db := memstore.New()
		store := ropewalk.New(db, bare{db}, packing(tip))
		fill(t, store, 40, 40, func(int) int { return 1000 })
		report, err := feed.Open(store, nil).Relay(&feed.RelayOptions{BatchEvery: time.Nanosecond}).Once(t.Context())
		require.NoError(t, err)
		require.Equal(t, 40, report.Advances)
		require.Equal(t, want, report.Batches)
	}
}

// An aggregate may be erased at every step of its judgement: the advance is then the
// erasure, and never one without the changeset before it.
func TestErasedWhileItIsJudged(t *testing.T) {
	erased := 0
	for _, op := range []faults.Op{faults.Get, faults.Stat, faults.Load} {
		for step := 1; step <= 8; step++ {
			db := memstore.New()
			store := ropewalk.New(db, bare{db}, packing(-1))
			_, err := store.Chain("order-1").Create(t.Context(), make([]ropewalk.Draft, 3)...)
			require.NoError(t, err)
			_, err = feed.Open(store, nil).Relay(nil).Once(t.Context())
			require.NoError(t, err)
			fill(t, store, 20, 1, func(int) int { return 10 }) // another aggregate
			h, err := store.Chain("order-1").Head(t.Context())
			require.NoError(t, err)
			for range 4 {
				h, err = store.Chain("order-1").Append(t.Context(), h, ropewalk.Draft{})
				require.NoError(t, err)
			}
			var script faults.Script
			script.On(op, step, faults.Fault{Before: func() {
				_, err := gc.New(db, bare{db}, nil).Erase(context.Background(), "order-1")
				require.NoError(t, err)
				erased++
			}})
			relay := feed.Open(ropewalk.New(script.Changesets(db), script.Heads(bare{db}), nil), nil).Relay(nil)
			_, err = relay.Once(t.Context())
			require.NoError(t, err)
			_, err = feed.Open(store, nil).Relay(nil).Once(t.Context())
			require.NoError(t, err)
			findings, err := ropewalk.Collect(feed.Open(store, nil).Verify(t.Context()))
			require.NoError(t, err)
			require.Empty(t, findings)
		}
	}
	require.Greater(t, erased, 4)
}
