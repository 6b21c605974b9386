package ropewalk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/chaintest"
)

func TestReadersAgreeWithASlice(t *testing.T) {
	const n = 4500
	db := memstore.New()
	h := chainOf(t, db, "order-1", n)
	rapid.Check(t, func(t *rapid.T) {
		version := uint64(rapid.IntRange(0, n-1).Draw(t, "at"))
		first := uint64(rapid.IntRange(0, int(version)).Draw(t, "first"))
		last := min(version, first+uint64(rapid.IntRange(0, 600).Draw(t, "length")))
		chain := ropewalk.New(db, db, &ropewalk.Options{
			WindowCount: rapid.IntRange(1, 300).Draw(t, "window"),
			WindowBytes: int64(rapid.SampledFrom([]int{1, 5, 100, 1 << 20}).Draw(t, "bytes")),
		}).Chain("order-1")
		at, err := chain.HeadAt(context.Background(), version)
		require.NoError(t, err)
		require.Equal(t, version, at.Version)
		if version == n-1 {
			require.Equal(t, h, at)
		}
		r := chain.ReaderAt(at)

		want := func(first, last uint64) (want []uint64) {
			for v := first; v <= last; v++ {
				want = append(want, v)
			}
			return want
		}
		for range 2 { // ranging twice gives the same
			got, err := ropewalk.Collect(r.Changesets(context.Background(), ropewalk.Range{First: first, Last: last}))
			require.NoError(t, err)
			require.Equal(t, want(first, last), versionsOf(t, got))
			got, err = ropewalk.Collect(r.Changesets(context.Background(), ropewalk.Range{First: first, Last: last, Backward: true}))
			require.NoError(t, err)
			slices.Reverse(got)
			require.Equal(t, want(first, last), versionsOf(t, got))
		}
		headers, err := ropewalk.Collect(r.Headers(context.Background(), ropewalk.Range{First: first, Last: last}))
		require.NoError(t, err)
		require.Len(t, headers, int(last-first+1))
		next := last
		for header, err := range r.Headers(context.Background(), ropewalk.Range{First: first, Last: last, Backward: true}) {
			require.NoError(t, err)
			require.Equal(t, headers[next-first], header)
			next--
		}
		from := max(first, version-min(version, 300))
		got, err := ropewalk.Collect(r.Changesets(context.Background(), ropewalk.Range{First: from, Last: ropewalk.Newest}))
		require.NoError(t, err)
		require.Equal(t, want(from, version), versionsOf(t, got))
	})
}

func versionsOf(t require.TestingT, changesets []changeset.Changeset) (versions []uint64) {
	for _, c := range changesets {
		require.Equal(t, fmt.Sprint(c.Version), string(c.Content))
		versions = append(versions, c.Version)
	}
	return versions
}

func TestSince(t *testing.T) {
	db := memstore.New()
	newest := chainOf(t, db, "order-1", 300)
	other := chainOf(t, db, "order-2", 3)
	chain := ropewalk.New(db, db, nil).Chain("order-1")
	r := chain.ReaderAt(newest)
	for _, version := range []uint64{0, 14, 15, 16, 255, 298, 299} {
		h, err := chain.HeadAt(t.Context(), version)
		require.NoError(t, err)
		require.Equal(t, int(299-version), countUp(t, r.Since(t.Context(), h), version+1))
	}
	require.Equal(t, 300, countUp(t, r.Since(t.Context(), head.Head{}), 0))

	foreign, err := chain.HeadAt(t.Context(), 20)
	require.NoError(t, err)
	foreign.ID = changeset.NewID()
	for _, h := range []head.Head{other, foreign} {
		_, err = ropewalk.Collect(r.Since(t.Context(), h))
		require.ErrorIs(t, err, ropewalk.ErrNotFound)
	}
	forged, err := chain.HeadAt(t.Context(), 20)
	require.NoError(t, err)
	forged.Digest[0] ^= 1
	_, err = ropewalk.Collect(r.Since(t.Context(), forged))
	require.ErrorAs(t, err, new(*ropewalk.CorruptError), "the head that the caller has kept proves what came before")
}

