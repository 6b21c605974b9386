package ropewalk_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// ranged is a memory that counts the requests for changesets and for ranges.
type ranged struct {
	*memstore.Store
	ranges, gets atomic.Int32
	largest      atomic.Int64 // of the sizes of all contents of a range
	// before, if not nil, is called with the number of each request for a range.
	before func(int)
	// stat, if not nil, is what Stat returns.
	stat *changeset.Info
}

func (s *ranged) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	s.gets.Add(1)
	return s.Store.Get(ctx, ref, admission)
}

func (s *ranged) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	if s.stat != nil {
		return *s.stat, nil
	}
	return s.Store.Stat(ctx, ref)
}

func (s *ranged) GetRange(ctx context.Context, aggregateID string, first, last uint64, admission changeset.Admission) (all []changeset.Changeset, err error) {
	if n := s.ranges.Add(1); s.before != nil {
		s.before(int(n))
	}
	all, err = s.Store.GetRange(ctx, aggregateID, first, last, admission)
	size := int64(0)
	for _, c := range all {
		size += int64(len(c.Body))
	}
	s.largest.Store(max(size, s.largest.Load()))
	return all, err
}

func (s *ranged) GetsRangesOf(other changeset.Store) bool { return other == changeset.Store(s) }

// chainOfRanges appends a chain of 600 changesets to the memory, beside which some
// versions have orphans. The content at version 400 has the given size. The heads are at
// versions 49, 99 and so on.
func chainOfRanges(t *testing.T, db *memstore.Store, size int) (all []changeset.Changeset, heads []head.Head) {
	t.Helper()
	var h head.Head
	for i := range 12 {
		orphans, _, err := link.Extend(h, "order-1", []changeset.Draft{{}, {}}, time.Now())
		require.NoError(t, err)
		require.NoError(t, db.Put(t.Context(), orphans[i%2]))
		drafts := make([]changeset.Draft, 50)
		for j := range drafts {
			drafts[j].Content = fmt.Append(nil, "content ", i, j)
		}
		if i == 8 {
			drafts[0].Content = bytes.Repeat([]byte("x"), size)
		}
		h, err = ropewalk.New(db, db, nil).Chain("order-1").Append(t.Context(), h, drafts...)
		require.NoError(t, err)
		heads = append(heads, h)
	}
	all, err := ropewalk.Collect(ropewalk.New(db, db, nil).Chain("order-1").ReaderAt(h).All(t.Context()))
	require.NoError(t, err)
	return all, heads
}

// waysOfRanges are sequences of many versions, of the chain of chainOfRanges.
func waysOfRanges(t *testing.T, store *ropewalk.Store, heads []head.Head) map[string]iter.Seq2[changeset.Changeset, error] {
	ctx, r := t.Context(), store.Chain("order-1").ReaderAt(heads[len(heads)-1])
	return map[string]iter.Seq2[changeset.Changeset, error]{
		"all":            r.All(ctx),
		"backward":       r.Backward(ctx),
		"range":          r.Changesets(ctx, ropewalk.Range{First: 100, Last: 520}),
		"range backward": r.Changesets(ctx, ropewalk.Range{First: 100, Last: 520, Backward: true}),
		"one range":      r.Changesets(ctx, ropewalk.Range{First: 256, Last: 511}),
		"since":          r.Since(ctx, heads[1]),
	}
}

// requireSameByRanges demands that a store with ranges yields what the memory alone yields,
// and the same error. It returns the number of errors.
func requireSameByRanges(t *testing.T, db *memstore.Store, heads []head.Head, options *ropewalk.Options, msg string) (failed int) {
	t.Helper()
	byRange := waysOfRanges(t, ropewalk.New(&ranged{Store: db}, db, options), heads)
	oneByOne := changeset.NewPassThrough(db)
	for name, seq := range waysOfRanges(t, ropewalk.New(oneByOne, db, options), heads) {
		want, wanted := ropewalk.Collect(seq)
		got, err := ropewalk.Collect(byRange[name])
		require.Equal(t, want, got, "%s: %s", msg, name)
		require.Equal(t, fmt.Sprint(wanted), fmt.Sprint(err), "%s: %s", msg, name)
		if wanted != nil {
			failed++
		}
	}
	return failed
}

