package backendtest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

var changesetContextChecks = []check{
	{"Context: one that has ended is the error of Put, which stores nothing", putUnderEndedContext},
	{"Context: one that has ended is the error of Get and Stat", getUnderEndedContext},
	{"Context: one that has ended is the error of Delete, which removes nothing", deleteUnderEndedContext},
	{"Context: one that has ended is the one error of Objects and Aggregates", listUnderEndedContext},
}

var headContextChecks = []check{
	{"Context: one that has ended is the error of Load", loadUnderEndedContext},
	{"Context: one that has ended is a NotAppliedError of Swap, which changes nothing", swapUnderEndedContext},
	{"Context: one that has ended is the one error of List", listHeadsUnderEndedContext},
}

// underEnded calls work with contexts that have ended, and demands their errors.
func underEnded(t testing.TB, work func(ctx context.Context) error) {
	t.Helper()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, work(cancelled), context.Canceled)
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	require.ErrorIs(t, work(late), context.DeadlineExceeded)
}

func putUnderEndedContext(t testing.TB, h Harness) {
	s := h.Changesets(t)
	c := full(t)
	underEnded(t, func(ctx context.Context) error { return s.Put(ctx, c) })
	requireAbsent(t, s, c.Ref)
	put(t, s, c)
	underEnded(t, func(ctx context.Context) error { return s.Put(ctx, c) })
	requireStored(t, s, c)
}

func getUnderEndedContext(t testing.TB, h Harness) {
	s := h.Changesets(t)
	stored, absent := full(t), full(t)
	put(t, s, stored)
	for _, ref := range []changeset.Ref{stored.Ref, absent.Ref} {
		underEnded(t, func(ctx context.Context) error {
			_, err := s.Get(ctx, ref, nil)
			return err
		})
		underEnded(t, func(ctx context.Context) error {
			_, err := s.Stat(ctx, ref)
			return err
		})
	}
}

func deleteUnderEndedContext(t testing.TB, h Harness) {
	s := h.Changesets(t)
	deleter := as[changeset.Deleter](t, s)
	c := full(t)
	put(t, s, c)
	underEnded(t, func(ctx context.Context) error { return deleter.Delete(ctx, c.Ref) })
	requireStored(t, s, c)
}

func listUnderEndedContext(t testing.TB, h Harness) {
	s := h.Changesets(t)
	lister := as[changeset.Lister](t, s)
	c := full(t)
	put(t, s, c)
	for _, aggregateID := range []string{c.AggregateID, newAggregate()} {
		underEnded(t, func(ctx context.Context) error { return failure(t, lister.Objects(ctx, aggregateID)) })
	}
	for _, after := range []string{"", c.AggregateID} {
		underEnded(t, func(ctx context.Context) error { return failure(t, lister.Aggregates(ctx, after)) })
	}
}

func loadUnderEndedContext(t testing.TB, h Harness) {
	s := h.Heads(t)
	for _, aggregateID := range []string{create(t, s).AggregateID, newAggregate()} {
		underEnded(t, func(ctx context.Context) error {
			_, err := s.Load(ctx, aggregateID)
			return err
		})
	}
}

func swapUnderEndedContext(t testing.TB, h Harness) {
	s := h.Heads(t)
	stored := create(t, s)
	fresh := newAggregate()
	for _, old := range []head.Head{stored, stored.WithToken("")} {
		underEnded(t, func(ctx context.Context) error { return refusedSwap(t, ctx, s, old, link.Fence(old)) })
	}
	underEnded(t, func(ctx context.Context) error {
		return refusedSwap(t, ctx, s, head.Head{}, next(t, head.Head{}, fresh))
	})
	requireHead(t, s, stored)
	require.Zero(t, load(t, s, fresh))
}

// refusedSwap returns the error of a swap that was never sent, and so must say so.
func refusedSwap(t testing.TB, ctx context.Context, s head.Store, old, next head.Head) error {
	t.Helper()
	_, err := s.Swap(ctx, old, next)
	return requireNotApplied(t, err)
}

func listHeadsUnderEndedContext(t testing.TB, h Harness) {
	s := h.Heads(t)
	stored := create(t, s)
	for _, cursor := range []string{"", stored.AggregateID} {
		underEnded(t, func(ctx context.Context) error { return failure(t, s.List(ctx, cursor)) })
	}
}
