package backendtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

var manyChecks = []check{
	{"GetMany: returns exactly what Get would, each once, whatever the sizes", manyReturnsAll},
	{"GetMany: returns changesets of several aggregates", manyOfAggregates},
	{"GetMany: leaves out missing objects, and another aggregate's", manyOfAbsent},
	{"GetMany: leaves out what does not decode", manyOfCorrupt},
	{"GetMany: asks the admission of large contents once each, and leaves out what is refused", manyAsksAdmission},
	{"GetMany: what it returns it does not keep", manyDoesNotAlias},
	{"GetMany: of nothing sends nothing and returns none", manyOfNothing},
	{"Context: one that has ended is the error of GetMany", manyUnderEndedContext},
}

// requireMany demands that GetMany returns exactly these changesets.
func requireMany(t testing.TB, many changeset.ManyGetter, asked []changeset.Ref, want []changeset.Changeset) {
	t.Helper()
	got, err := many.GetMany(t.Context(), asked, nil)
	require.NoError(t, err)
	require.Len(t, got, len(want))
	slices.SortFunc(got, func(a, b changeset.Changeset) int { return slices.Compare(a.ID[:], b.ID[:]) })
	want = slices.SortedFunc(slices.Values(want), func(a, b changeset.Changeset) int { return slices.Compare(a.ID[:], b.ID[:]) })
	for i := range want {
		requireEqual(t, want[i], got[i])
	}
}

func manyReturnsAll(t testing.TB, h Harness) {
	s := h.Changesets(t)
	many := as[changeset.ManyGetter](t, s)
	all := forked(t, 300)
	aggregateID := all[0].AggregateID
	for _, size := range []int64{0, 1, 64 << 10, 64<<10 + 1, 1 << 20} {
		all = append(all, first(t, aggregateID, noise(size)))
	}
	putAll(t, s, all)
	requireMany(t, many, refs(all), all)
	requireMany(t, many, refs(all[7:8]), all[7:8])
	requireMany(t, many, refs(all[3:90]), all[3:90])
}

func manyOfAggregates(t testing.TB, h Harness) {
	s := h.Changesets(t)
	many := as[changeset.ManyGetter](t, s)
	one, two := forked(t, 5), forked(t, 3)
	putAll(t, s, append(slices.Clone(one), two...))
	want := append(slices.Clone(one[1:3]), two...)
	requireMany(t, many, refs(append(want, one[4])), append(want, one[4]))
}

func manyOfAbsent(t testing.TB, h Harness) {
	s := h.Changesets(t)
	many := as[changeset.ManyGetter](t, s)
	all, other := forked(t, 8), first(t, newAggregate(), []byte("other"))
	put(t, s, append(slices.Clone(all), other)...)
	absent := refs(all)
	for i := range absent {
		absent[i].ID = changeset.NewID()
	}
	absent[0] = changeset.Ref{AggregateID: all[0].AggregateID, Version: other.Version, ID: other.ID}
	requireMany(t, many, absent, nil)
	requireMany(t, many, append(absent, refs(all[2:5])...), all[2:5])
}

func manyOfCorrupt(t testing.TB, h Harness) {
	if h.CorruptObject == nil {
		t.Skip("the harness cannot corrupt objects")
	}
	s := h.Changesets(t)
	many := as[changeset.ManyGetter](t, s)
	all := forked(t, 6)
	put(t, s, all...)
	h.CorruptObject(t, all[2].Ref)
	requireMany(t, many, refs(all), slices.Delete(slices.Clone(all), 2, 3))
}

func manyAsksAdmission(t testing.TB, h Harness) {
	s := h.Changesets(t)
	many := as[changeset.ManyGetter](t, s)
	aggregateID := newAggregate()
	all := []changeset.Changeset{first(t, aggregateID, noise(1<<20)), first(t, aggregateID, noise(1<<20+1)), first(t, aggregateID, noise(1<<20+2))}
	put(t, s, all...)
	var mu sync.Mutex
	asked := map[changeset.Ref][]changeset.Header{}
	got, err := many.GetMany(t.Context(), refs(all), func(h changeset.Header) error {
		mu.Lock()
		defer mu.Unlock()
		asked[h.Ref] = append(asked[h.Ref], h)
		if h.Ref != all[1].Ref {
			return errors.New("the window is full")
		}
		return nil
	})
	require.NoError(t, err)
	require.Len(t, got, 1)
	requireEqual(t, all[1], got[0])
	for _, c := range all {
		require.Equal(t, []changeset.Header{c.Header}, asked[c.Ref])
	}
}

func manyDoesNotAlias(t testing.TB, h Harness) {
	s := h.Changesets(t)
	many := as[changeset.ManyGetter](t, s)
	c := full(t)
	put(t, s, c)
	for range 2 {
		got, err := many.GetMany(t.Context(), []changeset.Ref{c.Ref}, nil)
		require.NoError(t, err)
		require.Len(t, got, 1)
		requireEqual(t, c, got[0])
		clear(got[0].Body)
		clear(got[0].Metadata)
	}
	requireStored(t, s, c)
}

func manyOfNothing(t testing.TB, h Harness) {
	many := as[changeset.ManyGetter](t, h.Changesets(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := many.GetMany(ctx, nil, nil)
	require.NoError(t, err)
	require.Empty(t, got)
}

func manyUnderEndedContext(t testing.TB, h Harness) {
	s := h.Changesets(t)
	many := as[changeset.ManyGetter](t, s)
	c := full(t)
	put(t, s, c)
	underEnded(t, func(ctx context.Context) error {
		got, err := many.GetMany(ctx, []changeset.Ref{c.Ref}, nil)
		require.Empty(t, got)
		return err
	})
}
