package backendtest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

func combinedChecks() []check {
	return []check{
		{"Holds: of the store where Commit puts changesets, and of no other", holdsItsOwn},
		{"Commit: puts the changesets and swaps the head, for every handle", commitDoesBoth},
		{"Commit: returns next with the token that the following swap needs", commitReturnsToken},
		{"Commit: of 256 changesets is one step", commitOfMany},
		{"Commit: of no changesets is a swap", commitOfNone},
		{"Commit: leaves a changeset that is already there as it is", commitLeavesStored},
		{"Commit: stores Body, and does not look at Content", commitStoresBody},
		{"Commit: what it is given it does not alias", commitDoesNotAlias},
		{"Commit: whose condition fails is a ConflictError and does neither", commitConflict},
		{"Commit: what CheckSwap refuses is a NotAppliedError and does neither", commitChecked},
		{"Commit: of an invalid header does neither", commitRefusesInvalid},
		{"Commit: under a context that has ended is a NotAppliedError and does neither", commitUnderEndedContext},
		{"Commit: puts the objects of a packed chain, and swaps its head", commitOfPacks},
		{"Commit: of many that race exactly one succeeds, and no other's changesets are there", commitsRace},
	}
}

// oneStep is a store of heads that puts and swaps in one step.
type oneStep struct {
	head.Store
	head.Combined
}

// combined opens a handle.
func combined(t testing.TB, h Harness) oneStep {
	t.Helper()
	s := h.Heads(t)
	c, ok := head.As[head.Combined](s)
	require.True(t, ok, "%T has no head.Combined", s)
	return oneStep{s, c}
}

// commit commits, which must succeed and return next.
func commit(t testing.TB, s oneStep, cs []changeset.Changeset, old, next head.Head) head.Head {
	t.Helper()
	got, err := s.Commit(t.Context(), cs, old, next)
	require.NoError(t, err)
	requireRecord(t, next, got)
	return got
}

// requireCommitted demands, through new handles, that the changesets and the
// head are stored.
func requireCommitted(t testing.TB, h Harness, cs []changeset.Changeset, stored head.Head) {
	t.Helper()
	s := h.Changesets(t)
	for _, c := range cs {
		requireStored(t, s, c)
	}
	requireHead(t, h.Heads(t), stored)
}

// requireNeither demands that none of the changesets is stored, and that the
// head is unchanged.
func requireNeither(t testing.TB, h Harness, cs []changeset.Changeset, stored head.Head) {
	t.Helper()
	s := h.Changesets(t)
	for _, c := range cs {
		requireAbsent(t, s, c.Ref)
	}
	requireRecord(t, stored, load(t, h.Heads(t), cs[0].AggregateID))
}

func holdsItsOwn(t testing.TB, h Harness) {
	s := combined(t, h)
	own, ok := s.Store.(changeset.Store)
	if !ok {
		own = h.Changesets(t)
	}
	require.True(t, s.Holds(own))
	require.False(t, s.Holds(nowhere{}))
	require.False(t, s.Holds(nil))
}

// nowhere is a store of its own kind.
type nowhere struct{ changeset.Store }

func commitDoesBoth(t testing.TB, h Harness) {
	s := combined(t, h)
	c := full(t)
	stored := commit(t, s, []changeset.Changeset{c}, head.Head{}, head.At(c.Header))
	requireCommitted(t, h, []changeset.Changeset{c}, stored)
	for range 2 {
		cs, next := extend(t, stored, c.AggregateID, changeset.Draft{Content: []byte("a")}, changeset.Draft{})
		stored = commit(t, s, cs, stored, next)
		requireCommitted(t, h, cs, stored)
	}
}

func commitReturnsToken(t testing.TB, h Harness) {
	s := combined(t, h)
	var stored head.Head
	aggregateID := newAggregate()
	for range 3 {
		cs, next := extend(t, stored, aggregateID, changeset.Draft{})
		stored = commit(t, s, cs, stored, next)
		stored = swap(t, s, stored, link.Fence(stored))
	}
	cs, next := extend(t, stored.WithToken(""), aggregateID, changeset.Draft{})
	stored = commit(t, s, cs, stored.WithToken(""), next)
	requireCommitted(t, h, cs, stored)
}

func commitOfMany(t testing.TB, h Harness) {
	s := combined(t, h)
	drafts := make([]changeset.Draft, changeset.MaxPerAppend)
	for i := range drafts {
		drafts[i].Content = noise(int64(i))
	}
	cs, next := extend(t, head.Head{}, newAggregate(), drafts...)
	stored := commit(t, s, cs, head.Head{}, next)
	requireCommitted(t, h, cs, stored)
	lost, next := extend(t, head.Head{}, cs[0].AggregateID, drafts...)
	_, err := s.Commit(t.Context(), lost, head.Head{}, next)
	requireConflict(t, err, stored)
	requireNeither(t, h, lost, stored)
}

func commitOfNone(t testing.TB, h Harness) {
	s := combined(t, h)
	stored := create(t, s)
	stored = commit(t, s, nil, stored, link.Fence(stored))
	requireHead(t, h.Heads(t), stored)
}

func commitLeavesStored(t testing.TB, h Harness) {
	cs, next := extend(t, head.Head{}, newAggregate(), changeset.Draft{}, changeset.Draft{})
	put(t, h.Changesets(t), cs[0])
	other := slices.Clone(cs)
	other[0] = withBody(cs[0], []byte("other"))
	stored := commit(t, combined(t, h), other, head.Head{}, next)
	requireCommitted(t, h, cs, stored)
}

