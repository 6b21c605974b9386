package backendtest

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
	"ropewalk/internal/link"
)

var moveChecks = []check{
	{"Record: a head that moves is kept, listed and refreshed, and can stay again", moveLife},
	{"Swap: an append that was built before a move conflicts", moveConflicts},
}

// moves are where heads move, with the characters of URLs.
var moves = []head.Move{
	{To: "aws://acme-orders/a?table=heads&region=eu-west-1"},
	{To: `file:C:\Users\ü "x".db`, Done: true},
	{To: "file:ropewalk.db"},
}

func moveLife(t testing.TB, h Harness) {
	s := h.Heads(t)
	packed := create(t, s)
	for _, stored := range []head.Head{create(t, s), swap(t, s, packed, pack(t, packed, packed.AggregateID, 4000, bytes.Repeat([]byte("x"), 100)).Next)} {
		for _, m := range moves {
			stored = swap(t, s, stored, link.Move(stored, m))
			requireHead(t, h.Heads(t), stored)
			requireRecord(t, stored, listedHeads(t, s)[stored.AggregateID])
			loaded := load(t, s, stored.AggregateID)
			require.Equal(t, m, loaded.Move)
			if refresher, ok := head.As[head.Refresher](s); ok {
				got, err := refresher.Refresh(t.Context(), stored)
				require.NoError(t, err)
				requireRecord(t, stored, got)
			}
			stored = swap(t, s, loaded.WithToken(""), link.Fence(loaded))
		}
		swap(t, s, stored, link.Stay(stored))
		loaded := load(t, s, stored.AggregateID)
		require.Zero(t, loaded.Move)
		require.NoError(t, loaded.CheckAppendable())
		appended := pack(t, loaded, loaded.AggregateID, 4000, []byte("x")).Next
		if !loaded.IsPacked() {
			appended = next(t, loaded, loaded.AggregateID)
		}
		swap(t, s, loaded, appended)
		require.Zero(t, load(t, h.Heads(t), stored.AggregateID).Move)
	}
}

func moveConflicts(t testing.TB, h Harness) {
	s := h.Heads(t)
	old := create(t, s)
	stored := swap(t, s, old, link.Move(old, moves[0]))
	for _, old := range []head.Head{old, old.WithToken("")} {
		refuse(t, s, old, next(t, old, old.AggregateID), stored)
		refuse(t, s, old, link.Move(old, moves[1]), stored)
	}
	erased := swap(t, s, stored, link.Tombstone(stored))
	require.Equal(t, moves[0], erased.Move)
	requireHead(t, h.Heads(t), erased)
}
