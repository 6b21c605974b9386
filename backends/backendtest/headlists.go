package backendtest

import (
	"context"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
	"ropewalk/internal/link"
)

var headListChecks = []check{
	{"List: yields every head, each once, as it is stored", listYieldsAll},
	{"List: begins behind the cursor in its own order", listBeginsBehind},
	{"List: may be left early, and ranged over again", listMayBeLeft},
	{"List: what it yields can be swapped", listedCanBeSwapped},
	{"List: a context that ends on the way is its one error", listCancelled},
}

// listedHeads returns all heads. Each head must come once.
func listedHeads(t testing.TB, s head.Store) map[string]head.Head {
	t.Helper()
	listed := map[string]head.Head{}
	for _, stored := range collect(t, s.List(t.Context(), "")) {
		require.NotEqual(t, stored.AggregateID, listed[stored.AggregateID].AggregateID, "listed twice")
		listed[stored.AggregateID] = stored
	}
	return listed
}

// createMany swaps in n first heads.
func createMany(t testing.TB, s head.Store, n int) []head.Head {
	t.Helper()
	created, errs := make([]head.Head, n), make([]error, n)
	for i := range created {
		created[i] = next(t, head.Head{}, newAggregate())
	}
	together(8, func(worker int) {
		for i := worker; i < n; i += 8 {
			created[i], errs[i] = s.Swap(t.Context(), head.Head{}, created[i])
		}
	})
	for _, err := range errs {
		require.NoError(t, err)
	}
	return created
}

func listYieldsAll(t testing.TB, h Harness) {
	s := h.Heads(t)
	created := createMany(t, s, h.Listed)
	created[0] = swap(t, s, created[0].WithToken(""), next(t, created[0], created[0].AggregateID))
	for _, s := range []head.Store{s, h.Heads(t)} {
		listed := listedHeads(t, s)
		for _, want := range created {
			requireRecord(t, want, listed[want.AggregateID])
		}
	}
}

// ids returns the aggregate IDs of heads.
func ids(heads []head.Head) []string {
	all := make([]string, len(heads))
	for i, h := range heads {
		all[i] = h.AggregateID
	}
	return all
}

func listBeginsBehind(t testing.TB, h Harness) {
	s := h.Heads(t)
	createMany(t, s, 5)
	for _, c := range neighbours(t) {
		swap(t, s, head.Head{}, head.At(c.Header))
	}
	all := ids(collect(t, s.List(t.Context(), "")))
	for _, i := range []int{0, 1, len(all) / 3, len(all) / 2, len(all) - 2, len(all) - 1} {
		require.Equal(t, all[i+1:], ids(collect(t, s.List(t.Context(), all[i]))), "behind %q", all[i])
	}
}

func listMayBeLeft(t testing.TB, h Harness) {
	s := h.Heads(t)
	createMany(t, s, 3)
	listing := s.List(t.Context(), "")
	all := ids(collect(t, listing))
	for _, n := range []int{1, 2, len(all) - 1, len(all)} {
		require.Equal(t, all[:n], ids(take(t, n, listing)))
	}
	late := create(t, s)
	require.Contains(t, ids(collect(t, listing)), late.AggregateID, "a second iteration lists again")
}

func listedCanBeSwapped(t testing.TB, h Harness) {
	s := h.Heads(t)
	created := create(t, s)
	stored := listedHeads(t, s)[created.AggregateID]
	stored = swap(t, s, stored, link.Fence(stored))
	requireHead(t, s, stored)
	refuse(t, s, created, link.Fence(created), stored)
}

func listCancelled(t testing.TB, h Harness) {
	s := h.Heads(t)
	createMany(t, s, 5)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	requireCancelled(t, cancel, s.List(ctx, ""))
}

// requireCancelled cancels the context of a listing on its way, and demands
// that an error that ends it is the context's. There may be no error
// if everything was read already.
func requireCancelled[T any](t testing.TB, cancel func(), listing iter.Seq2[T, error]) {
	t.Helper()
	err := failure(t, func(yield func(T, error) bool) {
		for item, err := range listing {
			if cancel(); !yield(item, err) {
				return
			}
		}
	})
	if err != nil {
		require.ErrorIs(t, err, context.Canceled)
	}
}
