package backendtest

import (
	"context"

	"ropewalk/head"
	"ropewalk/internal/link"
)

var moveBreakages = []breakage{
	{moveLife, "Load loses where a head moves", loadAs(func(h head.Head) head.Head {
		if h.Move.Done {
			h.Move.Done = false
		}
		return h
	})},
	{moveLife, "Swap keeps the move of a head that is to stay", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if old.Move != (head.Move{}) && next.Move == (head.Move{}) {
				next.Revision--
				next = link.Move(next, old.Move)
			}
			return b.Store.Swap(ctx, old, next)
		}
	}},
	{moveConflicts, "Swap compares changesets, not revisions, of heads that move", swapIf(func(stored, old head.Head) bool {
		return stored.SameRecord(old) || stored.Move != (head.Move{}) && sameRef(stored, old)
	})},
}
