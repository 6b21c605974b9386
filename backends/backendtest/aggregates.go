package backendtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

var aggregatesChecks = []check{
	{"Aggregates: yields every aggregate that has an object, each once, in the order of their percent-encoded form", aggregatesYieldsAll},
	{"Aggregates: begins behind after, which need not be there", aggregatesBeginBehind},
	{"Aggregates: may be left early, and ranged over again", aggregatesMayBeLeft},
}

// family lists from after, and returns the aggregates whose IDs begin with base.
func family(t testing.TB, lister changeset.Lister, base, after string) []string {
	t.Helper()
	var ids []string
	for id, err := range lister.Aggregates(t.Context(), after) {
		require.NoError(t, err)
		if strings.HasPrefix(id, base) {
			ids = append(ids, id)
		} else if changeset.Escape(id) > base {
			break
		}
	}
	return ids
}

func aggregatesYieldsAll(t testing.TB, h Harness) {
	s := h.Changesets(t)
	lister := as[changeset.Lister](t, s)
	base := newAggregate()
	ends := []string{"", "!", "-", "~"}
	var all []changeset.Changeset
	var ids []string
	for i := range h.Listed {
		id := fmt.Sprintf("%s%05d%s", base, i/len(ends), ends[i%len(ends)])
		ids = append(ids, id)
		for range 1 + i%2 {
			all = append(all, first(t, id, nil))
		}
	}
	putAll(t, s, all)
	require.Equal(t, ids, family(t, lister, base, ""))
}

// putNeighbours returns the IDs of stored aggregates, in order, and the one of
// the first, which all begin with.
func putNeighbours(t testing.TB, s changeset.Store) (ids []string, base string) {
	t.Helper()
	cs := neighbours(t)
	putAll(t, s, cs)
	for _, c := range cs {
		ids = append(ids, c.AggregateID)
	}
	return ids, ids[0]
}

func aggregatesBeginBehind(t testing.TB, h Harness) {
	s := h.Changesets(t)
	lister := as[changeset.Lister](t, s)
	ids, base := putNeighbours(t, s)
	for i, id := range ids {
		require.Equal(t, ids[i+1:], append([]string{}, family(t, lister, base, id)...), "behind %q", id)
	}
	require.Equal(t, ids, family(t, lister, base, base[:len(base)-1]))
	require.Equal(t, ids[1:], family(t, lister, base, base+" "))
	require.Empty(t, family(t, lister, base, base+"~~"))
}

func aggregatesMayBeLeft(t testing.TB, h Harness) {
	s := h.Changesets(t)
	lister := as[changeset.Lister](t, s)
	ids, base := putNeighbours(t, s)
	behind := lister.Aggregates(t.Context(), base)
	for _, n := range []int{1, 2, len(ids) - 1} {
		require.Equal(t, ids[1:n+1], take(t, n, behind))
	}
	late := first(t, base+" ", nil)
	put(t, s, late)
	require.Equal(t, late.AggregateID, take(t, 1, behind)[0], "a second iteration lists again")
}