// TestReadByRanges: a store that reads ranges is asked for nothing else.
func TestReadByRanges(t *testing.T) {
	db := memstore.New()
	_, heads := chainOfRanges(t, db, 10)
	require.Zero(t, requireSameByRanges(t, db, heads, nil, "sound"))
	for name, want := range map[string]int{"all": 3, "backward": 3, "range": 3, "range backward": 3, "one range": 1, "since": 3} {
		store := &ranged{Store: db}
		require.NoError(t, last(waysOfRanges(t, ropewalk.New(store, db, nil), heads)[name]))
		require.Equal(t, want, int(store.ranges.Load()), name)
		require.Zero(t, store.gets.Load(), name)
	}
}

// TestFewAreNotReadByRanges: a decorator, and a type that embeds the store, see each changeset
// that is read. Options and short spans have the requests that they had.
func TestFewAreNotReadByRanges(t *testing.T) {
	db := memstore.New()
	_, heads := chainOfRanges(t, db, 10)
	store := &ranged{Store: db}
	require.NoError(t, last(ropewalk.New(changeset.NewPassThrough(store), db, nil).Chain("order-1").ReaderAt(heads[11]).All(t.Context())))
	require.NoError(t, last(ropewalk.New(struct{ *ranged }{store}, db, nil).Chain("order-1").ReaderAt(heads[11]).All(t.Context())))
	require.Equal(t, 1200, int(store.gets.Load()))
	require.NoError(t, last(ropewalk.New(store, db, &ropewalk.Options{WindowCount: 8}).Chain("order-1").ReaderAt(heads[11]).All(t.Context())))
	chain := ropewalk.New(store, db, nil).Chain("order-1").ReaderAt(heads[11])
	require.NoError(t, last(chain.Changesets(t.Context(), ropewalk.Range{First: 3, Last: 9})))
	require.NoError(t, last(chain.Headers(t.Context(), ropewalk.Range{Last: ropewalk.Newest})))
	require.Zero(t, store.ranges.Load())
}

// damagesOfRanges are what can be wrong about a changeset.
var damagesOfRanges = map[string]func(c *changeset.Changeset, parent changeset.Changeset){
	"another content": func(c *changeset.Changeset, _ changeset.Changeset) { c.Body = []byte("another") },
	"a shorter content": func(c *changeset.Changeset, _ changeset.Changeset) {
		c.Body = c.Body[1:]
		c.BodySize--
	},
	"another command": func(c *changeset.Changeset, _ changeset.Changeset) { c.CommandID = "another" },
	"another command and digest": func(c *changeset.Changeset, parent changeset.Changeset) {
		c.CommandID = "another"
		c.Digest = c.ComputeDigest(parent.Digest)
	},
	"an unknown encoding": func(c *changeset.Changeset, parent changeset.Changeset) {
		c.Encoding = changeset.EncodingZstd
		c.Digest = c.ComputeDigest(parent.Digest)
	},
}

// TestDamageWithinARange: every damage of a changeset, at the ends of ranges and within
// them, ends the sequence with the same error, and everything before is yielded.
func TestDamageWithinARange(t *testing.T) {
	db := memstore.New()
	all, heads := chainOfRanges(t, db, 10)
	for number, version := range []int{0, 1, 100, 255, 256, 300, 301, 511, 599} {
		if !sampled(number) {
			continue
		}
		sound := all[version]
		sound.Content = nil
		require.NoError(t, db.Delete(t.Context(), sound.Ref))
		require.Positive(t, requireSameByRanges(t, db, heads, nil, "missing"))
		for name, damage := range damagesOfRanges {
			c := sound
			damage(&c, all[max(version-1, 0)])
			require.NoError(t, db.Put(t.Context(), c))
			require.Positive(t, requireSameByRanges(t, db, heads, nil, fmt.Sprint(name, " at ", version)))
			require.NoError(t, db.Delete(t.Context(), sound.Ref))
		}
		require.NoError(t, db.Put(t.Context(), sound))
	}
	require.Zero(t, requireSameByRanges(t, db, heads, nil, "healed"))
}

// TestWrongLinkWithinARange: digests prove that a writer meant a history, which can still
// be no chain.
func TestWrongLinkWithinARange(t *testing.T) {
	for _, version := range []int{20, 255, 256} {
		db := memstore.New()
		drafts := make([]changeset.Draft, 256)
		all, h, err := link.Extend(head.Head{}, "order-1", drafts, time.Now())
		require.NoError(t, err)
		more, _, err := link.Extend(h, "order-1", drafts[:50], time.Now().Add(time.Minute))
		require.NoError(t, err)
		all = append(all, more...)
		all[version].RecordedAt = all[0].RecordedAt.Add(-time.Hour)
		for i := range all {
			var parent changeset.Digest
			if i > 0 {
				parent = all[i-1].Digest
			}
			all[i].Digest = all[i].ComputeDigest(parent)
			all[i].Content = nil
			require.NoError(t, db.Put(t.Context(), all[i]))
		}
		h = link.Next(h, all[len(all)-1].Header)
		require.Positive(t, requireSameByRanges(t, db, []head.Head{h, head.At(all[10].Header), h}, nil, fmt.Sprint(version)))
	}
}

