package synthetic_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/bench/internal/synthetic"
	"ropewalk/changeset"
	"ropewalk/inspect"
)

// The reader and verify find nothing wrong with a history that was never written.
func TestHistoryHolds(t *testing.T) {
	history := synthetic.New("order", 5000, 24)
	for _, n := range []int{1, 16, 17, 4097, 5000} {
		store := history.At(n)
		r, err := ropewalk.New(store, store, nil).Chain("order").Reader(t.Context())
		require.NoError(t, err)
		all, err := ropewalk.Collect(r.All(t.Context()))
		require.NoError(t, err)
		require.Len(t, all, n)
		report, err := inspect.New(store, store, nil).Verify(t.Context(), "order")
		require.NoError(t, err)
		require.Empty(t, report.Problems)
		require.Equal(t, n, report.Committed)
	}
}

func TestHistoryTakesAppends(t *testing.T) {
	store := synthetic.New("order", 300, 24).At(300)
	chain := ropewalk.New(store, store, nil).Chain("order")
	h, err := chain.Head(t.Context())
	require.NoError(t, err)
	next, err := chain.Append(t.Context(), h, changeset.Draft{})
	require.NoError(t, err)
	require.EqualValues(t, 300, next.Version)
}
