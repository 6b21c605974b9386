package aggregate

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
)

// Snapshots of both formats are readable for ever, and are written as they always were.
func TestStoredSnapshots(t *testing.T) {
	type state struct{ Total int }
	typ := Type[state, state]{
		Name: "order", Events: Events[state]{"placed": {}},
		Evolve:    func(s, _ state) state { return s },
		Snapshots: Snapshots[state]{Every: 4, Schema: "1"},
	}
	db := memstore.New()
	repo := New(ropewalk.New(db, db, nil), typ, nil)
	for name, packed := range map[string]bool{"snapshot-1.json": false, "snapshot-2.json": true} {
		stored, err := os.ReadFile("testdata/" + name)
		require.NoError(t, err)
		l, err := repo.decodeSnapshot("order/1", 3, stored)
		require.NoError(t, err, name)
		require.Equal(t, state{42}, l.State)
		require.Equal(t, commands{{id: "first"}, {id: "second"}}, l.commands)
		require.Equal(t, "order/1@3.019b8d2e-0000-7000-8000-000000000004", l.Head.Ref.String())
		require.Equal(t, uint64(5), l.Head.Revision)
		require.Equal(t, changeset.Digest{31: 9}, l.Head.Digest)
		require.Equal(t, "2026-11-21T00:31:02.000000007Z", changeset.FormatTime(l.Head.UpdatedAt))
		require.Equal(t, head.Live, l.Head.State)
		require.Equal(t, packed, l.Head.IsPacked())
		require.Equal(t, packed, l.Head.IsPoint())
		written, err := repo.snapshotContent(l, l.Head)
		require.NoError(t, err)
		require.Equal(t, string(stored), string(written))
	}
}
