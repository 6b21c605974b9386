package backendtest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
	"ropewalk/internal/link"
)

var tagChecks = []check{
	{"Tags: yields the tag of every head, each once, in the order of List", tagsYieldAll},
	{"Tags: begins after the aggregate ID in the order of List", tagsBeginAfter},
	{"Tags: each swap changes the tag of its head, and no other tag", tagsChange},
	{"Tags: a record that does not decode has a tag, which its repair changes", tagOfCorrupt},
	{"Tags: each odd aggregate ID has a tag of its own", tagsOfOddIDs},
	{"Tags: may be left early, and ranged over again", tagsMayBeLeft},
	{"Context: one that has ended is the one error of Tags", tagsUnderEndedContext},
	{"Context: one that ends while Tags is under way is its error", tagsCutShort},
}

// tagsOf returns all tags. Each aggregate must come once, with a tag.
func tagsOf(t testing.TB, tagger head.Tagger) map[string]string {
	t.Helper()
	tags := map[string]string{}
	for _, tag := range collect(t, tagger.Tags(t.Context(), "")) {
		require.Empty(t, tags[tag.AggregateID], "%q is listed twice", tag.AggregateID)
		require.NotEmpty(t, tag.Tag, "the tag of %q", tag.AggregateID)
		tags[tag.AggregateID] = tag.Tag
	}
	return tags
}

// tagged returns the aggregate IDs of tags.
func tagged(tags []head.Tag) []string {
	all := make([]string, len(tags))
	for i, tag := range tags {
		all[i] = tag.AggregateID
	}
	return all
}

func tagsYieldAll(t testing.TB, h Harness) {
	s := h.Heads(t)
	tagger := headsAs[head.Tagger](t, s)
	createMany(t, s, h.Listed)
	require.Equal(t, ids(collect(t, s.List(t.Context(), ""))), tagged(collect(t, tagger.Tags(t.Context(), ""))))
	require.Len(t, tagsOf(t, tagger), len(listedHeads(t, s)))
}

func tagsBeginAfter(t testing.TB, h Harness) {
	s := h.Heads(t)
	tagger := headsAs[head.Tagger](t, s)
	for _, c := range neighbours(t) {
		swap(t, s, head.Head{}, head.At(c.Header))
	}
	all := collect(t, tagger.Tags(t.Context(), ""))
	for _, i := range []int{0, 1, len(all) / 2, len(all) - 2, len(all) - 1} {
		after := all[i].AggregateID
		require.Equal(t, tagged(all[i+1:]), tagged(collect(t, tagger.Tags(t.Context(), after))), "after %q", after)
	}
}

func tagsChange(t testing.TB, h Harness) {
	s := h.Heads(t)
	tagger, another := headsAs[head.Tagger](t, s), headsAs[head.Tagger](t, h.Heads(t))
	stored, other := create(t, s), create(t, s)
	moved := func(h head.Head) head.Head {
		h = link.Fence(h)
		h.Checkpoint = "a" + h.Checkpoint
		return h
	}
	appended := func(h head.Head) head.Head { return next(t, h, h.AggregateID) }
	before := tagsOf(t, tagger)
	met := map[string]bool{before[stored.AggregateID]: true}
	for _, step := range []func(head.Head) head.Head{link.Fence, appended, moved, moved, link.Fence, link.Tombstone} {
		require.Equal(t, before[stored.AggregateID], tagsOf(t, another)[stored.AggregateID], "nothing was swapped")
		stored = swap(t, s, stored, step(stored))
		after := tagsOf(t, another)
		require.False(t, met[after[stored.AggregateID]], "a tag comes again at revision %d", stored.Revision)
		require.Equal(t, before[other.AggregateID], after[other.AggregateID])
		met[after[stored.AggregateID]], before = true, after
	}
}

func tagOfCorrupt(t testing.TB, h Harness) {
	if h.CorruptHead == nil {
		t.Skip("the harness cannot corrupt heads")
	}
	s := h.Heads(t)
	tagger := headsAs[head.Tagger](t, s)
	id := create(t, s).AggregateID
	repair := h.CorruptHead(t, id)
	corrupt := tagsOf(t, tagger)[id]
	repair()
	require.NotEmpty(t, corrupt)
	require.NotEqual(t, corrupt, tagsOf(t, tagger)[id])
}

func tagsOfOddIDs(t testing.TB, h Harness) {
	s := h.Heads(t)
	tagger := headsAs[head.Tagger](t, s)
	all := odd()
	for _, id := range all {
		old := load(t, s, id) // perhaps the head of an earlier run
		swap(t, s, old, next(t, old, id))
	}
	tags := tagsOf(t, tagger)
	for _, id := range all {
		require.NotEmpty(t, tags[id], "the tag of %q", id)
	}
}

func tagsMayBeLeft(t testing.TB, h Harness) {
	s := h.Heads(t)
	listing := headsAs[head.Tagger](t, s).Tags(t.Context(), "")
	createMany(t, s, 3)
	all := tagged(collect(t, listing))
	for _, n := range []int{1, 2, len(all) - 1, len(all)} {
		require.Equal(t, all[:n], tagged(take(t, n, listing)))
	}
	late := create(t, s)
	require.Contains(t, tagged(collect(t, listing)), late.AggregateID, "a second iteration lists again")
}

func tagsUnderEndedContext(t testing.TB, h Harness) {
	s := h.Heads(t)
	tagger := headsAs[head.Tagger](t, s)
	stored := create(t, s)
	for _, after := range []string{"", stored.AggregateID} {
		underEnded(t, func(ctx context.Context) error { return failure(t, tagger.Tags(ctx, after)) })
	}
}

func tagsCutShort(t testing.TB, h Harness) {
	s := h.Heads(t)
	tagger := headsAs[head.Tagger](t, s)
	createMany(t, s, 12)
	cutShort(t, func(ctx context.Context) error { return failure(t, tagger.Tags(ctx, "")) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	requireCancelled(t, cancel, tagger.Tags(ctx, ""))
}
