package sqlitestore

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// TestNewerTablesStopReaders lets a newer version migrate the file while the store has it
// open. Each read and each write says so, and loses nothing.
func TestNewerTablesStopReaders(t *testing.T) {
	s := open(t)
	refs := chainOf(t, s, 6, 0)
	h, err := s.Load(t.Context(), "order-1")
	require.NoError(t, err)
	conn := raw(t, s.path)
	newer := []string{
		"ALTER TABLE changesets RENAME COLUMN object TO key", "ALTER TABLE heads RENAME COLUMN record TO state", "ALTER TABLE log RENAME COLUMN mark TO sign",
	}
	conn.run(t, newer...)
	for _, err := range reads(t, s, h, refs) {
		require.ErrorAs(t, err, new(*changeset.CorruptError), "no version is newer")
	}
	conn.run(t, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion+1))
	for _, err := range reads(t, s, h, refs) {
		require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
		require.ErrorContains(t, err, fmt.Sprintf("schema %d, this version knows up to %d", schemaVersion+1, schemaVersion))
	}
	_, err = tryAppend(s, h, "order-1", "more")
	requireRefused(t, err, false)
	require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
	conn.run(t, "ALTER TABLE changesets RENAME COLUMN key TO object", "ALTER TABLE heads RENAME COLUMN state TO record", "ALTER TABLE log RENAME COLUMN sign TO mark",
		fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
	requireChain(t, s, h, head.Head{})
}

// reads returns the error of each way to read.
func reads(t *testing.T, s *Store, h head.Head, refs []changeset.Ref) (all []error) {
	t.Helper()
	_, stat := s.Stat(t.Context(), h.Ref)
	_, get := s.Get(t.Context(), h.Ref, nil)
	_, many := s.GetMany(t.Context(), refs, nil)
	_, few := s.GetMany(t.Context(), refs[:1], nil)
	_, load := s.Load(t.Context(), "order-1")
	_, end := s.LogEnd(t.Context())
	all = []error{stat, get, many, few, load, end, s.VerifyLog(t.Context())}
	for _, err := range s.Objects(t.Context(), "order-1") {
		all = append(all, err)
	}
	for _, err := range s.Aggregates(t.Context(), "") {
		all = append(all, err)
	}
	for _, err := range s.List(t.Context(), "") {
		all = append(all, err)
	}
	for _, err := range s.Entries(t.Context(), head.LogPosition{}, false) {
		all = append(all, err)
	}
	require.Len(t, all, 11)
	return all
}
