//go:build integration

package integration_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/changeset"
	"ropewalk/gc"
	"ropewalk/inspect"
	"ropewalk/internal/reserved"
)

// tally is an aggregate that counts, and remembers its latest entry.
type tally struct {
	Sum    int
	Latest string
}

type tallied struct{ Name string }

var tallies = aggregate.Type[tally, tallied]{
	Name:      "tally",
	Events:    aggregate.Events[tallied]{"tallied": {}},
	Evolve:    func(t tally, e tallied) tally { return tally{t.Sum + 1, e.Name} },
	Snapshots: aggregate.Snapshots[tally]{Every: 4, Schema: "ä/1"},
}

// TestAggregates saves, loads from snapshots and erases over all clouds.
func TestAggregates(t *testing.T) {
	overClouds(t, func(t *testing.T, c cloud) {
		const id = "tally/ä 1"
		changesets, heads := c.open(t).stores(t, direct)
		store := ropewalk.New(changesets, heads, nil)
		repo := aggregate.New(store, tallies, nil)
		for range 2 { // the second time each command has happened
			for i := range 10 {
				name := fmt.Sprint("ö", i)
				decide := func(tally) ([]tallied, error) { return []tallied{{name}}, nil }
				_, err := repo.Upsert(t.Context(), id, decide, aggregate.Once(name))
				require.NoError(t, err)
				require.NoError(t, repo.Wait(t.Context()))
			}
		}
		reader := aggregate.New(store, tallies, nil)
		l, err := reader.Load(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, tally{10, "ö9"}, l.State)
		require.Equal(t, aggregate.Stats{Used: 1}, reader.Stats())
		earlier, err := reader.LoadAt(t.Context(), id, 6)
		require.NoError(t, err)
		require.Equal(t, tally{7, "ö6"}, earlier.State)

		report, err := inspect.New(changesets.(inspect.Changesets), heads, nil).Verify(t.Context(), id)
		require.NoError(t, err)
		require.Empty(t, report.Problems)
		_, err = gc.New(changesets.(gc.Changesets), heads, nil).Erase(t.Context(), id)
		require.NoError(t, err)
		left, err := ropewalk.Collect(changesets.(changeset.Lister).Objects(t.Context(), reserved.Snapshots(id)))
		require.NoError(t, err)
		require.Empty(t, left)
		_, err = repo.Load(t.Context(), id)
		require.ErrorIs(t, err, ropewalk.ErrErased)
	})
}
