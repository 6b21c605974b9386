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

// Throttling slows writers down, and loses nothing.
func TestThrottledWritersSlowDown(t *testing.T) {
	took := func(oneIn int) (took time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			db := memstore.New()
			load := soak.Load{Appends: 2000, Writers: 8, Length: 50, ThrottleOneIn: oneIn}
			figures, err := load.Run(t.Context(), soak.Place{Changesets: db, Heads: db})
			require.NoError(t, err)
			require.Equal(t, 2000, figures.Appended)
			require.Equal(t, 2000, figures.Read)
			require.Equal(t, oneIn > 0, figures.Throttled > 100)
			took = figures.Took
		})
		return took
	}
	require.Zero(t, took(0), "memory takes no time")
	require.Greater(t, took(3), time.Second)
}

func TestLoadIsFlat(t *testing.T) {
	memory := memstore.New()
	file, err := sqlitestore.Open(filepath.Join(t.TempDir(), "ropewalk.db"), nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	var all []*soak.LoadFigures
	for name, place := range map[string]soak.Place{"memory": {Changesets: memory, Heads: memory}, "SQLite": {Changesets: file, Heads: file}} {
		load := soak.Load{Appends: 4000, Writers: 8, Length: 20, Samples: 40}
		if testing.Short() {
			load.Appends = 1000
		}
		figures, err := load.Run(context.Background(), place)
		require.NoError(t, err)
		require.Equal(t, load.Appends, figures.Read)
		require.Len(t, figures.Samples, load.Samples)
		growth := figures.Growth()
		require.Less(t, growth.Heap, 8<<20)
		require.Less(t, growth.Goroutines, 100)
		require.Less(t, growth.Files, 20)
		figures.Place = name
		all = append(all, figures)
	}
	t.Log("\n" + soak.LoadTable(all))
}
