package changeset

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAllocationsOfDecoding holds what it takes to decode and prove a header: its index
// alone, since the other fields share the text.
func TestAllocationsOfDecoding(t *testing.T) {
	var parent Header
	for range 1000 {
		id := NewID()
		h := Header{
			Ref: Ref{AggregateID: "order-4711", ID: id}, AfterRevision: parent.AfterRevision + 1, ContentType: DefaultContentType,
			RecordedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), CommandID: "place-1",
		}
		if !parent.ID.IsZero() {
			h.Version, h.Parent, h.Ancestors = parent.Version+1, parent.ID, parent.Ancestors.Push(parent.ID)
		}
		h.Digest = h.ComputeDigest(parent.Digest)
		require.NoError(t, h.Verify(parent.Digest))
		if h.Version == 999 {
			requireAllocations(t, h, parent)
		}
		parent = h
	}
}

func requireAllocations(t *testing.T, h, parent Header) {
	t.Helper()
	metadata, err := Encode(h, Hyphenated)
	require.NoError(t, err)
	row, err := EncodeRow(h)
	require.NoError(t, err)
	stored := Stored{Ref: h.Ref, ContentType: h.ContentType}
	require.EqualValues(t, 1, testing.AllocsPerRun(10, func() { _, err = DecodeRow(stored, row) }), "row")
	require.NoError(t, err)
	stored.Metadata = metadata
	require.EqualValues(t, 1, testing.AllocsPerRun(10, func() { _, err = Decode(stored, Hyphenated) }), "map")
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(10, func() { err = h.VerifyLink(parent) }), "link")
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(10, func() { err = h.Verify(parent.Digest) }), "digest")
	require.NoError(t, err)
}
