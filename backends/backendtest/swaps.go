package backendtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

var swapChecks = []check{
	{"Load: of a missing head is the zero Head and no error", loadOfAbsent},
	{"Swap: of nothing by a first head creates it, for every handle", swapCreates},
	{"Swap: of the stored head replaces it, for every handle", swapReplaces},
	{"Swap: returns next with the token that the following swap needs", swapReturnsToken},
	{"Swap: a token is good in every handle", tokensTravel},
	{"Swap: where old has no token it succeeds all the same", swapWithoutToken},
	{"Swap: of a record to itself at the next revision shuts out what was built before", swapFences},
	{"Swap: takes a record that is several revisions on, as one that was rebuilt", swapRebuilds},
	{"Load: sees the latest swap, never an earlier one", loadIsNeverStale},
	{"LocateHead: names every head, stored or not, by a name of its own", locateHeadNames},
}

func loadOfAbsent(t testing.TB, h Harness) {
	s := h.Heads(t)
	require.Zero(t, load(t, s, newAggregate()))
	stored := create(t, s)
	require.Zero(t, load(t, s, stored.AggregateID+"-"))
	require.Zero(t, load(t, s, stored.AggregateID[:len(stored.AggregateID)-1]))
}

func swapCreates(t testing.TB, h Harness) {
	before := h.Heads(t)
	created := next(t, head.Head{}, newAggregate())
	require.Zero(t, load(t, before, created.AggregateID))
	swap(t, h.Heads(t), head.Head{}, created)
	for _, s := range []head.Store{before, h.Heads(t)} {
		requireHead(t, s, created)
	}
}

func swapReplaces(t testing.TB, h Harness) {
	s, other := h.Heads(t), h.Heads(t)
	create(t, s)
	stored := load(t, s, create(t, s).AggregateID)
	for range 3 {
		_, replaced := extend(t, stored, stored.AggregateID, changeset.Draft{}, changeset.Draft{})
		swap(t, s, stored, replaced)
		requireHead(t, s, replaced)
		requireHead(t, other, replaced)
		stored = load(t, other, stored.AggregateID)
	}
}

func swapReturnsToken(t testing.TB, h Harness) {
	s := h.Heads(t)
	stored := create(t, s)
	for range 3 {
		stored = swap(t, s, stored, next(t, stored, stored.AggregateID))
	}
	requireHead(t, s, stored)
}

func tokensTravel(t testing.TB, h Harness) {
	stored := create(t, h.Heads(t))
	stored = swap(t, h.Heads(t), stored, link.Fence(stored))
	stored = load(t, h.Heads(t), stored.AggregateID)
	stored = swap(t, h.Heads(t), stored, link.Fence(stored))
	requireHead(t, h.Heads(t), stored)
}

func swapWithoutToken(t testing.TB, h Harness) {
	s := h.Heads(t)
	stored := create(t, s)
	for range 2 {
		forgotten := stored.WithToken("")
		stored = swap(t, s, forgotten, link.Fence(forgotten))
	}
	stored = swap(t, s, stored, next(t, stored, stored.AggregateID))
	requireHead(t, s, stored)
}

func swapFences(t testing.TB, h Harness) {
	s := h.Heads(t)
	old := create(t, s)
	pending := next(t, old, old.AggregateID)
	fenced := swap(t, s, old, link.Fence(old))
	require.Equal(t, old.Revision+1, fenced.Revision)
	requireHead(t, s, fenced)
	for _, old := range []head.Head{old, old.WithToken("")} {
		_, err := s.Swap(t.Context(), old, pending)
		requireConflict(t, err, fenced)
	}
	requireHead(t, s, fenced)
	swap(t, s, fenced, next(t, fenced, fenced.AggregateID))
}

func loadIsNeverStale(t testing.TB, h Harness) {
	handles := []head.Store{h.Heads(t), h.Heads(t), h.Heads(t)}
	stored := create(t, handles[0])
	for i := range 9 {
		stored = swap(t, handles[i%2], stored, link.Fence(stored))
		for _, s := range handles {
			requireHead(t, s, stored)
		}
	}
}

func locateHeadNames(t testing.TB, h Harness) {
	locator := headsAs[head.Locator](t, h.Heads(t))
	again := headsAs[head.Locator](t, h.Heads(t))
	named := map[string]string{}
	for _, id := range odd() {
		name := locator.LocateHead(id)
		require.NotEmpty(t, name)
		require.Empty(t, named[name], "two heads of one name")
		require.Equal(t, name, again.LocateHead(id))
		named[name] = id
	}
}

func swapRebuilds(t testing.TB, h Harness) {
	s := h.Heads(t)
	rebuilt := next(t, head.Head{}, newAggregate())
	rebuilt.Revision = 7
	rebuilt = swap(t, s, head.Head{}, rebuilt)
	requireHead(t, s, rebuilt)
	on := next(t, rebuilt, rebuilt.AggregateID)
	on.Revision += 5
	requireHead(t, s, swap(t, s, rebuilt, on))
}
