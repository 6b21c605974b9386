package backendtest

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

var packedHeadChecks = []check{
	{"Record: the head of a packed chain is kept through its life", packedLife},
	{"Record: a head becomes packed, and its tip goes into objects", packedAfterFormat1},
	{"Record: a tip is kept byte for byte, up to its largest size", packedTips},
	{"Record: the tombstone of a packed chain has no tip", packedTombstone},
	{"Swap: a record that differs in the object index alone is another record", packedTwins},
	{"Swap: the winner comes with its tip", packedWinner},
	{"Record: unknown fields survive beside a tip", packedKeepsUnknown},
	{"Refresh: returns the tip of a packed head", packedRefresh},
}

// packedLife appends to a packed chain, so that its tip goes into objects now and then.
func packedLife(t testing.TB, h Harness) {
	s, id := h.Heads(t), newAggregate()
	var stored head.Head
	for i := range 12 {
		next := pack(t, stored, id, 1000, bytes.Repeat([]byte("x"), 50*i)).Next
		if i == 4 {
			next.Checkpoint = "position=1"
		}
		stored = swap(t, s, stored, next)
		requireHead(t, h.Heads(t), stored)
		requireRecord(t, stored, listedHeads(t, s)[id])
		stored = swap(t, s, stored.WithToken(""), link.Fence(stored))
		require.Equal(t, next.Tip, load(t, s, id).Tip, "a fence keeps the tip")
	}
	require.NotZero(t, stored.Index.Objects())
	require.Equal(t, "position=1", load(t, s, id).Checkpoint)
}

func packedAfterFormat1(t testing.TB, h Harness) {
	s, id := h.Heads(t), newAggregate()
	stored := swap(t, s, head.Head{}, next(t, head.Head{}, id))
	stored = swap(t, s, stored, next(t, stored, id))
	for _, tip := range []int{4000, 4000, -1, -1, 4000, -1} {
		stored = swap(t, s, stored, pack(t, stored, id, tip, []byte("x")).Next)
		requireHead(t, h.Heads(t), stored)
	}
	_, flushed, err := link.Flush(swap(t, s, stored, pack(t, stored, id, 4000, []byte("x")).Next), false)
	require.NoError(t, err)
	swap(t, s, load(t, s, id), flushed)
	require.Empty(t, load(t, s, id).Tip)
}

func packedTips(t testing.TB, h Harness) {
	s := h.Heads(t)
	for _, content := range [][]byte{
		[]byte("\"\\\b\f\n\r\t\x00\x1f\x7f\u2028\u2029<&>é\U0001f600"),
		{0xff, 0xfe},
		{},
		[]byte(strings.Repeat("z", head.MaxTip-600)),
	} {
		id := newAggregate()
		stored := swap(t, s, head.Head{}, pack(t, head.Head{}, id, head.MaxTip, content, nil).Next)
		require.NotEmpty(t, stored.Tip)
		requireHead(t, h.Heads(t), stored)
		all, err := load(t, s, id).TipChangesets()
		require.NoError(t, err)
		require.Equal(t, string(content), string(all[0].Content))
	}
}

func packedTombstone(t testing.TB, h Harness) {
	s, id := h.Heads(t), newAggregate()
	stored := swap(t, s, head.Head{}, pack(t, head.Head{}, id, -1, []byte("x")).Next)
	stored = swap(t, s, stored, pack(t, stored, id, 4000, []byte("secret")).Next)
	tombstone := swap(t, s, stored, link.Tombstone(stored))
	requireHead(t, h.Heads(t), tombstone)
	loaded := load(t, h.Heads(t), id)
	require.Empty(t, loaded.Tip)
	require.Zero(t, loaded.Index)
	_, err := s.Swap(t.Context(), tombstone, link.Fence(tombstone))
	requireNotApplied(t, err)
}

// packedTwins makes two records that a restored head can make: they agree in revision,
// reference and digest, and not in where the changesets are.
func packedTwins(t testing.TB, h Harness) {
	s, id := h.Heads(t), newAggregate()
	stored := swap(t, s, head.Head{}, pack(t, head.Head{}, id, 4000, []byte("x")).Next)
	_, flushed, err := link.Flush(stored, false)
	require.NoError(t, err)
	fenced := swap(t, s, stored, link.Fence(stored))
	require.Equal(t, flushed.Revision, fenced.Revision)
	refuse(t, s, flushed.WithToken(""), link.Fence(flushed), fenced)

	other := newAggregate()
	stored = swap(t, s, head.Head{}, pack(t, head.Head{}, other, 4000, []byte("x")).Next)
	_, flushed, err = link.Flush(stored, false)
	require.NoError(t, err)
	flushed = swap(t, s, stored, flushed)
	refuse(t, s, link.Fence(stored).WithToken(""), link.Fence(link.Fence(stored)), flushed)
	_, again, err := link.Flush(stored, false)
	require.NoError(t, err)
	require.NotEqual(t, again.Index, flushed.Index)
	refuse(t, s, again.WithToken(""), link.Fence(again), flushed)
}

func packedWinner(t testing.TB, h Harness) {
	s, id := h.Heads(t), newAggregate()
	stored := swap(t, s, head.Head{}, pack(t, head.Head{}, id, 4000, []byte("x")).Next)
	won := swap(t, s, stored, pack(t, stored, id, 4000, []byte("won")).Next)
	refuse(t, s, stored, pack(t, stored, id, 4000, []byte("lost")).Next, won)
	point := head.At(lastOf(t, won))
	_, err := s.Swap(t.Context(), point, link.Fence(won))
	requireNotApplied(t, err)
}

func packedKeepsUnknown(t testing.TB, h Harness) {
	if h.InjectUnknownField == nil {
		t.Skip("the harness cannot inject unknown fields")
	}
	s, id := h.Heads(t), newAggregate()
	swap(t, s, head.Head{}, pack(t, head.Head{}, id, 4000, []byte("x")).Next)
	h.InjectUnknownField(t, id)
	unknown := h.UnknownField
	if unknown == nil {
		unknown = func(t testing.TB, id string) string { return load(t, h.Heads(t), id).Extra() }
	}
	want, stored := unknown(t, id), load(t, s, id)
	require.NotEmpty(t, want)
	for _, tip := range []int{4000, -1, 4000} {
		stored = swap(t, s, stored, pack(t, stored, id, tip, []byte("x")).Next)
		require.Equal(t, want, unknown(t, id), "a tip of %d bytes", tip)
	}
	stored = swap(t, s, stored.WithToken(""), link.Fence(stored))
	swap(t, s, stored, link.Tombstone(stored))
	require.Equal(t, want, unknown(t, id), "of a tombstone")
}

func packedRefresh(t testing.TB, h Harness) {
	s, id := h.Heads(t), newAggregate()
	refresher := headsAs[head.Refresher](t, s)
	seen := swap(t, s, head.Head{}, pack(t, head.Head{}, id, 4000, []byte("x")).Next)
	got, err := refresher.Refresh(t.Context(), seen)
	require.NoError(t, err)
	require.Equal(t, seen, got)
	for _, tip := range []int{4000, -1, 4000} {
		stored := swap(t, s, load(t, s, id), pack(t, load(t, s, id), id, tip, []byte("y")).Next)
		got, err = refresher.Refresh(t.Context(), seen)
		require.NoError(t, err)
		requireRecord(t, stored, got)
	}
}

// lastOf returns the header of the newest changeset in a tip.
func lastOf(t testing.TB, h head.Head) changeset.Header {
	t.Helper()
	all, err := h.TipChangesets()
	require.NoError(t, err)
	return all[len(all)-1].Header
}
