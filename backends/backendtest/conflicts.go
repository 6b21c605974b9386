package backendtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

var conflictChecks = []check{
	{"Swap: of no head, if a head exists, is a ConflictError and changes nothing", conflictOfCreate},
	{"Swap: of a head that does not exist is a ConflictError and changes nothing", conflictOfAbsent},
	{"Swap: of an earlier record, with its token or without, is a ConflictError and changes nothing", conflictOfEarlier},
	{"Swap: of another revision, version, changeset or digest is a ConflictError and changes nothing", conflictOfOther},
	{"Swap: repeated after it was applied is a ConflictError with its own record", conflictOfRepeated},
}

// refuse demands that the swap meets the stored head and leaves it alone.
func refuse(t testing.TB, s head.Store, old, next, stored head.Head) {
	t.Helper()
	_, err := s.Swap(t.Context(), old, next)
	requireConflict(t, err, stored)
	requireRecord(t, stored, load(t, s, next.AggregateID))
}

func conflictOfCreate(t testing.TB, h Harness) {
	s := h.Heads(t)
	stored := create(t, s)
	refuse(t, s, head.Head{}, next(t, head.Head{}, stored.AggregateID), stored)
	stored = swap(t, s, stored, next(t, stored, stored.AggregateID))
	refuse(t, h.Heads(t), head.Head{}, next(t, head.Head{}, stored.AggregateID), stored)
}

func conflictOfAbsent(t testing.TB, h Harness) {
	s := h.Heads(t)
	elsewhere := create(t, s)
	absent := head.At(full(t).Header)
	for _, old := range []head.Head{absent, absent.WithToken(elsewhere.Token())} {
		refuse(t, s, old, next(t, old, absent.AggregateID), head.Head{})
	}
	requireHead(t, s, elsewhere)
}

func conflictOfEarlier(t testing.TB, h Harness) {
	s := h.Heads(t)
	created := create(t, s)
	earlier := []head.Head{created, load(t, s, created.AggregateID)}
	stored := swap(t, s, created, next(t, created, created.AggregateID))
	earlier = append(earlier, stored)
	stored = swap(t, s, stored, link.Fence(stored))
	for _, old := range earlier {
		refuse(t, s, old, next(t, old, old.AggregateID), stored)
		refuse(t, h.Heads(t), old.WithToken(""), link.Fence(old), stored)
	}
	swap(t, s, stored, link.Fence(stored))
}

func conflictOfOther(t testing.TB, h Harness) {
	s := h.Heads(t)
	stored := create(t, s)
	stored = swap(t, s, stored, next(t, stored, stored.AggregateID))
	for name, change := range map[string]func(old *head.Head){
		"a later revision":    func(old *head.Head) { old.Revision++ },
		"an earlier revision": func(old *head.Head) { old.Revision-- },
		"another version":     func(old *head.Head) { old.Version-- },
		"another changeset":   func(old *head.Head) { old.ID = changeset.NewID() },
		"another digest":      func(old *head.Head) { old.Digest[31] ^= 1 },
	} {
		old, next := stored.WithToken(""), link.Fence(stored)
		change(&old)
		next.Revision = old.Revision + 1
		require.NoError(t, head.CheckSwap(old, next), name)
		refuse(t, s, old, next, stored)
	}
	swap(t, s, stored, link.Fence(stored))
}

func conflictOfRepeated(t testing.TB, h Harness) {
	s := h.Heads(t)
	created := next(t, head.Head{}, newAggregate())
	swap(t, s, head.Head{}, created)
	refuse(t, s, head.Head{}, created, created)
	stored := load(t, s, created.AggregateID)
	replaced := next(t, stored, stored.AggregateID)
	swap(t, s, stored, replaced)
	for _, s := range []head.Store{s, h.Heads(t)} {
		refuse(t, s, stored, replaced, replaced)
		refuse(t, s, stored.WithToken(""), replaced, replaced)
	}
}