// TestForkBesideARange: a fork has changesets at the versions of the chain, each of which
// is proved by the one before.
func TestForkBesideARange(t *testing.T) {
	db := memstore.New()
	all, heads := chainOfRanges(t, db, 10)
	fork, _, err := link.Extend(heads[2], "order-1", make([]changeset.Draft, 250), time.Now())
	require.NoError(t, err)
	for _, c := range fork {
		require.NoError(t, db.Put(t.Context(), c))
	}
	require.Zero(t, requireSameByRanges(t, db, heads, nil, "fork"))
	require.NoError(t, db.Delete(t.Context(), all[300].Ref))
	require.Positive(t, requireSameByRanges(t, db, heads, nil, "fork, and one is missing"))
}

// TestRangesThatDoNotFit: contents above the window, and above the limit of contents, are
// read as they were.
func TestRangesThatDoNotFit(t *testing.T) {
	db := memstore.New()
	_, heads := chainOfRanges(t, db, 3000)
	require.Zero(t, requireSameByRanges(t, db, heads, &ropewalk.Options{WindowBytes: 1000}, "window"))
	require.Positive(t, requireSameByRanges(t, db, heads, &ropewalk.Options{MaxContentSize: 2000}, "limit"))
	for _, window := range []int64{1000, 4000} {
		store := &ranged{Store: db}
		chain := ropewalk.New(store, db, &ropewalk.Options{WindowBytes: window}).Chain("order-1")
		require.NoError(t, last(chain.ReaderAt(heads[11]).All(t.Context())))
		require.LessOrEqual(t, store.largest.Load(), window/2)
	}
}

// TestRangesOfAnotherHeader: a store that answers with another header leads nowhere.
func TestRangesOfAnotherHeader(t *testing.T) {
	db := memstore.New()
	all, heads := chainOfRanges(t, db, 10)
	store := &ranged{Store: db, stat: &changeset.Info{Header: all[599].Header}}
	chain := ropewalk.New(store, db, nil).Chain("order-1")
	err := last(chain.ReaderAt(heads[11]).Changesets(t.Context(), ropewalk.Range{First: 100, Last: 520}))
	require.ErrorAs(t, err, new(*ropewalk.CorruptError))
	require.ErrorContains(t, err, "belongs to")
}

// TestErasedBetweenRanges: a history that is erased while its ranges are read is erased,
// not damaged.
func TestErasedBetweenRanges(t *testing.T) {
	for n := range 3 {
		for name := range whileErasing {
			if !strings.Contains("all backward from since", name) {
				continue
			}
			db := memstore.New()
			_, heads := chainOfRanges(t, db, 10)
			store := &ranged{Store: db, before: func(number int) {
				if number == n+1 {
					erase(t, db, "order-1")
				}
			}}
			chain := ropewalk.New(store, db, nil).Chain("order-1")
			err := whileErasing[name](t.Context(), chain, chain.ReaderAt(heads[11]), heads[0])
			require.ErrorIs(t, err, ropewalk.ErrErased, "%s, %d", name, n)
		}
	}
}

// TestEndOfRanges: no goroutine outlives a loop that ends early, and the end of the context
// is an error of the next changeset.
func TestEndOfRanges(t *testing.T) {
	db := memstore.New()
	_, heads := chainOfRanges(t, db, 10)
	for _, n := range []int{0, 1, 255, 256, 300, 598} {
		for _, backward := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r := ropewalk.New(&ranged{Store: db}, db, nil).Chain("order-1").ReaderAt(heads[11])
				versions := ropewalk.Range{Last: ropewalk.Newest, Backward: backward}
				count := 0
				for _, err := range r.Changesets(ctx, versions) {
					require.NoError(t, err)
					if count++; count > n {
						break
					}
				}
				synctest.Wait()
				count = 0
				var got error
				for _, err := range r.Changesets(ctx, versions) {
					if got = err; err != nil {
						break
					}
					if count++; count > n {
						cancel()
					}
				}
				require.Equal(t, n+1, count)
				require.ErrorIs(t, got, context.Canceled)
			})
		}
	}
}
