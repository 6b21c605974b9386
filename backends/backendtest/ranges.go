package backendtest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

var rangeChecks = []check{
	{"GetRange: returns exactly what Get would, in order, and nothing of other versions", rangeReturnsVersions},
	{"GetRange: leaves out what does not decode", rangeOfCorrupt},
	{"GetRange: asks the admission of large contents once each, and leaves out what is refused", rangeAsksAdmission},
	{"GetRange: what it returns it does not keep", rangeDoesNotAlias},
	{"GetsRangesOf: holds for the store itself, and not for a type that embeds it", rangesOfItself},
	{"Context: one that has ended is the error of GetRange", rangeUnderEndedContext},
}

// ranges returns the store as a [changeset.RangeGetter], or skips the check.
func ranges(t testing.TB, s changeset.Store) changeset.RangeGetter {
	t.Helper()
	getter, ok := s.(changeset.RangeGetter)
	if !ok {
		t.Skip("the store does not read ranges")
	}
	return getter
}

// requireRange demands that GetRange returns some of these changesets, in order.
func requireRange(t testing.TB, getter changeset.RangeGetter, aggregateID string, firstVersion, lastVersion uint64, may []changeset.Changeset) (got []changeset.Changeset) {
	t.Helper()
	got, err := getter.GetRange(t.Context(), aggregateID, firstVersion, lastVersion, nil)
	require.NoError(t, err)
	require.True(t, slices.IsSortedFunc(got, func(a, b changeset.Changeset) int { return int(a.Version) - int(b.Version) }))
	seen := map[changeset.Ref]bool{}
	for _, c := range got {
		i := slices.IndexFunc(may, func(m changeset.Changeset) bool { return m.Ref == c.Ref })
		require.GreaterOrEqual(t, i, 0, c.Ref)
		require.False(t, seen[c.Ref], c.Ref)
		seen[c.Ref] = true
		requireEqual(t, may[i], c)
	}
	return got
}

func rangeReturnsVersions(t testing.TB, h Harness) {
	s := h.Changesets(t)
	getter := ranges(t, s)
	all := forked(t, 300)
	aggregateID := all[0].AggregateID
	for _, size := range []int64{0, 1, 64 << 10, 64<<10 + 1, 1 << 20} {
		all = append(all, first(t, aggregateID, noise(size)))
	}
	putAll(t, s, append(forked(t, 3), all...))
	newest := slices.MaxFunc(all, func(a, b changeset.Changeset) int { return int(a.Version) - int(b.Version) }).Version
	for _, r := range [][2]uint64{{0, newest}, {0, 0}, {1, 1}, {newest / 2, newest - 1}, {3, newest + 10}} {
		within := slices.DeleteFunc(slices.Clone(all), func(c changeset.Changeset) bool { return c.Version < r[0] || c.Version > r[1] })
		require.NotEmpty(t, requireRange(t, getter, aggregateID, r[0], r[1], within))
	}
	require.Empty(t, requireRange(t, getter, newAggregate(), 0, newest, nil))
}

func rangeOfCorrupt(t testing.TB, h Harness) {
	if h.CorruptObject == nil {
		t.Skip("the harness cannot corrupt objects")
	}
	s := h.Changesets(t)
	getter := ranges(t, s)
	all := forked(t, 6)
	put(t, s, all...)
	h.CorruptObject(t, all[2].Ref)
	requireRange(t, getter, all[0].AggregateID, 0, 100, slices.Delete(slices.Clone(all), 2, 3))
}

func rangeAsksAdmission(t testing.TB, h Harness) {
	s := h.Changesets(t)
	getter := ranges(t, s)
	aggregateID := newAggregate()
	all := []changeset.Changeset{first(t, aggregateID, noise(60<<10)), first(t, aggregateID, noise(60<<10+1)), first(t, aggregateID, noise(1<<20))}
	put(t, s, all...)
	asked := map[changeset.Ref]int{}
	got, err := getter.GetRange(t.Context(), aggregateID, 0, 0, func(h changeset.Header) error {
		if asked[h.Ref]++; h.Ref != all[1].Ref {
			return errors.New("the window is full")
		}
		return nil
	})
	require.NoError(t, err)
	for _, c := range got {
		requireEqual(t, all[1], c)
		require.Equal(t, 1, asked[c.Ref])
	}
	for ref, times := range asked {
		require.Equal(t, 1, times, ref)
	}
}

func rangeDoesNotAlias(t testing.TB, h Harness) {
	s := h.Changesets(t)
	getter := ranges(t, s)
	c := full(t)
	put(t, s, c)
	for range 2 {
		for _, got := range requireRange(t, getter, c.AggregateID, c.Version, c.Version, []changeset.Changeset{c}) {
			clear(got.Body)
			clear(got.Metadata)
		}
	}
	requireStored(t, s, c)
}

func rangesOfItself(t testing.TB, h Harness) {
	s := h.Changesets(t)
	getter := ranges(t, s)
	require.True(t, getter.GetsRangesOf(s))
	embedding := struct {
		changeset.Store
		changeset.RangeGetter
	}{s, getter}
	require.False(t, embedding.GetsRangesOf(embedding))
	require.False(t, embedding.GetsRangesOf(&embedding))
}

func rangeUnderEndedContext(t testing.TB, h Harness) {
	s := h.Changesets(t)
	getter := ranges(t, s)
	c := full(t)
	put(t, s, c)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	got, err := getter.GetRange(ctx, c.AggregateID, c.Version, c.Version, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, got)
}
