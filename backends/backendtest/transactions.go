package backendtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// TestTransactor holds a [head.Transactor] to the part of its contract that goes beyond
// [head.Store].
func TestTransactor(t *testing.T, h Harness) { run(t, h, transactorChecks()) }

func transactorChecks() []check {
	return []check{
		{"SwapAll: swaps all heads, and returns them with the tokens that the following swaps need", swapsAll},
		{"SwapAll: puts the changesets in the same step if the store is Combined", swapAllPuts},
		{"SwapAll: whose condition fails, at any place, is a ConflictsError and changes nothing", swapAllConflicts},
		{"SwapAll: names all winners, and no other heads", swapAllNamesWinners},
		{"SwapAll: a head that is to be unchanged may be fenced, and nothing else", swapAllUnchanged},
		{"SwapAll: what CheckExchanges refuses is a NotAppliedError and changes nothing", swapAllChecked},
		{"SwapAll: under a context that has ended is a NotAppliedError and changes nothing", swapAllUnderEndedContext},
		{"SwapAll: of as many members as there may be is one step", swapAllOfMost},
		{"SwapAll: of many that race over the same heads exactly one succeeds", swapAllsRace},
	}
}

// steps is a store of heads that swaps several in one step.
type steps struct {
	head.Store
	head.Transactor
}

func transactor(t testing.TB, h Harness) steps {
	t.Helper()
	s := h.Heads(t)
	x, ok := head.As[head.Transactor](s)
	require.True(t, ok, "%T has no head.Transactor", s)
	require.Positive(t, x.Members())
	return steps{s, x}
}

// appending returns an exchange that appends to a head.
func appending(t testing.TB, old head.Head, aggregateID string) head.Exchange {
	t.Helper()
	cs, next := extend(t, old, aggregateID, changeset.Draft{Content: []byte(aggregateID)})
	return head.Exchange{AggregateID: aggregateID, Old: old, Next: next, Changesets: cs}
}

func unchanged(old head.Head) head.Exchange {
	return head.Exchange{AggregateID: old.AggregateID, Old: old}
}

// requireUnswapped demands that the stored heads are the given heads.
func requireUnswapped(t testing.TB, h Harness, stored ...head.Head) {
	t.Helper()
	for _, s := range stored {
		requireHead(t, h.Heads(t), s)
	}
}

func requireConflicts(t testing.TB, err error, stored map[string]head.Head) {
	t.Helper()
	var conflicts *head.ConflictsError
	require.ErrorAs(t, err, &conflicts)
	require.Len(t, conflicts.Winners, len(stored))
	for id, want := range stored {
		winner, ok := conflicts.Winners[id]
		require.True(t, ok, id)
		if winner != nil {
			requireRecord(t, want, *winner)
		}
	}
}

func swapsAll(t testing.TB, h Harness) {
	s := transactor(t, h)
	a, b := create(t, s), create(t, s)
	for range 3 {
		exchanges := []head.Exchange{appending(t, a, a.AggregateID), appending(t, head.Head{}, newAggregate()), appending(t, b.WithToken(""), b.AggregateID)}
		got, err := s.SwapAll(t.Context(), exchanges)
		require.NoError(t, err)
		require.Len(t, got, len(exchanges))
		for i, e := range exchanges {
			requireRecord(t, e.Next, got[i])
			requireHead(t, h.Heads(t), got[i])
		}
		a = swap(t, s, got[0], link.Fence(got[0]))
		b = got[2]
	}
}

func swapAllPuts(t testing.TB, h Harness) {
	s := transactor(t, h)
	if _, ok := head.As[head.Combined](s.Store); !ok {
		t.Skip("the store is not Combined")
	}
	exchanges := []head.Exchange{appending(t, head.Head{}, newAggregate()), appending(t, head.Head{}, newAggregate())}
	_, err := s.SwapAll(t.Context(), exchanges)
	require.NoError(t, err)
	for _, e := range exchanges {
		requireStored(t, h.Changesets(t), e.Changesets[0])
	}
}

