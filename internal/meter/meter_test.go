package meter_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/faults"
	"ropewalk/internal/meter"
)

const latency = 10 * time.Millisecond

// append1 builds an append of one changeset to a new chain.
func append1(t *testing.T, aggregateID string) (changeset.Changeset, head.Head) {
	t.Helper()
	built, next, err := head.Extend(head.Head{}, aggregateID, make([]changeset.Draft, 1), time.Now())
	require.NoError(t, err)
	return built[0], next
}

func TestEveryRequestIsCountedAndTakesOneLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		m, inner := meter.New(latency), memstore.New()
		changesets, heads := m.Changesets(inner), m.Heads(inner).(head.Combined)
		c, next := append1(t, "a")
		d, other := append1(t, "b")
		steps := []struct {
			want meter.Counts
			call func() error
		}{
			{meter.Counts{Put: 1}, func() error { return changesets.Put(ctx, c) }},
			{meter.Counts{Get: 1}, func() error { _, err := changesets.Get(ctx, c.Ref); return err }},
			{meter.Counts{Stat: 1}, func() error { _, err := changesets.Stat(ctx, c.Ref); return err }},
			{meter.Counts{Load: 1}, func() error { _, err := heads.Load(ctx, "a"); return err }},
			{meter.Counts{Swap: 1}, func() error { _, err := heads.Swap(ctx, head.Head{}, next); return err }},
			{meter.Counts{Commit: 1}, func() error {
				_, err := heads.Commit(ctx, []changeset.Changeset{d}, head.Head{}, other)
				return err
			}},
			{meter.Counts{List: 3}, func() error { return listAll(ctx, t, changesets, heads) }},
			{meter.Counts{Delete: 1}, func() error { return changesets.(changeset.Deleter).Delete(ctx, c.Ref) }},
		}
		for _, step := range steps {
			m.Reset()
			start := time.Now()
			require.NoError(t, step.call())
			require.Equal(t, step.want, m.Count())
			require.Equal(t, time.Duration(m.Requests())*latency, time.Since(start), "%+v", step.want)
		}
		require.NotEmpty(t, changesets.(changeset.Locator).Locate(c.Ref))
		require.NotEmpty(t, heads.(head.Locator).LocateHead("a"))
	})
}

// listAll drains the three listings, each of which has something to list.
func listAll(ctx context.Context, t *testing.T, changesets changeset.Store, heads head.Store) error {
	t.Helper()
	n := 0
	for _, err := range heads.List(ctx, "") {
		require.NoError(t, err)
		n++
	}
	for _, err := range changesets.(changeset.Lister).Objects(ctx, "a") {
		require.NoError(t, err)
		n++
	}
	for _, err := range changesets.(changeset.Lister).Aggregates(ctx, "a") {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 2+1+1, n)
	return nil
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

func TestContextEndsARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, inner := meter.New(latency), memstore.New()
		_, next := append1(t, "a")
		ctx, cancel := context.WithTimeout(t.Context(), latency/2)
		defer cancel()
		start := time.Now()
		_, err := m.Heads(inner).Swap(ctx, head.Head{}, next)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, latency/2, time.Since(start))
		require.Equal(t, meter.Counts{Swap: 1}, m.Count(), "it was under way")
		stored, err := inner.Load(t.Context(), "a")
		require.NoError(t, err)
		require.False(t, stored.Exists(), "it did not reach the store")

		_, err = m.Heads(inner).Load(ctx, "a")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		for _, err := range m.Heads(inner).List(ctx, "") {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		require.Equal(t, meter.Counts{Swap: 1}, m.Count(), "nothing is sent when the context has ended")
	})
}

func TestRefusedSwapsAreNoRequest(t *testing.T) {
	m := meter.New(0)
	heads := m.Heads(memstore.New()).(head.Combined)
	_, next := append1(t, "a")
	var notApplied *head.NotApplied
	_, err := heads.Swap(t.Context(), next, next)
	require.ErrorAs(t, err, &notApplied)
	_, err = heads.Commit(t.Context(), nil, next, next)
	require.ErrorAs(t, err, &notApplied)
	require.Zero(t, m.Requests())
}

func TestCombinedIsPassedOn(t *testing.T) {
	m, inner := meter.New(0), memstore.New()
	heads, ok := m.Heads(inner).(head.Combined)
	require.True(t, ok)
	require.True(t, heads.Holds(m.Changesets(inner)))
	require.False(t, heads.Holds(inner), "not through this meter")
	require.False(t, heads.Holds(meter.New(0).Changesets(inner)), "another meter")
	require.False(t, heads.Holds(m.Changesets(memstore.New())), "another store")

	var script faults.Script
	nested := m.Heads(script.Heads(inner)).(head.Combined)
	require.True(t, nested.Holds(m.Changesets(script.Changesets(inner))))
	require.False(t, nested.Holds(m.Changesets(inner)))

	_, ok = m.Heads(faults.TwoSteps(inner)).(head.Combined)
	require.False(t, ok)
}

// bare stores have the seams' methods and no more.
type bare struct{ changeset.Store }

type bareHeads struct{ head.Store }

func TestMissingAbilities(t *testing.T) {
	m := meter.New(0)
	store := m.Changesets(bare{memstore.New()})
	for _, err := range store.(changeset.Lister).Objects(t.Context(), "a") {
		require.ErrorIs(t, err, errors.ErrUnsupported)
	}
	for _, err := range store.(changeset.Lister).Aggregates(t.Context(), "") {
		require.ErrorIs(t, err, errors.ErrUnsupported)
	}
	require.ErrorIs(t, store.(changeset.Deleter).Delete(t.Context(), changeset.Ref{}), errors.ErrUnsupported)
	require.Empty(t, store.(changeset.Locator).Locate(changeset.Ref{}))
	require.Empty(t, m.Heads(bareHeads{memstore.New()}).(head.Locator).LocateHead("a"))
	require.Zero(t, m.Requests())
}
