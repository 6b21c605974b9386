package ropewalk_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/head"
)

// TestAllocationsOfAWalk bounds what a walk allocates for each changeset that it reads,
// decodes and proves.
func TestAllocationsOfAWalk(t *testing.T) {
	file, err := sqlitestore.Open(filepath.Join(t.TempDir(), "ropewalk.db"), nil)
	require.NoError(t, err)
	defer file.Close()
	for _, s := range []struct {
		name string
		db   interface {
			changeset.Store
			head.Store
		}
		most float64
	}{{"memory", memstore.New(), 3}, {"SQLite", file, 8}} {
		const n, together = 1000, 250
		drafts := make([]changeset.Draft, together)
		for i := range drafts {
			drafts[i].Content = make([]byte, 1<<10)
		}
		chain := ropewalk.New(s.db, s.db, nil).Chain("order-1")
		var h head.Head
		for range n / together {
			h, err = chain.Append(t.Context(), h, drafts...)
			require.NoError(t, err)
		}
		allocations := testing.AllocsPerRun(2, func() {
			all, err := ropewalk.Collect(chain.ReaderAt(h).All(t.Context()))
			require.NoError(t, err)
			require.Len(t, all, n)
		})
		require.LessOrEqual(t, allocations/n, s.most, s.name)
	}
}