func TestReaderIsPinned(t *testing.T) {
	db := memstore.New()
	h := chainOf(t, db, "order-1", 20)
	chain := ropewalk.New(db, db, nil).Chain("order-1")
	r, err := chain.Reader(t.Context())
	require.NoError(t, err)
	_, err = chain.Append(t.Context(), h, chaintest.Draft("20"))
	require.NoError(t, err)
	require.Equal(t, 20, countUp(t, r.All(t.Context()), 0))
	require.Equal(t, h, r.Head())
}

func TestBadReads(t *testing.T) {
	db := memstore.New()
	h := chainOf(t, db, "order-1", 3)
	store := ropewalk.New(db, db, nil)
	chain, none := store.Chain("order-1"), store.Chain("order-9")
	r := chain.ReaderAt(h)
	collect := func(first, last uint64) error {
		_, err := ropewalk.Collect(r.Changesets(t.Context(), ropewalk.Range{First: first, Last: last}))
		return err
	}
	require.ErrorIs(t, collect(0, 3), ropewalk.ErrNotFound)
	require.ErrorIs(t, collect(3, 3), ropewalk.ErrNotFound)
	require.ErrorContains(t, collect(2, 1), "above the last")
	_, err := r.At(t.Context(), 3)
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
	_, err = none.Reader(t.Context())
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
	_, err = none.ReaderAt(head.Head{}).At(t.Context(), 0)
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
	_, err = none.Head(t.Context())
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
	_, err = chain.HeadAt(t.Context(), 3)
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
	_, err = chain.HeadOf(t.Context(), changeset.Ref{AggregateID: "order-1", Version: 1, ID: changeset.NewID()})
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
	_, err = chain.HeadOf(t.Context(), changeset.Ref{AggregateID: "order-2", Version: 1, ID: changeset.NewID()})
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
	_, err = ropewalk.Collect(none.ReaderAt(h).All(t.Context()))
	require.ErrorContains(t, err, "not to")
	_, err = store.Chain("a\x00").Reader(t.Context())
	require.ErrorIs(t, err, ropewalk.ErrInvalidAggregateID)

	all, err := ropewalk.Collect(none.ReaderAt(head.Head{}).All(t.Context()))
	require.NoError(t, err)
	require.Empty(t, all, "the history before the first changeset is empty")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = ropewalk.Collect(r.All(ctx))
	require.ErrorIs(t, err, context.Canceled)
}

func TestHeadOf(t *testing.T) {
	db := memstore.New()
	h := chainOf(t, db, "order-1", 3)
	chain := ropewalk.New(db, db, nil).Chain("order-1")
	for version := range uint64(3) {
		at, err := chain.HeadAt(t.Context(), version)
		require.NoError(t, err)
		ref, err := head.ParseETag("order-1", at.ETag())
		require.NoError(t, err)
		of, err := chain.HeadOf(t.Context(), ref)
		require.NoError(t, err)
		require.Equal(t, at, of)
		_, err = chain.Append(t.Context(), of, chaintest.Draft("new"))
		require.Equal(t, of != h, chaintest.IsConflict(err), "only the newest head can be appended to")
	}
}

// window watches how much content a walk holds.
type window struct {
	*memstore.Store
	held, peak atomic.Int64
	aborted    atomic.Int64
}

func (w *window) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	c, err := w.Store.Get(context.WithoutCancel(ctx), ref, nil)
	if err != nil {
		return c, err
	}
	if err := admission.Admit(c.Header); err != nil {
		w.aborted.Add(1)
		return changeset.Changeset{}, err
	}
	held := w.held.Add(c.BodySize)
	for peak := w.peak.Load(); held > peak && !w.peak.CompareAndSwap(peak, held); peak = w.peak.Load() {
	}
	time.Sleep(latency)
	return c, nil
}

