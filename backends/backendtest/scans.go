package backendtest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

var scanChecks = []check{
	{"Scan: yields what Objects yields of each aggregate, in the order given", scanYieldsObjects},
	{"Scan: yields changesets as Get returns them, and at least the small ones", scanYieldsChangesets},
	{"Scan: yields only the object of what does not decode", scanOfCorrupt},
	{"Scan: asks the admission once for each changeset, and leaves out what is refused", scanAsksAdmission},
	{"Scan: may be left early, and ranged over again", scanMayBeLeft},
	{"Scan: what it yields it does not keep", scanDoesNotAlias},
	{"Scan: of nothing sends nothing and yields nothing", scanOfNothing},
	{"Context: one that has ended is the error of Scan", scanUnderEndedContext},
}

// scan returns what Scan yields of aggregates.
func scan(t testing.TB, s changeset.Store, admission changeset.Admission, aggregateIDs ...string) []changeset.Scanned {
	t.Helper()
	return collect(t, as[changeset.Scanner](t, s).Scan(t.Context(), aggregateIDs, admission))
}

func scanYieldsObjects(t testing.TB, h Harness) {
	s := h.Changesets(t)
	lister := as[changeset.Lister](t, s)
	long := forked(t, h.Listed)
	putAll(t, s, long)
	ids := []string{newAggregate(), long[0].AggregateID}
	for _, c := range neighbours(t) {
		put(t, s, c)
		ids = append(ids, c.AggregateID)
	}
	slices.Reverse(ids)
	var want []changeset.Object
	for _, id := range ids {
		want = append(want, collect(t, lister.Objects(t.Context(), id))...)
	}
	var got []changeset.Object
	for _, found := range scan(t, s, nil, ids...) {
		got = append(got, found.Object)
	}
	require.Equal(t, want, got)
}

// small is the size of contents that every Scan yields, in bytes.
const small = 1 << 10

func scanYieldsChangesets(t testing.TB, h Harness) {
	s := h.Changesets(t)
	id := newAggregate()
	var want []changeset.Changeset
	for _, size := range []int{0, 1, small, 4 << 10, 4<<10 + 1, 64 << 10, 1 << 20} {
		want = append(want, first(t, id, noise(int64(size))))
	}
	want = append(want, full(t))
	put(t, s, want...)
	for _, found := range scan(t, s, nil, id, want[len(want)-1].AggregateID) {
		i := slices.IndexFunc(want, func(c changeset.Changeset) bool { return c.Ref == found.Ref })
		require.GreaterOrEqual(t, i, 0)
		if found.Changeset == nil {
			require.Greater(t, found.Size, int64(small))
			continue
		}
		require.Nil(t, found.Changeset.Content)
		requireEqual(t, want[i], *found.Changeset)
	}
}

func scanOfCorrupt(t testing.TB, h Harness) {
	if h.CorruptObject == nil {
		t.Skip("the harness cannot corrupt objects")
	}
	s := h.Changesets(t)
	all := forked(t, 6)
	put(t, s, all...)
	h.CorruptObject(t, all[2].Ref)
	found := scan(t, s, nil, all[0].AggregateID)
	require.Len(t, found, len(all))
	for i, f := range found {
		require.Equal(t, all[i].Ref, f.Ref)
		require.Equal(t, i == 2, f.Changeset == nil)
	}
}

func scanAsksAdmission(t testing.TB, h Harness) {
	s := h.Changesets(t)
	all := forked(t, 6)
	put(t, s, all...)
	asked := map[changeset.Ref][]changeset.Header{}
	found := scan(t, s, func(h changeset.Header) error {
		asked[h.Ref] = append(asked[h.Ref], h)
		if h.Ref == all[3].Ref {
			return errors.New("the window is full")
		}
		return nil
	}, all[0].AggregateID)
	require.Len(t, found, len(all))
	for i, f := range found {
		require.Equal(t, []changeset.Header{all[i].Header}, asked[f.Ref])
		require.Equal(t, i == 3, f.Changeset == nil)
	}
}

func scanMayBeLeft(t testing.TB, h Harness) {
	s := h.Changesets(t)
	all := forked(t, 12)
	put(t, s, all...)
	sequence := as[changeset.Scanner](t, s).Scan(t.Context(), []string{all[0].AggregateID}, nil)
	for _, n := range []int{1, 2, len(all) - 1, len(all)} {
		for i, found := range take(t, n, sequence) {
			require.Equal(t, all[i].Ref, found.Ref)
		}
	}
	late := first(t, all[0].AggregateID, nil)
	put(t, s, late)
	require.Len(t, collect(t, sequence), len(all)+1, "a second iteration scans again")
}

func scanDoesNotAlias(t testing.TB, h Harness) {
	s := h.Changesets(t)
	c := full(t)
	put(t, s, c)
	for range 2 {
		found := scan(t, s, nil, c.AggregateID)
		require.Len(t, found, 1)
		if found[0].Changeset == nil {
			continue // it is too large for this store
		}
		requireEqual(t, c, *found[0].Changeset)
		clear(found[0].Changeset.Body)
		clear(found[0].Changeset.Metadata)
	}
	requireStored(t, s, c)
}

func scanOfNothing(t testing.TB, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Empty(t, collect(t, as[changeset.Scanner](t, h.Changesets(t)).Scan(ctx, nil, nil)))
}

func scanUnderEndedContext(t testing.TB, h Harness) {
	s := h.Changesets(t)
	scanner := as[changeset.Scanner](t, s)
	all := forked(t, 12)
	put(t, s, all...)
	for _, id := range []string{all[0].AggregateID, newAggregate()} {
		underEnded(t, func(ctx context.Context) error { return failure(t, scanner.Scan(ctx, []string{id}, nil)) })
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	requireCancelled(t, cancel, scanner.Scan(ctx, []string{all[0].AggregateID}, nil))
}
