package backendtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
	"ropewalk/internal/link"
)

var raceChecks = []check{
	{"Swap: of many that race to create a head exactly one succeeds, and its record stays", creatorsRace},
	{"Swap: of many that race to replace a head exactly one succeeds, and its record stays", swappersRace},
	{"Swap: no update is lost: the revision counts the swaps that succeeded", updatesAreNotLost},
	{"Load: while others swap, a handle never sees a head go back", loadsAreMonotonic},
}

// racers opens the handles that race.
func racers(t testing.TB, h Harness) []head.Store {
	t.Helper()
	stores := make([]head.Store, h.Racers)
	for i := range stores {
		stores[i] = h.Heads(t)
	}
	return stores
}

// race lets every store swap a record of its own at once, and returns the head
// that the one winner returned.
func race(t testing.TB, stores []head.Store, old head.Head, aggregateID string) head.Head {
	t.Helper()
	offered, got, errs := make([]head.Head, len(stores)), make([]head.Head, len(stores)), make([]error, len(stores))
	for i := range stores {
		offered[i] = next(t, old, aggregateID)
	}
	together(len(stores), func(i int) {
		mine := old
		if i%2 == 1 {
			mine = old.WithToken("")
		}
		got[i], errs[i] = stores[i].Swap(t.Context(), mine, offered[i])
	})
	winner := -1
	for i, err := range errs {
		if err == nil {
			require.Equal(t, -1, winner, "more than one swap of the same record succeeded")
			winner = i
		}
	}
	require.NotEqual(t, -1, winner, "no swap succeeded: %v", errors.Join(errs...))
	requireRecord(t, offered[winner], got[winner])
	for _, err := range errs {
		requireLost(t, err, offered[winner])
	}
	requireHead(t, stores[0], offered[winner])
	return got[winner]
}

// requireLost demands the error that a healthy storage returns to the losers of
// a race: a conflict, or that it was too busy.
func requireLost(t testing.TB, err error, winner head.Head) {
	t.Helper()
	if err != nil && !retryable(err) {
		requireConflict(t, err, winner)
	}
}

func creatorsRace(t testing.TB, h Harness) {
	stores := racers(t, h)
	for range h.Rounds {
		race(t, stores, head.Head{}, newAggregate())
	}
}

func swappersRace(t testing.TB, h Harness) {
	stores := racers(t, h)
	stored := create(t, stores[0])
	for range h.Rounds {
		stored = race(t, stores, stored, stored.AggregateID)
	}
	require.Equal(t, uint64(1+h.Rounds), load(t, h.Heads(t), stored.AggregateID).Revision)
}

func updatesAreNotLost(t testing.TB, h Harness) {
	stores := racers(t, h)
	created := create(t, stores[0])
	swapped, errs := make([]int, len(stores)), make([]error, len(stores))
	together(len(stores), func(i int) {
		swapped[i], errs[i] = update(t.Context(), stores[i], created.AggregateID, h.Rounds)
	})
	require.NoError(t, errors.Join(errs...))
	total := 0
	for _, n := range swapped {
		total += n
	}
	require.Positive(t, total)
	require.Equal(t, created.Revision+uint64(total), load(t, h.Heads(t), created.AggregateID).Revision)
}

// retryable reports whether a swap was refused for now.
func retryable(err error) bool {
	refused, ok := errors.AsType[*head.NotAppliedError](err)
	return ok && refused.Retryable
}

// update loads and swaps n times, and returns how many swaps succeeded.
func update(ctx context.Context, s head.Store, aggregateID string, n int) (swapped int, err error) {
	for range n {
		stored, err := s.Load(ctx, aggregateID)
		if err != nil {
			return swapped, err
		}
		_, err = s.Swap(ctx, stored, link.Fence(stored))
		_, conflict := errors.AsType[*head.ConflictError](err)
		switch {
		case err == nil:
			swapped++
		case !conflict && !retryable(err):
			return swapped, err
		}
	}
	return swapped, nil
}

func loadsAreMonotonic(t testing.TB, h Harness) {
	stores := racers(t, h)
	stored := create(t, stores[0])
	errs := make([]error, len(stores))
	done := make(chan struct{})
	together(len(stores), func(i int) {
		if i == 0 {
			defer close(done)
			_, errs[i] = update(t.Context(), stores[i], stored.AggregateID, 4*h.Rounds)
			return
		}
		errs[i] = watch(t.Context(), done, stores[i], stored)
	})
	require.NoError(t, errors.Join(errs...))
}

// watch loads the head until done, and returns an error where it goes back.
func watch(ctx context.Context, done <-chan struct{}, s head.Store, seen head.Head) error {
	for {
		loaded, err := s.Load(ctx, seen.AggregateID)
		if err != nil {
			return err
		}
		if loaded.Revision < seen.Revision {
			return fmt.Errorf("the head went back from revision %d to %d", seen.Revision, loaded.Revision)
		}
		seen = loaded
		select {
		case <-done:
			return nil
		case <-time.After(time.Millisecond): // leaves room for the swaps
		}
	}
}
