package sqlitestore

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// stepping returns a request that makes a step, as SwapAll does.
func stepping(t *testing.T, s *Store, exchanges []head.Exchange) func() error {
	t.Helper()
	require.NoError(t, head.CheckExchanges(exchanges, s.Members()))
	members, _, err := newMembers(exchanges)
	require.NoError(t, err)
	return func() error {
		_, err := s.exchangeAll(members)
		return err
	}
}

// exchange returns an exchange that appends to a head, or that leaves it unchanged.
func exchange(t *testing.T, old head.Head, unchanged bool) head.Exchange {
	t.Helper()
	e := head.Exchange{AggregateID: old.AggregateID, Old: old}
	if !unchanged {
		e.Changesets, e.Next = extend(t, old, old.AggregateID, "of the step")
	}
	return e
}

// TestAConflictOfAStepIsItsOwn: a step whose condition fails at any place has written
// nothing, as the transaction goes on: appends come before and after it, also to the
// heads of its other members. Each member takes its turn as the one that is only to be
// unchanged.
func TestAConflictOfAStepIsItsOwn(t *testing.T) {
	for place := range 3 {
		for unchanged := range 4 {
			t.Run(fmt.Sprintf("conflict at %d, unchanged at %d", place, unchanged), func(t *testing.T) {
				s := open(t)
				var exchanges []head.Exchange
				for i := range 3 {
					exchanges = append(exchanges, exchange(t, appendTo(t, s, head.Head{}, fmt.Sprintf("order-%d", i), "one"), i == unchanged))
				}
				append1 := func(old head.Head, id string) (func() error, head.Head) {
					cs, next := extend(t, old, id, "another")
					return writing(t, s, cs, old, next), next
				}
				before, _ := append1(head.Head{}, "before")
				rival, winner := append1(exchanges[place].Old, exchanges[place].AggregateID)
				after, next := append1(exchanges[(place+1)%3].Old, exchanges[(place+1)%3].AggregateID)
				last, _ := append1(head.Head{}, "after")
				commits := s.writer.commits.Load()
				outcomes := together(t, s, before, rival, stepping(t, s, exchanges), after, last)
				require.Equal(t, commits+1, s.writer.commits.Load(), "it is one transaction")

				var conflicts *head.ConflictsError
				require.ErrorAs(t, outcomes[2], &conflicts)
				require.Len(t, conflicts.Winners, 1)
				require.True(t, conflicts.Winners[winner.AggregateID].SameRecord(winner))
				for i, err := range outcomes {
					require.Equal(t, i == 2, err != nil, "%d: %v", i, err)
				}
				requireSteps(t, s, exchanges, false)
				h, err := s.Load(t.Context(), next.AggregateID)
				require.NoError(t, err)
				require.True(t, h.SameRecord(next), "the head was still as before the step")
				require.Len(t, entries(t, s), 3+4)
				requireLogOf(t, s)
			})
		}
	}
}

// requireSteps demands that the changesets of a step are stored, or that none is.
func requireSteps(t *testing.T, s *Store, exchanges []head.Exchange, stored bool) {
	t.Helper()
	for _, e := range exchanges {
		for _, c := range e.Changesets {
			_, err := s.Stat(t.Context(), c.Ref)
			if stored {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, changeset.ErrNotFound)
			}
		}
	}
}

// TestAFailureAfterAStepIsItsOwn: a request that fails undoes the transaction, and the
// step is made again in the next one.
func TestAFailureAfterAStepIsItsOwn(t *testing.T) {
	s := open(t)
	exchanges := []head.Exchange{exchange(t, appendTo(t, s, head.Head{}, "order-1", "one"), false), exchange(t, appendTo(t, s, head.Head{}, "order-2", "one"), false)}
	invalid := errors.New("invalid")
	outcomes := together(t, s, stepping(t, s, exchanges), func() error { return invalid })
	require.NoError(t, outcomes[0])
	require.ErrorIs(t, outcomes[1], invalid)
	requireSteps(t, s, exchanges, true)
	requireLogOf(t, s)
}

// TestAStepThatFailsIsUndone: what it has written by then, too, and nothing else of its
// transaction.
func TestAStepThatFailsIsUndone(t *testing.T) {
	s := open(t)
	exchanges := []head.Exchange{exchange(t, appendTo(t, s, head.Head{}, "order-1", "one"), false), exchange(t, appendTo(t, s, head.Head{}, "order-2", "one"), false)}
	first, next := extend(t, head.Head{}, "order-3", "one")
	last, lastNext := extend(t, head.Head{}, "order-4", "one")
	step, failed := stepping(t, s, exchanges), errors.New("failed")
	outcomes := together(t, s,
		writing(t, s, first, head.Head{}, next),
		func() error { return errors.Join(step(), failed) },
		writing(t, s, last, head.Head{}, lastNext))
	require.NoError(t, outcomes[0])
	require.ErrorIs(t, outcomes[1], failed)
	require.NoError(t, outcomes[2])
	requireSteps(t, s, exchanges, false)
	for _, e := range exchanges {
		h, err := s.Load(t.Context(), e.AggregateID)
		require.NoError(t, err)
		require.True(t, h.SameRecord(e.Old))
	}
	require.Len(t, entries(t, s), 4)
	requireLogOf(t, s)
}

// TestLogOfAStep: the rows of a step follow each other, one for each head that has new
// changesets.
func TestLogOfAStep(t *testing.T) {
	s := open(t)
	a, b, c := appendTo(t, s, head.Head{}, "a", "one"), appendTo(t, s, head.Head{}, "b", "one"), appendTo(t, s, head.Head{}, "c", "one")
	fence := head.Exchange{AggregateID: "c", Old: c, Next: link.Fence(c)}
	first, next := extend(t, head.Head{}, "before", "one")
	last, lastNext := extend(t, head.Head{}, "after", "one")
	outcomes := together(t, s,
		writing(t, s, first, head.Head{}, next),
		stepping(t, s, []head.Exchange{exchange(t, b, false), fence, exchange(t, a, false)}),
		writing(t, s, last, head.Head{}, lastNext))
	require.Equal(t, make([]error, 3), outcomes)
	var order []string
	for _, e := range entries(t, s)[3:] {
		order = append(order, e.Advance.AggregateID)
	}
	require.Equal(t, []string{"before", "b", "a", "after"}, order)
	requireLogOf(t, s)
}

// TestAStepTestsTheDigest: a head that has the token of the stored record, but another
// digest, is a conflict before anything is written.
func TestAStepTestsTheDigest(t *testing.T) {
	s := open(t)
	first, stored := appendTo(t, s, head.Head{}, "order-1", "one"), appendTo(t, s, head.Head{}, "order-2", "one")
	other := stored
	other.Digest[0]++
	exchanges := []head.Exchange{exchange(t, first, false), exchange(t, other, false)}
	var conflicts *head.ConflictsError
	require.ErrorAs(t, together(t, s, stepping(t, s, exchanges))[0], &conflicts)
	require.Len(t, conflicts.Winners, 1)
	require.True(t, conflicts.Winners["order-2"].SameRecord(stored))
	requireSteps(t, s, exchanges, false)
	h, err := s.Load(t.Context(), "order-1")
	require.NoError(t, err)
	require.True(t, h.SameRecord(first))
}