func TestWindowIsBounded(t *testing.T) {
	const n, limit = 200, 1000
	all := func(size int) func(int) int { return func(int) int { return size } }
	sizes := map[string]func(version int) int{
		"small": all(10), "large": all(300), "larger than the whole window": all(1500),
		"each just within its share": func(version int) int { return limit / max(1, n-1-version) },
	}
	for name, size := range sizes {
		for _, backward := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, backward %v", name, backward), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					db := &window{Store: memstore.New()}
					chain := ropewalk.New(db, db, &ropewalk.Options{WindowBytes: limit, WindowCount: 50}).Chain("order-1")
					var h head.Head
					largest := 0
					for version := range n {
						var err error
						h, err = chain.Append(t.Context(), h, changeset.Draft{Content: bytes.Repeat([]byte("x"), size(version))})
						require.NoError(t, err)
						largest = max(largest, size(version))
					}
					seq := chain.ReaderAt(h).All(t.Context())
					if backward {
						seq = chain.ReaderAt(h).Backward(t.Context())
					}
					seen := 0
					for c, err := range seq {
						require.NoError(t, err)
						seen++
						db.held.Add(-c.BodySize)
					}
					require.Equal(t, n, seen)
					// What is yielded leaves the window a moment after the loop
					// here has counted it, and the next one always passes.
					require.LessOrEqual(t, db.peak.Load(), int64(max(limit, largest)+largest))
					require.LessOrEqual(t, db.aborted.Load(), int64(n), "no changeset is turned away twice")
				})
			})
		}
	}
}

func TestBreakStopsAllWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		h := chainOf(t, db, "order-1", 1000)
		var script faults.Script
		store := ropewalk.New(script.Changesets(db), db, nil)
		script.Every(faults.Get, faults.Fault{DelayBefore: time.Second})
		start := time.Now()
		for c, err := range store.Chain("order-1").ReaderAt(h).Backward(t.Context()) {
			require.NoError(t, err)
			require.Equal(t, uint64(999), c.Version)
			break
		}
		require.Equal(t, time.Second, time.Since(start), "the newest is there after one round")
		calls := script.Calls(faults.Get)
		require.Less(t, calls, 1000)
		time.Sleep(time.Hour)
		require.Equal(t, calls, script.Calls(faults.Get))
	}) // a goroutine left behind would fail the bubble
}

func TestReadErrorEndsTheSequence(t *testing.T) {
	db := memstore.New()
	h := chainOf(t, db, "order-1", 100)
	for op, seq := range map[faults.Op]func(*ropewalk.Reader) int{
		faults.Get: func(r *ropewalk.Reader) int {
			n := 0
			for _, err := range r.All(t.Context()) {
				n++
				if err != nil {
					require.ErrorIs(t, err, faults.ErrInjected)
					return n
				}
			}
			return 0
		},
		faults.Stat: func(r *ropewalk.Reader) int {
			all, err := ropewalk.Collect(r.Headers(t.Context(), ropewalk.Range{Last: 99}))
			require.ErrorIs(t, err, faults.ErrInjected)
			return len(all) + 1
		},
	} {
		var script faults.Script
		script.On(op, 50, faults.Fault{Kind: faults.Dropped})
		r := ropewalk.New(script.Changesets(db), db, nil).Chain("order-1").ReaderAt(h)
		require.NotZero(t, seq(r), "%s: a short history is never a whole one", op)
	}
}

