package backendtest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

var objectsChecks = []check{
	{"Objects: yields every object, committed and orphaned, each once, in the order of versions", objectsYieldsAll},
	{"Objects: yields nothing for an aggregate without objects", objectsOfNone},
	{"Objects: yields no other aggregate's objects", objectsOfOneAggregate},
	{"Objects: tells size and time of each object as Stat does", objectsTellSizeAndTime},
	{"Objects: may be left early, and ranged over again", objectsMayBeLeft},
	{"Objects: leaves out what is not named as a changeset", objectsLeaveForeignOut},
	{"Objects: a context that ends on the way is its one error", objectsCancelled},
}

// forked builds a chain of n objects of one aggregate, with an orphan beside
// every third changeset, in the order of their names.
func forked(t testing.TB, n int) []changeset.Changeset {
	t.Helper()
	aggregateID := newAggregate()
	var after head.Head
	var all []changeset.Changeset
	for len(all) < n {
		cs, committed := extend(t, after, aggregateID, changeset.Draft{Content: noise(int64(len(all)))})
		if len(all)%4 == 2 {
			orphan, _ := extend(t, after, aggregateID, changeset.Draft{Content: []byte("orphan")})
			cs = append(cs, orphan...)
		}
		all = append(all, cs...)
		after = committed
	}
	slices.SortFunc(all, func(a, b changeset.Changeset) int { return strings.Compare(a.ObjectName(), b.ObjectName()) })
	return all
}

func refs(cs []changeset.Changeset) []changeset.Ref {
	all := make([]changeset.Ref, len(cs))
	for i, c := range cs {
		all[i] = c.Ref
	}
	return all
}

func objectRefs(objects []changeset.Object) []changeset.Ref {
	all := make([]changeset.Ref, len(objects))
	for i, o := range objects {
		all[i] = o.Ref
	}
	return all
}

func objectsYieldsAll(t testing.TB, h Harness) {
	s := h.Changesets(t)
	lister := as[changeset.Lister](t, s)
	all := forked(t, h.Listed)
	putAll(t, s, all)
	require.Equal(t, refs(all), objectRefs(collect(t, lister.Objects(t.Context(), all[0].AggregateID))))
}

func objectsOfNone(t testing.TB, h Harness) {
	lister := as[changeset.Lister](t, h.Changesets(t))
	require.Empty(t, collect(t, lister.Objects(t.Context(), newAggregate())))
}

func objectsOfOneAggregate(t testing.TB, h Harness) {
	s := h.Changesets(t)
	lister := as[changeset.Lister](t, s)
	cs := neighbours(t)
	put(t, s, cs...)
	for _, c := range cs {
		require.Equal(t, []changeset.Ref{c.Ref}, objectRefs(collect(t, lister.Objects(t.Context(), c.AggregateID))))
	}
}

// neighbours builds changesets of aggregates whose IDs are prefixes of one
// another, in the order of their percent-encoded form. Names below a folder
// would sort differently: "-" and "%" come before "/", "~" comes after it.
func neighbours(t testing.TB) []changeset.Changeset {
	t.Helper()
	base := newAggregate()
	var cs []changeset.Changeset
	for _, end := range []string{"", "!", ".", "/", "/a", "-", "-a", "0", "A", "_", "a", "~"} {
		cs = append(cs, first(t, base+end, []byte(end)))
	}
	return cs
}

func objectsTellSizeAndTime(t testing.TB, h Harness) {
	s := h.Changesets(t)
	lister := as[changeset.Lister](t, s)
	all := forked(t, 4)
	put(t, s, all...)
	objects := collect(t, lister.Objects(t.Context(), all[0].AggregateID))
	require.Len(t, objects, len(all))
	for i, o := range objects {
		info, err := s.Stat(t.Context(), o.Ref)
		require.NoError(t, err)
		require.Equal(t, all[i].BodySize, o.Size)
		require.WithinDuration(t, info.LastModified, o.LastModified, time.Second, "to the second, as HTTP dates are")
	}
}

func objectsMayBeLeft(t testing.TB, h Harness) {
	s := h.Changesets(t)
	lister := as[changeset.Lister](t, s)
	all := forked(t, 12)
	put(t, s, all...)
	objects := lister.Objects(t.Context(), all[0].AggregateID)
	for _, n := range []int{1, 2, len(all) - 1, len(all)} {
		require.Equal(t, refs(all)[:n], objectRefs(take(t, n, objects)))
	}
	late := first(t, all[0].AggregateID, nil)
	put(t, s, late)
	require.Contains(t, objectRefs(collect(t, objects)), late.Ref, "a second iteration lists again")
}

func objectsLeaveForeignOut(t testing.TB, h Harness) {
	if h.PutForeign == nil {
		t.Skip("the harness cannot put foreign objects")
	}
	s := h.Changesets(t)
	lister := as[changeset.Lister](t, s)
	c := full(t)
	put(t, s, c)
	for _, end := range []string{"/README", "/0-" + c.ID.String(), "/x/y"} {
		h.PutForeign(t, strings.TrimSuffix(changeset.FolderOf(c.AggregateID), "/")+end)
	}
	require.Equal(t, []changeset.Ref{c.Ref}, objectRefs(collect(t, lister.Objects(t.Context(), c.AggregateID))))
}

func objectsCancelled(t testing.TB, h Harness) {
	s := h.Changesets(t)
	lister := as[changeset.Lister](t, s)
	all := forked(t, 12)
	put(t, s, all...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	requireCancelled(t, cancel, lister.Objects(ctx, all[0].AggregateID))
}
