package backendtest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

var oddChangesetChecks = []check{{"Aggregate IDs: each odd one is kept apart from all others", oddChangesets}}

var oddHeadChecks = []check{{"Aggregate IDs: each odd one has a head of its own", oddHeads}}

// oddIDs are valid aggregate IDs that a storage may take for something else,
// or for one another.
var oddIDs = []string{
	".", "..", "/", "//", "a/b", "/a", "a/", `a\b`, "a@7", "@", " ", " x ", "x", "X", "+", "%", "%41", "A", "a", "%2F", "%2f",
	"a-b", "a~", "a.b", "é", "e\u0301", "É", "ß", "ss", "🪢", "\u202e", "\ufeff", "con", "*", "?", "#", "a?b=c&d", "'", `"`, "<",
	"$", "$x", "null", "0", "00", "-",
}

// odd returns oddIDs and new ones of the largest size.
func odd() []string {
	return slices.Concat(oddIDs, []string{longID("x"), longID("/"), longID("é"), longID("🪢")})
}

func oddChangesets(t testing.TB, h Harness) {
	s := h.Changesets(t)
	var cs []changeset.Changeset
	for _, id := range odd() {
		cs = append(cs, first(t, id, []byte(id)))
	}
	putAll(t, s, cs)
	for _, c := range cs {
		got, err := s.Get(t.Context(), c.Ref, nil)
		require.NoError(t, err)
		requireEqual(t, c, got)
	}
	lister := as[changeset.Lister](t, s)
	for _, c := range cs {
		objects := objectRefs(collect(t, lister.Objects(t.Context(), c.AggregateID)))
		require.Contains(t, objects, c.Ref)
		for _, ref := range objects {
			require.Equal(t, c.AggregateID, ref.AggregateID)
		}
	}
	require.Subset(t, collect(t, lister.Aggregates(t.Context(), "")), oddIDs)
}

func oddHeads(t testing.TB, h Harness) {
	s := h.Heads(t)
	swapped := map[string]head.Head{}
	for _, id := range odd() {
		old := load(t, s, id) // perhaps the head of an earlier run
		swapped[id] = swap(t, s, old, next(t, old, id))
	}
	listed := listedHeads(t, s)
	for id, want := range swapped {
		requireHead(t, s, want)
		requireRecord(t, want, listed[id])
	}
}
