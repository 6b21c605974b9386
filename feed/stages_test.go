package feed

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
)

// hidden has no optional interface.
type hidden struct{ head.Store }

// A long feed is read in stages, from waypoint to waypoint. No entry is missing and
// none comes twice.
func TestLongFeedsAreReadInStages(t *testing.T) {
	db := memstore.New()
	f := Open(ropewalk.New(db, hidden{db}, nil), nil)
	r, err := f.registerNew(t.Context(), "test")
	require.NoError(t, err)
	s, err := f.newState(t.Context(), r.Generation)
	require.NoError(t, err)
	const batches = 2*waypointEvery + 10
	var before changeset.ID
	for i := range uint64(batches) {
		a := head.Advance{AggregateID: "a", First: i, Last: i, ID: changeset.NewID(), Before: before}
		before = a.ID
		require.NoError(t, s.append(t.Context(), batch{preamble{Source: "test", Snapshot: s.snapshot}, []advance{{Advance: a}}}))
		if i == batches-5 {
			require.NoError(t, s.writeSnapshot(t.Context()))
		}
	}
	stages := 0
	for _, err := range s.stages(t.Context(), s.head, 0) {
		require.NoError(t, err)
		stages++
	}
	require.Equal(t, 3, stages)

	var positions []Position
	for page, err := range s.pages(t.Context(), Position{}, false) {
		require.NoError(t, err)
		for _, e := range page {
			require.EqualValues(t, len(positions), e.advance.First)
			positions = append(positions, e.position)
		}
	}
	require.Len(t, positions, batches)
	for _, at := range []int{0, 1, waypointEvery - 1, waypointEvery, waypointEvery + 1, batches - 2} {
		next := at + 1
		for page, err := range s.pages(t.Context(), positions[at], false) {
			require.NoError(t, err)
			for _, e := range page {
				require.EqualValues(t, next, e.advance.First)
				next++
			}
		}
		require.Equal(t, batches, next)
	}

	// A waypoint of another history does not pass for a stage.
	newest, err := s.readManifest(t.Context(), *s.snapshot)
	require.NoError(t, err)
	require.Len(t, newest.Waypoints, 3)
	db.Tamper(func(c *memstore.Contents) {
		at := changeset.Ref{AggregateID: s.head.AggregateID, Version: waypointEvery, ID: newest.Waypoints[1]}
		delete(c.Objects, at.ObjectName())
	})
	for _, err := range s.pages(t.Context(), positions[0], false) {
		if err != nil {
			require.ErrorAs(t, err, new(*changeset.CorruptError))
		}
	}
}