// swapAllConflicts has one head after the other that is not as expected.
func swapAllConflicts(t testing.TB, h Harness) {
	s := transactor(t, h)
	for place := range 3 {
		stored := []head.Head{create(t, s), create(t, s), create(t, s)}
		exchanges := make([]head.Exchange, len(stored))
		for i, old := range stored {
			exchanges[i] = appending(t, old, old.AggregateID)
		}
		stored[place] = swap(t, s, stored[place], link.Fence(stored[place]))
		_, err := s.SwapAll(t.Context(), exchanges)
		requireConflicts(t, err, map[string]head.Head{stored[place].AggregateID: stored[place]})
		requireUnswapped(t, h, stored...)
		requireNothingPut(t, h, exchanges)
	}
}

// requireNothingPut demands of a store that puts and swaps in one step that it has not put
// the changesets.
func requireNothingPut(t testing.TB, h Harness, exchanges []head.Exchange) {
	t.Helper()
	if _, ok := head.As[head.Combined](h.Heads(t)); !ok {
		return
	}
	for _, e := range exchanges {
		for _, c := range e.Changesets {
			requireAbsent(t, h.Changesets(t), c.Ref)
		}
	}
}

func swapAllNamesWinners(t testing.TB, h Harness) {
	s := transactor(t, h)
	a, b, c := create(t, s), create(t, s), create(t, s)
	absent := head.At(first(t, newAggregate(), nil).Header)
	exchanges := []head.Exchange{
		appending(t, a, a.AggregateID), appending(t, head.Head{}, b.AggregateID), unchanged(c), appending(t, absent, absent.AggregateID),
	}
	_, err := s.SwapAll(t.Context(), exchanges)
	requireConflicts(t, err, map[string]head.Head{b.AggregateID: b, absent.AggregateID: {}})
	requireUnswapped(t, h, a, b, c)
}

func swapAllUnchanged(t testing.TB, h Harness) {
	s := transactor(t, h)
	guard := create(t, s)
	fenced := swap(t, s, guard, link.Fence(guard))
	empty := void(t, s)
	for _, e := range []head.Exchange{
		unchanged(guard), unchanged(fenced), unchanged(fenced.WithToken("")), {AggregateID: newAggregate()}, {AggregateID: empty.AggregateID},
	} {
		a := create(t, s)
		got, err := s.SwapAll(t.Context(), []head.Exchange{e, appending(t, a, a.AggregateID)})
		require.NoError(t, err)
		require.Equal(t, e.Old, got[0])
		requireHead(t, h.Heads(t), got[1])
	}
	requireUnswapped(t, h, fenced, empty)

	other, erased, moving := create(t, s), create(t, s), create(t, s)
	moved := swap(t, s, other, next(t, other, other.AggregateID))
	moves := swap(t, s, moving, link.Move(moving, head.Move{To: "elsewhere"}))
	gone := swap(t, s, erased, link.Tombstone(erased))
	for _, c := range []struct {
		exchange head.Exchange
		stored   head.Head
	}{
		{unchanged(other), moved},
		{unchanged(erased), gone},
		{unchanged(moving), moves},
		{head.Exchange{AggregateID: other.AggregateID}, moved},
		{unchanged(head.At(first(t, newAggregate(), nil).Header)), head.Head{}},
	} {
		a := create(t, s)
		_, err := s.SwapAll(t.Context(), []head.Exchange{appending(t, a, a.AggregateID), c.exchange})
		requireConflicts(t, err, map[string]head.Head{c.exchange.AggregateID: c.stored})
		requireUnswapped(t, h, a)
	}
}

