package backendtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

var changesetMidwayChecks = []check{
	{"Context: one that ends while Put is under way is its error, and what is stored is whole", putCutShort},
	{"Context: one that ends while Get, Stat or a listing is under way is its error", readCutShort},
}

var headMidwayChecks = []check{
	{"Context: one that ends while Swap is under way is its error, which does not lie", swapCutShort},
	{"Context: one that ends while Load or List is under way is its error", loadCutShort},
}

// cutShort does the work, and again under contexts that end at eight points of
// the time that it takes, and demands that it succeeds or fails for that reason.
func cutShort(t testing.TB, work func(ctx context.Context) error) {
	t.Helper()
	begun := time.Now()
	require.NoError(t, work(t.Context()))
	whole := max(time.Since(begun), time.Millisecond)
	for i := range time.Duration(8) {
		ctx, cancel := context.WithTimeout(t.Context(), whole*(i+1)/8)
		if err := work(ctx); err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		cancel()
	}
}

func putCutShort(t testing.TB, h Harness) {
	s := h.Changesets(t)
	cs := make([]changeset.Changeset, 9)
	for i := range cs {
		cs[i] = first(t, newAggregate(), noise(1<<20))
	}
	i := 0
	cutShort(t, func(ctx context.Context) error {
		c := cs[i]
		i++
		err := s.Put(ctx, c)
		got, failed := s.Get(t.Context(), c.Ref, nil)
		if err == nil || !errors.Is(failed, changeset.ErrNotFound) {
			require.NoError(t, failed)
			requireEqual(t, c, got)
		}
		return err
	})
}

func readCutShort(t testing.TB, h Harness) {
	s := h.Changesets(t)
	all := []changeset.Changeset{first(t, newAggregate(), noise(1<<20))}
	all = append(all, forked(t, 12)...)
	putAll(t, s, all)
	c := all[0]
	cutShort(t, func(ctx context.Context) error {
		got, err := s.Get(ctx, c.Ref, nil)
		if err == nil {
			requireEqual(t, c, got)
		}
		return err
	})
	cutShort(t, func(ctx context.Context) error {
		_, err := s.Stat(ctx, c.Ref)
		return err
	})
	lister := as[changeset.Lister](t, s)
	cutShort(t, func(ctx context.Context) error { return failure(t, lister.Objects(ctx, all[1].AggregateID)) })
	cutShort(t, func(ctx context.Context) error { return failure(t, lister.Aggregates(ctx, "")) })
}

// swapCutShort cuts first heads only: LocalStack empties an S3 object when the
// request that replaces it is cut off.
func swapCutShort(t testing.TB, h Harness) {
	s := h.Heads(t)
	cutShort(t, func(ctx context.Context) error {
		created := next(t, head.Head{}, newAggregate())
		_, err := s.Swap(ctx, head.Head{}, created)
		requireHonest(t, err, head.Head{}, created, load(t, s, created.AggregateID))
		return err
	})
}

// requireHonest demands that the error of a swap without a rival agrees with the
// head that was loaded after it.
func requireHonest(t testing.TB, err error, old, next, loaded head.Head) {
	t.Helper()
	_, refused := errors.AsType[*head.NotAppliedError](err)
	_, conflict := errors.AsType[*head.ConflictError](err)
	switch {
	case err == nil:
		requireRecord(t, next, loaded)
	case refused:
		requireRecord(t, old, loaded)
	default:
		require.False(t, conflict, "a conflict without another swap")
		require.True(t, loaded.SameRecord(old) || loaded.SameRecord(next), "a third record is stored")
	}
}

func loadCutShort(t testing.TB, h Harness) {
	s := h.Heads(t)
	stored := createMany(t, s, 12)[0]
	cutShort(t, func(ctx context.Context) error {
		loaded, err := s.Load(ctx, stored.AggregateID)
		if err == nil {
			requireRecord(t, stored, loaded)
		}
		return err
	})
	cutShort(t, func(ctx context.Context) error { return failure(t, s.List(ctx, "")) })
}
