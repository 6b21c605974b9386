package backendtest

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
	"ropewalk/internal/link"
)

var voidChecks = []check{
	{"Record: a void head is kept, fenced, listed and refreshed", voidLife},
	{"Swap: a void head is created only if there is no head", voidOfExisting},
	{"Swap: a first head of either format replaces a void head", voidReplaced},
	{"Swap: the condition of a void head is its revision", voidConflicts},
	{"Record: unknown fields of a void head survive the first append", voidKeepsUnknown},
}

// void swaps in the void head of a new aggregate.
func void(t testing.TB, s head.Store) head.Head {
	t.Helper()
	return swap(t, s, head.Head{}, link.Void(newAggregate()))
}

func voidLife(t testing.TB, h Harness) {
	s := h.Heads(t)
	stored := void(t, s)
	for range 3 {
		requireHead(t, h.Heads(t), stored)
		requireRecord(t, stored, listedHeads(t, s)[stored.AggregateID])
		if refresher, ok := head.As[head.Refresher](s); ok {
			got, err := refresher.Refresh(t.Context(), stored)
			require.NoError(t, err)
			requireRecord(t, stored, got)
		}
		loaded := load(t, s, stored.AggregateID)
		require.False(t, loaded.Exists())
		require.False(t, loaded.IsZero())
		stored = swap(t, s, loaded, link.Fence(loaded))
		stored = swap(t, s, stored.WithToken(""), link.Fence(stored))
	}
}

func voidOfExisting(t testing.TB, h Harness) {
	s := h.Heads(t)
	stored := create(t, s)
	refuse(t, s, head.Head{}, link.Void(stored.AggregateID), stored)
	again := link.Void(stored.AggregateID)
	again.Revision = stored.Revision + 1
	_, err := s.Swap(t.Context(), stored, again)
	require.False(t, requireNotApplied(t, err).Retryable)
	requireHead(t, s, stored)

	fenced := void(t, s)
	refuse(t, s, head.Head{}, link.Void(fenced.AggregateID), fenced)
	refuse(t, s, head.Head{}, next(t, head.Head{}, fenced.AggregateID), fenced)
	refuse(t, h.Heads(t), head.Head{}, pack(t, head.Head{}, fenced.AggregateID, 4000, []byte("x")).Next, fenced)
}

// voidReplaced makes chains after void heads, with a token and without one. The record of
// a chain of format 1 has nothing left of the void head.
func voidReplaced(t testing.TB, h Harness) {
	s := h.Heads(t)
	for i := range 8 {
		stored := void(t, s)
		if i&1 > 0 {
			stored = swap(t, s, stored, link.Fence(stored))
		}
		old := stored
		if i&2 > 0 {
			old = old.WithToken("")
		}
		first := next(t, old, stored.AggregateID)
		if i&4 > 0 {
			first = pack(t, old, stored.AggregateID, 4000, bytes.Repeat([]byte("x"), 100)).Next
		}
		first = swap(t, s, old, first)
		requireHead(t, h.Heads(t), first)
		requireRecord(t, first, listedHeads(t, s)[stored.AggregateID])
		require.Equal(t, i&4 > 0, load(t, s, stored.AggregateID).IsPacked())
		refuse(t, s, old, link.Fence(old), first)
		swap(t, s, load(t, s, stored.AggregateID), link.Fence(first))
	}
}

func voidConflicts(t testing.TB, h Harness) {
	s := h.Heads(t)
	old := void(t, s)
	stored := swap(t, s, old, link.Fence(old))
	for _, old := range []head.Head{old, old.WithToken(""), link.Fence(stored).WithToken("")} {
		refuse(t, s, old, link.Fence(link.Fence(old)), stored)
		refuse(t, s, old, next(t, old, stored.AggregateID), stored)
		refuse(t, s, old, pack(t, old, stored.AggregateID, 4000, []byte("x")).Next, stored)
	}
	absent := link.Void(newAggregate())
	_, err := s.Swap(t.Context(), absent, link.Fence(absent))
	requireConflict(t, err, head.Head{})
	require.Zero(t, load(t, s, absent.AggregateID))
}

func voidKeepsUnknown(t testing.TB, h Harness) {
	if h.InjectUnknownField == nil {
		t.Skip("the harness cannot inject unknown fields")
	}
	s := h.Heads(t)
	id := void(t, s).AggregateID
	h.InjectUnknownField(t, id)
	unknown := h.UnknownField
	if unknown == nil {
		unknown = func(t testing.TB, id string) string { return load(t, h.Heads(t), id).Extra() }
	}
	want, stored := unknown(t, id), load(t, s, id)
	require.NotEmpty(t, want)
	stored = swap(t, s, stored, link.Fence(stored))
	swap(t, s, stored, next(t, stored, id))
	require.Equal(t, want, unknown(t, id))
}

// logOfVoid fences aggregates that do not exist. Only the appends after that are logged.
func logOfVoid(t testing.TB, h Harness) {
	l := logged(t, h)
	end := logEnd(t, l)
	one, two := void(t, l), void(t, l)
	one = swap(t, l, one, link.Fence(one))
	require.Equal(t, end, logEnd(t, l))
	requireLogged(t, l, end, []head.Advance{}...)
	second := swap(t, l, two, next(t, two, two.AggregateID))
	first := swap(t, l, one.WithToken(""), next(t, one, one.AggregateID))
	requireLogged(t, l, end, advance(head.Head{}, second), advance(head.Head{}, first))
}
