package head_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

func TestCheckSwap(t *testing.T) {
	old := headAt("order-4711", 7)
	next := headAt("order-4711", 8) // one revision on, as headAt counts them
	first := headAt("order-4711", 0)
	first.Revision = 1
	for _, next := range []head.Head{next, link.Fence(old), link.Fence(link.Fence(old)), link.Tombstone(old)} {
		require.NoError(t, head.CheckSwap(old, next))
	}
	for _, next := range []head.Head{first, next} { // a head may be rebuilt
		require.NoError(t, head.CheckSwap(head.Head{}, next))
	}

	for reason, change := range map[string]func(old, next *head.Head){
		"revision 10 does not follow 10": func(_, next *head.Head) { next.Revision-- },
		"revision 9 does not follow 10":  func(_, next *head.Head) { next.Revision -= 2 },
		`cannot follow the head of`:      func(old, _ *head.Head) { old.AggregateID = "order-4712" },
		"version 6 cannot follow 7":      func(_, next *head.Head) { *next = headAt("order-4711", 6); next.Revision = 11 },
		"the chain is erased":            func(old, _ *head.Head) { old.State = head.Erased },
		"a point of the history":         func(old, _ *head.Head) { *old = head.NewPoint(old.Ref, old.Digest, old.Revision, old.UpdatedAt) },
		"revision is 0":                  func(_, next *head.Head) { next.Revision = 0 },
		"changeset ID is missing":        func(_, next *head.Head) { next.ID = changeset.ID{} },
		"invalid aggregate ID":           func(_, next *head.Head) { *next = head.Head{} },
		"unsupported format":             func(_, next *head.Head) { next.Formats = head.Formats{Written: 3, MinReader: 1, MinWriter: 3} },
	} {
		old, next := old, next
		change(&old, &next)
		requireNotApplied(t, head.CheckSwap(old, next), reason)
	}
}

func TestErrorsOfASwap(t *testing.T) {
	winner := headAt("order-4711", 7)
	require.EqualError(t, &head.ConflictError{}, "the head has changed")
	require.EqualError(t, &head.ConflictError{Winner: &head.Head{}}, "the head does not exist")
	require.EqualError(t, &head.ConflictError{Winner: &winner}, "the head is "+winner.String()+" at revision 10")
	cause := errors.New("throttled")
	err := error(&head.NotAppliedError{Retryable: true, Err: cause})
	require.ErrorIs(t, err, cause)
	require.EqualError(t, err, "head not swapped: throttled")
}

func TestHeadsAsValues(t *testing.T) {
	h := headAt("order-4711", 7).WithToken("etag").WithExtra(`{"x":1}`)
	require.True(t, h.Exists())
	require.False(t, head.Head{}.Exists())
	require.Equal(t, "etag", h.Token())
	require.Equal(t, `{"x":1}`, h.Extra())

	fenced := link.Fence(h)
	require.Equal(t, h.Revision+1, fenced.Revision)
	require.False(t, h.SameRecord(fenced))
	fenced.Revision = h.Revision
	require.Equal(t, h, fenced, "a fence changes nothing else")

	require.True(t, h.SameRecord(h.WithToken("other").WithExtra("")))
	for _, change := range []func(*head.Head){
		func(h *head.Head) { h.AggregateID = "x" },
		func(h *head.Head) { h.Version++ },
		func(h *head.Head) { h.ID = id(1) },
		func(h *head.Head) { h.Digest[31]++ },
		func(h *head.Head) { h.Revision++ },
	} {
		other := h
		change(&other)
		require.False(t, h.SameRecord(other))
	}
}

func TestVerifyNewest(t *testing.T) {
	var c chain
	c.append(t, noon, make([]changeset.Draft, 3)...)
	newest := c.changesets[2].Header
	require.NoError(t, c.head.VerifyNewest(newest))
	require.NoError(t, link.Fence(c.head).VerifyNewest(newest), "a fence moves the revision on")
	for reason, change := range map[string]func(*head.Head){
		"it names":       func(h *head.Head) { h.Version++ },
		"its digest":     func(h *head.Head) { h.Digest[0]++ },
		"ancestor index": func(h *head.Head) { h.Ancestors = h.Ancestors.Push(id(1)) },
		"revision 0":     func(h *head.Head) { h.Revision = 0 },
		"updated-at":     func(h *head.Head) { h.UpdatedAt = h.UpdatedAt.Add(time.Nanosecond) },
	} {
		h := c.head
		change(&h)
		err := h.VerifyNewest(newest)
		var corrupt *changeset.CorruptError
		require.ErrorAs(t, err, &corrupt)
		require.Equal(t, changeset.Ref{AggregateID: "order-4711"}, corrupt.Ref)
		require.Contains(t, corrupt.Reason, reason)
	}
}
