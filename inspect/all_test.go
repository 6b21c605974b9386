package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
	"ropewalk/internal/reserved"
)

// fill makes chains of one changeset each, all in one storage.
func fill(t *testing.T, ids ...string) *memstore.Store {
	m := memstore.New()
	for _, id := range ids {
		b := &bench{t: t, Store: m, id: id}
		b.append(draft(id))
	}
	return m
}

func TestVerifyAllMeetsEveryAggregateOnce(t *testing.T) {
	m := fill(t, "c", "a/1", "a", "b", "d", "e", "f")
	pending := &bench{t: t, Store: m, id: "pending"}
	pending.orphan(draft("x"))
	snapshots := &bench{t: t, Store: m, id: reserved.Snapshots("a")} // no chain
	snapshots.orphan(draft("x"))
	m.Tamper(func(c *memstore.Contents) {
		for name := range c.Objects {
			for _, id := range []string{"b", "d", "f"} { // nothing but a head
				if ref, _ := changeset.ParseObjectName(name); ref.AggregateID == id {
					delete(c.Objects, name)
				}
			}
		}
		for _, id := range []string{"a", "b", "d"} { // which does not decode
			c.Heads[head.ObjectName(id)][0] = '['
		}
	})
	reports, err := ropewalk.Collect(inspect.New(m, m, nil).VerifyAll(t.Context()))
	require.NoError(t, err)
	problems := map[string]int{}
	for _, r := range reports {
		require.NotContains(t, problems, r.AggregateID)
		problems[r.AggregateID] = len(r.Problems)
	}
	require.Equal(t, map[string]int{"a": 1, "a/1": 0, "b": 1, "c": 0, "d": 1, "e": 0, "f": 1, "pending": 0}, problems)
}

func TestProgressIsToldForEachChangeset(t *testing.T) {
	s := newSample(t)
	told := 0 // without a lock: one call at a time
	in := inspect.New(s, s, &inspect.Options{Progress: func() { told++ }})
	_, err := ropewalk.Collect(in.VerifyAll(t.Context()))
	require.NoError(t, err)
	require.Equal(t, 7, told)
}

func TestVerifyAllOfAnEmptyStore(t *testing.T) {
	m := memstore.New()
	reports, err := ropewalk.Collect(inspect.New(m, m, nil).VerifyAll(t.Context()))
	require.NoError(t, err)
	require.Empty(t, reports)
}

func TestVerifyAllEndsWithTheFirstError(t *testing.T) {
	m := fill(t, "a", "b", "c", "d")
	for _, op := range []faults.Op{faults.Load, faults.Get} {
		var script faults.Script
		script.On(op, 1, faults.Fault{Kind: faults.Dropped})
		lister := struct{ inspect.Changesets }{script.Changesets(m).(inspect.Changesets)} // without a Scan, which makes neither request
		reports, err := ropewalk.Collect(inspect.New(lister, script.Heads(m), &inspect.Options{Parallel: 1}).VerifyAll(t.Context()))
		require.ErrorIs(t, err, faults.ErrInjected, "%v", op)
		require.Less(t, len(reports), 4)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	reports, err := ropewalk.Collect(inspect.New(m, m, nil).VerifyAll(ended))
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, reports)
}

func TestVerifyAllStopsWithTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left over
		var ids []string
		for i := range 100 {
			ids = append(ids, fmt.Sprint(i))
		}
		m := fill(t, ids...)
		counts := meter.New(time.Second)
		in := inspect.New(counts.Changesets(m).(inspect.Changesets), counts.Heads(m), &inspect.Options{Parallel: 4})
		for _, err := range in.VerifyAll(t.Context()) {
			require.NoError(t, err)
			break
		}
		require.Less(t, counts.Requests(), 60)

		g := &gauge{Changesets: m} // which does not heed the context
		for range inspect.New(g, m, nil).VerifyAll(t.Context()) {
			break
		}
		require.Positive(t, g.peak)
		require.Zero(t, g.requests, "the loop has waited for what was under way")
	})
}

// gauge knows how much is under way at a time.
type gauge struct {
	inspect.Changesets
	mu                 sync.Mutex
	requests, peak     int
	bytes, peakOfBytes int64
}

func (g *gauge) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	c, err := g.Changesets.Get(ctx, ref, admission)
	g.add(1, c.BodySize)
	time.Sleep(time.Second)
	g.add(-1, -c.BodySize)
	return c, err
}

func (g *gauge) add(request int, size int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests, g.bytes = g.requests+request, g.bytes+size
	g.peak, g.peakOfBytes = max(g.peak, g.requests), max(g.peakOfBytes, g.bytes)
}

func TestRequestsAndBytesUnderWayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memstore.New()
		for i := range 5 {
			b := &bench{t: t, Store: m, id: fmt.Sprint(i)}
			for range 20 {
				b.append(draft("0123456789"))
			}
		}
		large := &bench{t: t, Store: m, id: "large"}
		large.append(changeset.Draft{Content: make([]byte, 1000)})
		for _, c := range []struct {
			opts  inspect.Options
			peak  int
			bytes int64
			takes time.Duration
		}{
			{inspect.Options{Parallel: 10}, 10, 1090, 15 * time.Second},
			{inspect.Options{Parallel: 10, MaxBytesInFlight: 40}, 4, 1000, 30 * time.Second},
			{inspect.Options{Parallel: 1}, 1, 1000, 101 * time.Second},
		} {
			g := &gauge{Changesets: m}
			start := time.Now()
			reports, err := ropewalk.Collect(inspect.New(g, m, &c.opts).VerifyAll(t.Context()))
			require.NoError(t, err)
			require.Len(t, reports, 6)
			require.Equal(t, c.peak, g.peak)
			require.LessOrEqual(t, g.peakOfBytes, c.bytes)
			require.LessOrEqual(t, time.Since(start), c.takes)
		}
	})
}

// busy is a storage that is written to right before it is listed.
type busy struct {
	inspect.Changesets
	write func()
}

func (b busy) Objects(ctx context.Context, id string) iter.Seq2[changeset.Object, error] {
	b.write()
	return b.Changesets.Objects(ctx, id)
}

func TestAppendsMeanwhileAreNoFault(t *testing.T) {
	s := newSample(t)
	appends := 2
	in := inspect.New(busy{s, func() {
		if appends--; appends >= 0 {
			s.append(draft("more"))
		}
	}}, s, nil)
	r, err := in.Verify(t.Context(), s.id)
	require.NoError(t, err)
	require.Equal(t, inspect.Report{AggregateID: s.id, Head: s.head, Committed: 8, Bytes: 31, Lost: 1}, r)

	appends = 1000 // it never comes to rest
	r, err = in.Verify(t.Context(), s.id)
	require.NoError(t, err)
	require.Empty(t, r.Problems)
	require.Equal(t, 8+3, r.Committed)
}

func TestErasureAndCollectionMeanwhileAreNoFault(t *testing.T) {
	s := newSample(t)
	listed := busy{s, func() {}}
	in := inspect.New(vanishing{listed, s.lost.Ref, func() { s.Tamper(remove(s.lost.Ref)) }}, s, nil)
	r, err := in.Verify(t.Context(), s.id)
	require.NoError(t, err)
	require.Empty(t, r.Problems)
	require.Equal(t, 6, r.Committed)
	require.Zero(t, r.Lost)

	in = inspect.New(vanishing{listed, s.chain[2].Ref, func() {
		erased := link.Fence(s.head)
		erased.State = head.Erased
		s.swap(erased)
		s.Tamper(func(m *memstore.Contents) { clear(m.Objects) })
	}}, s, nil)
	r, err = in.Verify(t.Context(), s.id)
	require.NoError(t, err)
	require.Equal(t, inspect.Report{AggregateID: s.id, Head: s.head}, r)
}

func TestAGraphWhileTheAggregateIsErased(t *testing.T) {
	s := newSample(t)
	in := inspect.New(vanishing{s, s.chain[2].Ref, func() {
		s.swap(link.Tombstone(s.head))
		s.Tamper(func(m *memstore.Contents) { clear(m.Objects) })
	}}, s, nil)
	g, err := in.Graph(t.Context(), s.id, 0)
	require.NoError(t, err)
	require.Equal(t, inspect.Graph{AggregateID: s.id, Head: s.head}, g, "nothing is missing from it")
}

// vanishing does something right before one changeset is read.
type vanishing struct {
	inspect.Changesets
	ref  changeset.Ref
	then func()
}

func (v vanishing) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	if ref == v.ref {
		v.then()
	}
	return v.Changesets.Get(ctx, ref, admission)
}

func (v vanishing) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	if ref == v.ref {
		v.then()
	}
	return v.Changesets.Stat(ctx, ref)
}

// wayward answers with another changeset than the one it was asked for.
type wayward struct {
	inspect.Changesets
	ref, instead changeset.Ref
}

func (w wayward) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	if ref == w.ref {
		ref = w.instead
	}
	return w.Changesets.Get(ctx, ref, admission)
}

func TestAStoreThatMixesUpObjectsIsNotTrusted(t *testing.T) {
	s := newSample(t)
	r, err := inspect.New(wayward{s, s.chain[2].Ref, s.chain[3].Ref}, s, nil).Verify(t.Context(), s.id)
	require.NoError(t, err)
	p := onlyProblem(t, r)
	require.Equal(t, s.chain[2].Ref, p.Ref)
	require.Contains(t, p.Reason, s.chain[3].Ref.String())
}

// failing cannot list.
type failing struct{ inspect.Changesets }

var errDown = errors.New("down")

func (failing) Objects(context.Context, string) iter.Seq2[changeset.Object, error] {
	return func(yield func(changeset.Object, error) bool) { yield(changeset.Object{}, errDown) }
}

func (failing) Aggregates(context.Context, string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { yield("", errDown) }
}

func TestListingErrorsAreErrors(t *testing.T) {
	s := newSample(t)
	in := inspect.New(failing{s}, s, nil)
	_, err := in.Verify(t.Context(), s.id)
	require.ErrorIs(t, err, errDown)
	_, err = in.Graph(t.Context(), s.id, 0)
	require.ErrorIs(t, err, errDown)
	_, err = ropewalk.Collect(in.VerifyAll(t.Context()))
	require.ErrorIs(t, err, errDown)
}
