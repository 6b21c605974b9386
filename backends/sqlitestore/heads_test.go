package sqlitestore

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// TestSwapOfARebuiltHead swaps a head that was rebuilt from its chain, without
// its checkpoint and the fields that a newer version has put into the record: they
// stay.
func TestSwapOfARebuiltHead(t *testing.T) {
	s := open(t)
	changesets, next := extend(t, head.Head{}, "order-1", "one")
	next.Formats = head.Formats{Written: 2, MinReader: 1, MinWriter: 1}
	next.Checkpoint = "a=1"
	_, err := s.Commit(t.Context(), changesets, head.Head{}, next)
	require.NoError(t, err)
	harness(s.path).InjectUnknownField(t, "order-1")
	stored, err := s.Load(t.Context(), "order-1")
	require.NoError(t, err)

	rebuilt := head.At(changesets[0].Header)
	require.NotEqual(t, stored, rebuilt)
	swapped := appendTo(t, s, rebuilt, "order-1", "two")
	require.Equal(t, stored.Extra(), swapped.Extra())
	require.Equal(t, stored.Formats, swapped.Formats)
	require.Equal(t, "a=1", swapped.Checkpoint)
	loaded, err := s.Load(t.Context(), "order-1")
	require.NoError(t, err)
	require.Equal(t, swapped, loaded)
}

// TestSwapOfARebuiltHeadThatForbidsIt meets a record that this version must
// not replace, which only the record shows.
func TestSwapOfARebuiltHeadThatForbidsIt(t *testing.T) {
	s := open(t)
	stored := appendTo(t, s, head.Head{}, "order-1", "one")
	tamper(t, s.path, `UPDATE heads SET record = replace(replace(record, '"format":1', '"format":3'), '"min-writer":1', '"min-writer":3')`)
	_, err := s.Swap(t.Context(), stored, link.Fence(stored))
	requireRefused(t, err, false)
	require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
	loaded, err := s.Load(t.Context(), "order-1")
	require.NoError(t, err)
	require.Equal(t, stored.Revision, loaded.Revision)
}