func swapAllChecked(t testing.TB, h Harness) {
	s := transactor(t, h)
	a, b := create(t, s), create(t, s)
	good := appending(t, a, a.AggregateID)
	bad := appending(t, b, b.AggregateID)
	bad.Next.Revision = b.Revision
	astray := appending(t, b, b.AggregateID)
	astray.AggregateID = newAggregate()
	many := []head.Exchange{good}
	for range s.Members() {
		many = append(many, appending(t, head.Head{}, newAggregate()))
	}
	var long []head.Exchange
	for range head.MaxTips/head.MaxTip + 1 {
		id := newAggregate()
		a := pack(t, head.Head{}, id, head.MaxTip, []byte(strings.Repeat("z", head.MaxTip-600)))
		long = append(long, head.Exchange{AggregateID: id, Next: a.Next, Changesets: a.Objects})
	}
	for name, exchanges := range map[string][]head.Exchange{
		"none": nil, "long tips": long, "nothing is replaced": {unchanged(a)}, "twice": {good, unchanged(b), unchanged(a)},
		"a swap that cannot follow": {good, bad}, "a head of another aggregate": {good, astray}, "too many": many,
	} {
		_, err := s.SwapAll(t.Context(), exchanges)
		require.False(t, requireNotApplied(t, err).Retryable, name)
	}
	requireUnswapped(t, h, a, b)
}

func swapAllUnderEndedContext(t testing.TB, h Harness) {
	s := transactor(t, h)
	a := create(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.SwapAll(ctx, []head.Exchange{appending(t, a, a.AggregateID)})
	requireNotApplied(t, err)
	require.ErrorIs(t, err, context.Canceled)
	requireUnswapped(t, h, a)
}

func swapAllOfMost(t testing.TB, h Harness) {
	s := transactor(t, h)
	var exchanges []head.Exchange
	for range s.Members() {
		exchanges = append(exchanges, appending(t, head.Head{}, newAggregate()))
	}
	got, err := s.SwapAll(t.Context(), exchanges)
	require.NoError(t, err)
	requireUnswapped(t, h, got...)

	last := len(exchanges) - 1
	again := make([]head.Exchange, len(exchanges))
	for i, e := range exchanges {
		again[i] = appending(t, got[i], e.AggregateID)
	}
	got[last] = swap(t, s, got[last], link.Fence(got[last]))
	_, err = s.SwapAll(t.Context(), again)
	requireConflicts(t, err, map[string]head.Head{exchanges[last].AggregateID: got[last]})
	requireUnswapped(t, h, got...)
}

// swapAllsRace lets steps race that have the same members in different orders.
func swapAllsRace(t testing.TB, h Harness) {
	for range h.Rounds {
		var stored []head.Head
		s := transactor(t, h)
		for range 3 {
			stored = append(stored, create(t, s))
		}
		won := raceAll(t, h, stored)
		for i, e := range won {
			requireRecord(t, e.Next, load(t, s, stored[i].AggregateID))
		}
	}
}

// raceAll returns the exchanges of the only step that succeeds, in the order of the heads.
func raceAll(t testing.TB, h Harness, stored []head.Head) []head.Exchange {
	t.Helper()
	var racers sync.WaitGroup
	wins := make(chan []head.Exchange, h.Racers)
	for n := range h.Racers {
		s := transactor(t, h)
		exchanges := make([]head.Exchange, len(stored))
		for i, old := range stored {
			exchanges[i] = appending(t, old, old.AggregateID)
		}
		racers.Go(func() {
			sent := slices.Clone(exchanges)
			if n%2 == 1 {
				slices.Reverse(sent)
			}
			if swapAllOrConflict(t, s, sent) {
				wins <- exchanges
			}
		})
	}
	racers.Wait()
	require.Len(t, wins, 1)
	return <-wins
}

// swapAllOrConflict sends a step until it succeeds or meets a conflict.
func swapAllOrConflict(t testing.TB, s steps, exchanges []head.Exchange) (won bool) {
	for try := 0; ; try++ {
		_, err := s.SwapAll(t.Context(), exchanges)
		if err == nil {
			return true
		}
		refused, ok := errors.AsType[*head.NotAppliedError](err)
		if ok && refused.Retryable && try < 1000 {
			continue
		}
		if _, conflict := errors.AsType[*head.ConflictsError](err); !conflict {
			t.Error(fmt.Errorf("a step that races: %w", err))
		}
		return false
	}
}
