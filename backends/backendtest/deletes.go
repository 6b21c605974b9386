package backendtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

var deleteChecks = []check{
	{"Delete: removes the object of that reference, for every handle, and no other", deleteRemovesOne},
	{"Delete: of a missing object returns nil", deleteMayBeRepeated},
	{"Locate: names every changeset, stored or not, by a name of its own", locateNames},
}

func deleteRemovesOne(t testing.TB, h Harness) {
	s := h.Changesets(t)
	deleter := as[changeset.Deleter](t, s)
	all := append(forked(t, 4), neighbours(t)...)
	put(t, s, all...)
	gone := all[2].Ref
	require.NoError(t, deleter.Delete(t.Context(), gone))
	for _, s := range []changeset.Store{s, h.Changesets(t)} {
		requireAbsent(t, s, gone)
		if l, ok := changeset.As[changeset.Lister](s); ok {
			require.NotContains(t, objectRefs(collect(t, l.Objects(t.Context(), gone.AggregateID))), gone)
		}
	}
	for i, c := range all {
		if i != 2 {
			requireStored(t, s, c)
		}
	}
}

func deleteMayBeRepeated(t testing.TB, h Harness) {
	s := h.Changesets(t)
	deleter := as[changeset.Deleter](t, s)
	stored, absent := full(t), full(t)
	put(t, s, stored)
	for range 2 {
		require.NoError(t, deleter.Delete(t.Context(), absent.Ref))
		require.NoError(t, deleter.Delete(t.Context(), stored.Ref))
		requireAbsent(t, s, stored.Ref)
	}
	lister := as[changeset.Lister](t, s)
	require.Empty(t, collect(t, lister.Objects(t.Context(), stored.AggregateID)))
	for id, err := range lister.Aggregates(t.Context(), stored.AggregateID[:len(stored.AggregateID)-1]) {
		require.NoError(t, err)
		require.NotEqual(t, stored.AggregateID, id, "an aggregate without objects is listed")
		break
	}
}

func locateNames(t testing.TB, h Harness) {
	locator := as[changeset.Locator](t, h.Changesets(t))
	again := as[changeset.Locator](t, h.Changesets(t))
	named := map[string]changeset.Ref{}
	for _, c := range append(forked(t, 4), neighbours(t)...) {
		name := locator.Locate(c.Ref)
		require.NotEmpty(t, name)
		require.Zero(t, named[name], "two changesets of one name")
		require.Equal(t, name, again.Locate(c.Ref))
		named[name] = c.Ref
	}
}