func commitStoresBody(t testing.TB, h Harness) {
	c := encoded(full(t))
	stored := commit(t, combined(t, h), []changeset.Changeset{c}, head.Head{}, head.At(c.Header))
	requireCommitted(t, h, []changeset.Changeset{c}, stored)
}

func commitDoesNotAlias(t testing.TB, h Harness) {
	want := full(t)
	given := want
	given.Body = slices.Clone(want.Body)
	stored := commit(t, combined(t, h), []changeset.Changeset{given}, head.Head{}, head.At(want.Header))
	clear(given.Body)
	requireCommitted(t, h, []changeset.Changeset{want}, stored)
}

func commitConflict(t testing.TB, h Harness) {
	s := combined(t, h)
	created := create(t, s)
	stored := swap(t, s, created, link.Fence(created))
	absent := head.At(full(t).Header)
	for _, c := range []struct {
		aggregateID string
		old, stored head.Head
	}{
		{stored.AggregateID, created, stored},
		{stored.AggregateID, created.WithToken(""), stored},
		{stored.AggregateID, head.Head{}, stored},
		{absent.AggregateID, absent, head.Head{}},
	} {
		cs, next := extend(t, c.old, c.aggregateID, changeset.Draft{}, changeset.Draft{})
		_, err := s.Commit(t.Context(), cs, c.old, next)
		requireConflict(t, err, c.stored)
		requireNeither(t, h, cs, c.stored)
	}
}

func commitChecked(t testing.TB, h Harness) {
	s := combined(t, h)
	stored := create(t, s)
	cs, next := extend(t, stored, stored.AggregateID, changeset.Draft{})
	next.Revision = stored.Revision
	_, err := s.Commit(t.Context(), cs, stored, next)
	requireNotApplied(t, err)
	requireNeither(t, h, cs, stored)
}

func commitRefusesInvalid(t testing.TB, h Harness) {
	s := combined(t, h)
	cs, next := extend(t, head.Head{}, newAggregate(), changeset.Draft{}, changeset.Draft{})
	cs[1].ContentType = "not\nprintable"
	_, err := s.Commit(t.Context(), cs, head.Head{}, next)
	requireNotApplied(t, err)
	requireNeither(t, h, cs, head.Head{})
}

func commitUnderEndedContext(t testing.TB, h Harness) {
	s := combined(t, h)
	cs, next := extend(t, head.Head{}, newAggregate(), changeset.Draft{})
	underEnded(t, func(ctx context.Context) error {
		_, err := s.Commit(ctx, cs, head.Head{}, next)
		return requireNotApplied(t, err)
	})
	requireNeither(t, h, cs, head.Head{})
}

// commitOfPacks commits objects of lines, compressed or not, and objects of one changeset.
// The tip, which was copied there from other storage, goes into the next object.
func commitOfPacks(t testing.TB, h Harness) {
	s, id := combined(t, h), newAggregate()
	cs, first := extend(t, head.Head{}, id, changeset.Draft{Content: []byte("of format 1")})
	stored := commit(t, s, cs, head.Head{}, first)
	stored = swap(t, s, stored, pack(t, stored, id, 4000, []byte("in the tip")).Next)
	for _, content := range [][]byte{[]byte("x"), noise(link.MaxLine + 1), bytes.Repeat([]byte("x"), 10000), {}} {
		old := stored
		a := pack(t, stored, id, -1, []byte("y"), content)
		for i := range a.Objects {
			a.Objects[i].Content = nil
		}
		stored = commit(t, s, a.Objects, old, a.Next)
		requireCommitted(t, h, a.Objects, stored)
		require.Empty(t, stored.Tip)

		lost := pack(t, old, id, -1, []byte("lost"))
		_, err := s.Commit(t.Context(), lost.Objects, old, lost.Next)
		requireConflict(t, err, stored)
		requireNeither(t, h, lost.Objects, stored)
	}
}

func commitsRace(t testing.TB, h Harness) {
	stores := make([]oneStep, h.Racers)
	for i := range stores {
		stores[i] = combined(t, h)
	}
	var stored head.Head
	aggregateID := newAggregate()
	for range h.Rounds {
		stored = raceCommits(t, h, stores, stored, aggregateID)
	}
}

func raceCommits(t testing.TB, h Harness, stores []oneStep, old head.Head, aggregateID string) head.Head {
	t.Helper()
	offers, got, errs := make([][]changeset.Changeset, len(stores)), make([]head.Head, len(stores)), make([]error, len(stores))
	nexts := make([]head.Head, len(stores))
	for i := range stores {
		offers[i], nexts[i] = extend(t, old, aggregateID, changeset.Draft{}, changeset.Draft{})
	}
	together(len(stores), func(i int) {
		got[i], errs[i] = stores[i].Commit(t.Context(), offers[i], old, nexts[i])
	})
	winner := slices.Index(errs, nil)
	require.NotEqual(t, -1, winner, "no commit succeeded: %v", errors.Join(errs...))
	requireCommitted(t, h, offers[winner], nexts[winner])
	for i, err := range errs {
		if i != winner {
			require.Error(t, err)
			requireLost(t, err, nexts[winner])
			requireNeither(t, h, offers[i], nexts[winner])
		}
	}
	return got[winner]
}
