package soak_test

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/internal/soak"
)

// patience bounds the search for an order in one history.
const patience = 30 * time.Second

func seeds(first uint64, n int) (all []uint64) {
	for i := range n {
		all = append(all, first+uint64(i))
	}
	return all
}

func requireSound(t *testing.T, histories []*soak.History) {
	t.Helper()
	soak.Check(histories, patience)
	figures := &soak.Figures{Place: t.Name(), Seed: histories[0].Seed}
	figures.Add(histories...)
	t.Log("\n" + soak.Table([]*soak.Figures{figures}))
	for _, h := range histories {
		require.Empty(t, h.Violations, "%s", h)
		require.False(t, h.Inconclusive, "%s", h)
	}
}

// Memory, in virtual time.
func TestHistoriesOverMemory(t *testing.T) {
	var histories []*soak.History
	n := uint64(200)
	if testing.Short() {
		n = 40
	}
	for first := uint64(1); first <= n; first += 10 {
		synctest.Test(t, func(t *testing.T) {
			db := memstore.New()
			histories = append(histories, soak.Run(t.Context(), soak.Place{Changesets: db, Heads: db, Unit: time.Second}, seeds(first, 10))...)
		})
	}
	requireSound(t, histories)
}

// A file, in virtual time but for its own.
func TestHistoriesOverSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ropewalk.db")
	var histories []*soak.History
	n := uint64(20)
	if testing.Short() {
		n = 10
	}
	for first := uint64(1); first <= n; first += 10 {
		synctest.Test(t, func(t *testing.T) {
			db, err := sqlitestore.Open(path, nil)
			require.NoError(t, err)
			defer func() { require.NoError(t, db.Close()) }()
			histories = append(histories, soak.Run(context.Background(), soak.Place{Changesets: db, Heads: db, Unit: time.Second}, seeds(first, 10))...)
		})
	}
	requireSound(t, histories)
}