// TestMissingChangeset removes each changeset of a chain in turn: readers yield
// what comes before it, as far as they can find and prove that, and name it.
func TestMissingChangeset(t *testing.T) {
	const n = 100
	whole := memstore.New()
	h := chainOf(t, whole, "order-1", n)
	refs := map[uint64]changeset.Ref{}
	for c, err := range ropewalk.New(whole, whole, nil).Chain("order-1").ReaderAt(h).All(t.Context()) {
		require.NoError(t, err)
		refs[c.Version] = c.Ref
	}
	for version := range uint64(n) {
		db := whole.Clone()
		require.NoError(t, db.Delete(t.Context(), refs[version]))
		r := ropewalk.New(db, db, &ropewalk.Options{WindowCount: 40}).Chain("order-1").ReaderAt(h)
		forward, err := ropewalk.Collect(r.All(t.Context()))
		requireMissing(t, err, db, refs[version])
		backward, err := ropewalk.Collect(r.Backward(t.Context()))
		requireMissing(t, err, db, refs[version])
		headers, err := ropewalk.Collect(r.Headers(t.Context(), ropewalk.Range{Last: n - 1}))
		requireMissing(t, err, db, refs[version])

		before, after := int(version), max(0, n-2-int(version)) // what comes right after it is not proved
		if version%16 == 15 {                                   // the index of this one leads to the 15 before it
			before -= 15
		}
		require.Equal(t, versionsUp(before), versionsOf(t, forward))
		require.Len(t, headers, before)
		require.Len(t, backward, after)
	}
}

func versionsUp(n int) (versions []uint64) {
	for v := range uint64(n) {
		versions = append(versions, v)
	}
	return versions
}

func requireMissing(t *testing.T, err error, db *memstore.Store, ref changeset.Ref) {
	t.Helper()
	var corrupt *ropewalk.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, ref, corrupt.Ref)
	require.Equal(t, db.Locate(ref), corrupt.Object)
	require.False(t, errors.Is(err, ropewalk.ErrNotFound), "not to be mistaken for a chain that is not there")
}

// A reader of an aggregate that does not exist has an empty history.
func TestReaderOfAMissingAggregate(t *testing.T) {
	db := memstore.New()
	chain := ropewalk.New(db, db, nil).Chain("order-9")
	r, err := chain.Reader(t.Context())
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
	require.Zero(t, r.Head().Len())
	for _, versions := range []ropewalk.Range{{Last: ropewalk.Newest}, {Last: ropewalk.Newest, Backward: true}} {
		all, err := ropewalk.Collect(r.Changesets(t.Context(), versions))
		require.NoError(t, err)
		require.Empty(t, all)
		headers, err := ropewalk.Collect(r.Headers(t.Context(), versions))
		require.NoError(t, err)
		require.Empty(t, headers)
	}
	_, err = ropewalk.Collect(r.Changesets(t.Context(), ropewalk.Range{}))
	require.ErrorIs(t, err, ropewalk.ErrNotFound, "version 0 does not exist")
	_, err = chain.Append(t.Context(), r.Head(), ropewalk.Draft{})
	require.NoError(t, err, "its head is the one to append the first changeset after")
}

// A range to the newest version is empty at the next version, and an error after it.
func TestRangesToTheNewestVersion(t *testing.T) {
	db := memstore.New()
	r := ropewalk.New(db, db, nil).Chain("order-1").ReaderAt(chainOf(t, db, "order-1", 3))
	for _, backward := range []bool{false, true} {
		for first, want := range [][]uint64{{0, 1, 2}, {1, 2}, {2}, nil} {
			var got []uint64
			for h, err := range r.Headers(t.Context(), ropewalk.Range{First: uint64(first), Last: ropewalk.Newest, Backward: backward}) {
				require.NoError(t, err)
				got = append(got, h.Version)
			}
			if backward {
				slices.Reverse(got)
			}
			require.Equal(t, want, got)
		}
		_, err := ropewalk.Collect(r.Changesets(t.Context(), ropewalk.Range{First: 4, Last: ropewalk.Newest, Backward: backward}))
		require.ErrorIs(t, err, ropewalk.ErrNotFound)
	}
	_, err := r.At(t.Context(), ropewalk.Newest)
	require.ErrorIs(t, err, ropewalk.ErrNotFound, "a version, not the newest")
}
