package backendtest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
)

var packChecks = []check{
	{"Put, Get, Stat: an object of a packed chain is what was put", packsRoundTrip},
	{"Put: an object of a packed chain and a changeset of its ID are two objects", packsAreNamedByTheirRange},
	{"GetMany: returns objects of packed chains and of format 1", packsOfMany},
	{"Objects: yields objects of both formats in the order of their names", packsAreListed},
	{"Delete: removes an object of a packed chain, and no other", packsAreDeleted},
}

// packedLayout stores appends of a packed chain: everything in objects, or as much as
// fits in the tip.
func packedLayout(tip int) link.Layout { return link.Layout{Packed: true, Tip: tip, Compress: true} }

// pack builds an append to a packed chain.
func pack(t testing.TB, after head.Head, aggregateID string, tip int, contents ...[]byte) link.Append {
	t.Helper()
	drafts := make([]changeset.Draft, len(contents))
	for i, content := range contents {
		drafts[i] = changeset.Draft{Content: content, ContentType: "application/json; charset=utf-8", CommandID: "pack/é 1", Metadata: map[string]string{"k": "1=2&3"}}
	}
	a, err := link.Build(after, aggregateID, [][]body.Draft{body.Drafts(drafts, false)}, time.Now(), packedLayout(tip))
	require.NoError(t, err)
	return a
}

// packs builds the objects of a chain that begins in format 1: changesets, objects of
// lines, compressed or not, with one line and with many, and an object that is one
// changeset. It returns them in the order of their names, with orphans beside.
func packs(t testing.TB) []changeset.Changeset {
	t.Helper()
	id := newAggregate()
	all, h := extend(t, head.Head{}, id, changeset.Draft{Content: []byte("zero")}, changeset.Draft{Content: []byte("one")})
	for _, contents := range [][][]byte{
		{noise(10), []byte("\"\\\n\x01\u2028<é>"), {}},
		{[]byte(strings.Repeat(`{"type":"paid"}`, 100))},
		{noise(link.MaxLine + 1)},
		slices.Repeat([][]byte{[]byte("x")}, changeset.MaxPerAppend),
	} {
		a := pack(t, h, id, -1, contents...)
		orphan := pack(t, h, id, -1, slices.Repeat([][]byte{[]byte("of another range")}, 6)...)
		all = append(append(all, a.Objects...), orphan.Objects...)
		h = a.Next
	}
	slices.SortFunc(all, func(a, b changeset.Changeset) int { return strings.Compare(a.ObjectName(), b.ObjectName()) })
	for i := range all {
		all[i].Content = nil
	}
	return all
}

func packsRoundTrip(t testing.TB, h Harness) {
	s := h.Changesets(t)
	for _, c := range packs(t) {
		put(t, s, c)
		got, err := s.Get(t.Context(), c.Ref, nil)
		require.NoError(t, err)
		require.Equal(t, c, got)
		info, err := s.Stat(t.Context(), c.Ref)
		require.NoError(t, err)
		require.Equal(t, c.Header, info.Header)
	}
}

// packsAreNamedByTheirRange: the ID of an object is often the ID of its last changeset.
func packsAreNamedByTheirRange(t testing.TB, h Harness) {
	s := h.Changesets(t)
	all := packs(t)
	at := slices.IndexFunc(all, func(c changeset.Changeset) bool { return c.Count > 1 })
	put(t, s, all[at])
	for _, ref := range []changeset.Ref{
		{AggregateID: all[at].AggregateID, Version: all[at].Version, ID: all[at].ID},
		{AggregateID: all[at].AggregateID, Version: all[at].Version, ID: all[at].ID, Count: all[at].Count - 1},
	} {
		_, err := s.Get(t.Context(), ref, nil)
		require.ErrorIs(t, err, changeset.ErrNotFound)
		_, err = s.Stat(t.Context(), ref)
		require.ErrorIs(t, err, changeset.ErrNotFound)
	}
}

func packsOfMany(t testing.TB, h Harness) {
	s := h.Changesets(t)
	many := as[changeset.ManyGetter](t, s)
	all := packs(t)
	put(t, s, all...)
	got, err := many.GetMany(t.Context(), refs(all), nil)
	require.NoError(t, err)
	require.ElementsMatch(t, all, got)
}

func packsAreListed(t testing.TB, h Harness) {
	s := h.Changesets(t)
	lister := as[changeset.Lister](t, s)
	all := packs(t)
	put(t, s, all...)
	listed := collect(t, lister.Objects(t.Context(), all[0].AggregateID))
	require.Equal(t, refs(all), objectRefs(listed))
	for i, o := range listed {
		require.Equal(t, all[i].BodySize, o.Size)
	}
}

func packsAreDeleted(t testing.TB, h Harness) {
	s := h.Changesets(t)
	lister, deleter := as[changeset.Lister](t, s), as[changeset.Deleter](t, s)
	all := packs(t)
	put(t, s, all...)
	for i, c := range all {
		require.NoError(t, deleter.Delete(t.Context(), c.Ref))
		require.Equal(t, refs(all[i+1:]), objectRefs(collect(t, lister.Objects(t.Context(), c.AggregateID))))
	}
}
