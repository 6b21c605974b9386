package meter_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
)

const latency = 10 * time.Millisecond

// append1 builds an append of one changeset to a new chain.
func append1(t *testing.T, aggregateID string) (changeset.Changeset, head.Head) {
	t.Helper()
	built, next, err := link.Extend(head.Head{}, aggregateID, make([]changeset.Draft, 1), time.Now())
	require.NoError(t, err)
	return built[0], next
}

// combined is a store of heads that puts and swaps in one step.
type combined interface {
	head.Store
	head.Combined
}

type step struct {
	counts meter.Counts
	call   func(ctx context.Context) error
}

// steps are the calls of all operations, through the meter; each succeeds
// after those before it.
func steps(t *testing.T, m *meter.Meter, inner *memstore.Store) []step {
	t.Helper()
	changesets, heads := m.Changesets(inner), m.Heads(inner).(combined)
	c, next := append1(t, "a")
	d, other := append1(t, "b")
	return []step{
		{meter.Counts{Put: 1}, func(ctx context.Context) error { return changesets.Put(ctx, c) }},
		{meter.Counts{Get: 1}, func(ctx context.Context) error { _, err := changesets.Get(ctx, c.Ref, nil); return err }},
		{meter.Counts{Stat: 1}, func(ctx context.Context) error { _, err := changesets.Stat(ctx, c.Ref); return err }},
		{meter.Counts{Load: 1}, func(ctx context.Context) error { _, err := heads.Load(ctx, "a"); return err }},
		{meter.Counts{Swap: 1}, func(ctx context.Context) error { _, err := heads.Swap(ctx, head.Head{}, next); return err }},
		{meter.Counts{Commit: 1}, func(ctx context.Context) error {
			_, err := heads.Commit(ctx, []changeset.Changeset{d}, head.Head{}, other)
			return err
		}},
		{meter.Counts{List: 1}, func(ctx context.Context) error { return drain(heads.List(ctx, "")) }},
		{meter.Counts{List: 1}, func(ctx context.Context) error { return drain(heads.(head.Tagger).Tags(ctx, "")) }},
		{meter.Counts{List: 1}, func(ctx context.Context) error { return drain(changesets.(changeset.Lister).Objects(ctx, "a")) }},
		{meter.Counts{List: 1}, func(ctx context.Context) error { return drain(changesets.(changeset.Lister).Aggregates(ctx, "a")) }},
		{meter.Counts{List: 1}, func(ctx context.Context) error {
			return drain(changesets.(changeset.Scanner).Scan(ctx, []string{"a"}, nil))
		}},
		{meter.Counts{Delete: 1}, func(ctx context.Context) error { return changesets.(changeset.Deleter).Delete(ctx, c.Ref) }},
	}
}

var errEmpty = errors.New("nothing is listed")

// drain reads a listing, which has something to list.
func drain[T any](listing iter.Seq2[T, error]) error {
	last := errEmpty
	for _, err := range listing {
		last = err
	}
	return last
}

func TestEveryRequestIsCountedAndTakesOneLatency(t *testing.T) {
	for _, latency := range []time.Duration{0, latency} {
		synctest.Test(t, func(t *testing.T) {
			m := meter.New(latency)
			for _, step := range steps(t, m, memstore.New()) {
				m.Reset()
				start := time.Now()
				require.NoError(t, step.call(t.Context()))
				require.Equal(t, step.counts, m.Count())
				require.Equal(t, 1, m.Requests())
				require.Equal(t, latency, time.Since(start), "%+v", step.counts)
			}
		})
	}
}

func TestParallelRequestsTakeOneTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meter.New(latency)
		heads := m.Heads(memstore.New())
		start := time.Now()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { _, _ = heads.Load(t.Context(), "a") })
		}
		wg.Wait()
		require.Equal(t, 100, m.Count().Load)
		require.Equal(t, latency, time.Since(start))
	})
}

func TestContextEndsARequestOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, inner := meter.New(latency), memstore.New()
		for _, step := range steps(t, m, inner) {
			m.Reset()
			ctx, cancel := context.WithTimeout(t.Context(), latency/2)
			start := time.Now()
			require.ErrorIs(t, step.call(ctx), context.DeadlineExceeded)
			require.Equal(t, latency/2, time.Since(start))
			require.Equal(t, step.counts, m.Count(), "it was under way")

			require.ErrorIs(t, step.call(ctx), context.DeadlineExceeded)
			require.Equal(t, step.counts, m.Count(), "nothing is sent when the context has ended")
			cancel()
		}
		require.ErrorIs(t, drain(inner.Aggregates(t.Context(), "")), errEmpty, "nothing reached the store")
		require.ErrorIs(t, drain(inner.List(t.Context(), "")), errEmpty)
	})
}

func TestRefusedSwapsAreNoRequest(t *testing.T) {
	m := meter.New(0)
	heads := m.Heads(memstore.New()).(combined)
	_, next := append1(t, "a")
	var notApplied *head.NotAppliedError
	_, err := heads.Swap(t.Context(), next, next)
	require.ErrorAs(t, err, &notApplied)
	_, err = heads.Commit(t.Context(), nil, next, next)
	require.ErrorAs(t, err, &notApplied)
	require.Zero(t, m.Requests())
}

func TestCombinedIsPassedOn(t *testing.T) {
	m, inner := meter.New(0), memstore.New()
	heads := m.Heads(inner).(combined)
	require.True(t, heads.Holds(m.Changesets(inner)))
	require.False(t, heads.Holds(inner), "not through this meter")
	require.False(t, heads.Holds(meter.New(0).Changesets(inner)), "another meter")
	require.False(t, heads.Holds(m.Changesets(memstore.New())), "another store")

	var script faults.Script
	nested := m.Heads(script.Heads(inner)).(combined)
	require.True(t, nested.Holds(m.Changesets(script.Changesets(inner))))
	require.False(t, nested.Holds(m.Changesets(inner)))
	require.Equal(t, inner.Locate(changeset.Ref{}), m.Changesets(inner).(changeset.Locator).Locate(changeset.Ref{}))
	require.Equal(t, inner.LocateHead("a"), heads.(head.Locator).LocateHead("a"))

	twoSteps := m.Heads(faults.TwoSteps(inner)).(combined)
	require.False(t, twoSteps.Holds(m.Changesets(inner)))
}
