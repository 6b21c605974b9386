package backendtest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
	"ropewalk/internal/link"
)

var recordChecks = []check{
	{"Record: the largest there can be is kept", recordOfWorstCase},
	{"Record: the tombstone of an erased chain is kept, and never replaced", recordOfErased},
	{"Record: the format numbers of another version are kept", recordOfFormats},
	{"Record: a checkpoint is kept, replaced and taken away", recordOfCheckpoint},
	{"Record: unknown fields survive a rewrite", recordKeepsUnknown},
	{"Load, List: return DecodeJSON's errors for a record that does not decode", recordCorrupt},
	{"Swap: what CheckSwap refuses is a NotAppliedError and changes nothing", swapChecked},
}

func recordOfWorstCase(t testing.TB, h Harness) {
	s := h.Heads(t)
	stored := swap(t, s, head.Head{}, worstHead(t))
	requireHead(t, s, stored)
	stored = swap(t, s, stored, link.Fence(stored))
	stored = swap(t, s, stored.WithToken(""), link.Fence(stored))
	requireHead(t, h.Heads(t), stored)
	requireRecord(t, stored, listedHeads(t, s)[stored.AggregateID])
}

func recordOfErased(t testing.TB, h Harness) {
	s := h.Heads(t)
	stored := create(t, s)
	tombstone := link.Fence(stored)
	tombstone.State = head.Erased
	tombstone = swap(t, s, stored, tombstone)
	requireHead(t, h.Heads(t), tombstone)
	for _, next := range []head.Head{link.Fence(tombstone), next(t, tombstone, stored.AggregateID)} {
		_, err := s.Swap(t.Context(), tombstone, next)
		requireNotApplied(t, err)
	}
	requireHead(t, s, tombstone)
}

func recordOfFormats(t testing.TB, h Harness) {
	s := h.Heads(t)
	newer := next(t, head.Head{}, newAggregate())
	newer.Formats = head.Formats{Written: 3, MinReader: 1, MinWriter: 1}
	stored := swap(t, s, head.Head{}, newer)
	requireHead(t, s, newer)
	swap(t, s, stored, next(t, stored, stored.AggregateID))
	require.Equal(t, newer.Formats, load(t, h.Heads(t), stored.AggregateID).Formats)
}

func recordOfCheckpoint(t testing.TB, h Harness) {
	s := h.Heads(t)
	stored := create(t, s)
	largest := strings.Repeat("%&*+,-.=_~", head.MaxCheckpoint/10)
	for _, checkpoint := range []string{"a=1", largest, "0", "", "Z"} {
		old := stored
		moved := link.Fence(old)
		moved.Checkpoint = checkpoint
		stored = swap(t, s, old, moved)
		requireHead(t, h.Heads(t), stored)
		requireRecord(t, stored, listedHeads(t, s)[stored.AggregateID])
		refuse(t, s, old, link.Fence(old), stored)
	}
	stored = swap(t, s, stored.WithToken(""), next(t, stored, stored.AggregateID))
	require.Equal(t, "Z", load(t, s, stored.AggregateID).Checkpoint, "an append keeps it")
}

func recordKeepsUnknown(t testing.TB, h Harness) {
	if h.InjectUnknownField == nil {
		t.Skip("the harness cannot inject unknown fields")
	}
	s := h.Heads(t)
	aggregateID := create(t, s).AggregateID
	h.InjectUnknownField(t, aggregateID)
	stored := load(t, s, aggregateID)
	unknown := h.UnknownField
	if unknown == nil {
		unknown = func(t testing.TB, aggregateID string) string {
			extra := load(t, h.Heads(t), aggregateID).Extra()
			require.Equal(t, extra, listedHeads(t, s)[aggregateID].Extra())
			return extra
		}
	}
	want := unknown(t, aggregateID)
	require.NotEmpty(t, want)

	stored = swap(t, s, stored, link.Fence(stored))
	stored = swap(t, s, stored, next(t, stored, aggregateID))
	swap(t, s, stored.WithToken(""), link.Fence(stored))
	require.Equal(t, want, unknown(t, aggregateID))
}

func recordCorrupt(t testing.TB, h Harness) {
	if h.CorruptHead == nil {
		t.Skip("the harness cannot corrupt heads")
	}
	s := h.Heads(t)
	stored := create(t, s)
	defer h.CorruptHead(t, stored.AggregateID)()
	loaded, err := s.Load(t.Context(), stored.AggregateID)
	requireCorrupt(t, err)
	require.Zero(t, loaded)
	requireCorrupt(t, failure(t, s.List(t.Context(), "")))
}

func swapChecked(t testing.TB, h Harness) {
	s := h.Heads(t)
	stored := create(t, s)
	stored = swap(t, s, stored, next(t, stored, stored.AggregateID))
	erased, absent := stored, newAggregate()
	erased.State = head.Erased
	change := func(change func(next *head.Head)) head.Head {
		next := link.Fence(stored)
		change(&next)
		return next
	}
	refused := map[string]struct{ old, next head.Head }{
		"nothing":           {stored, head.Head{}},
		"the same revision": {stored, stored},
		"a lower revision":  {stored, change(func(next *head.Head) { next.Revision -= 2 })},
		"another aggregate": {stored, change(func(next *head.Head) { next.AggregateID = absent })},
		"a lower version":   {stored, lower(t, stored)},
		"an unknown state":  {stored, change(func(next *head.Head) { next.State = "lost" })},
		"an erased chain":   {erased, link.Fence(erased)},
		"a newer writer's":  {stored, change(func(next *head.Head) { next.Formats = head.Formats{Written: 3, MinReader: 1, MinWriter: 3} })},
	}
	for name, r := range refused {
		require.Error(t, head.CheckSwap(r.old, r.next), name)
		_, err := s.Swap(t.Context(), r.old, r.next)
		require.False(t, requireNotApplied(t, err).Retryable, name)
		requireHead(t, s, stored)
	}
	require.Zero(t, load(t, s, absent))
	swap(t, s, stored, link.Fence(stored))
}

// lower returns a record that follows stored except for its version.
func lower(t testing.TB, stored head.Head) head.Head {
	t.Helper()
	h := next(t, head.Head{}, stored.AggregateID)
	h.Revision = stored.Revision + 1
	require.Less(t, h.Version, stored.Version)
	return h
}
