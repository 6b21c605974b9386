package backendtest

import (
	"context"
	"slices"

	"ropewalk/head"
)

var voidBreakages = []breakage{
	{voidLife, "Load takes a void head for no head", loadAs(existing)},
	{voidLife, "List leaves out void heads", listAs(func(all []head.Head) []head.Head {
		return slices.DeleteFunc(all, func(stored head.Head) bool { return stored.State == head.Void })
	})},
	{voidLife, "Swap fences changesets alone", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if next.State == head.Void && !old.IsZero() {
				return next, nil
			}
			return b.Store.Swap(ctx, old, next)
		}
	}},
	{voidOfExisting, "Swap takes a void head for no head", swapIf(func(stored, old head.Head) bool {
		return existing(stored).SameRecord(existing(old))
	})},
	{voidReplaced, "Swap keeps the format numbers of a void head", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if old.State == head.Void && next.Formats == (head.Formats{}) {
				next.Formats = head.Formats{Written: old.Formats.Written, MinReader: 1, MinWriter: 1}
			}
			return b.Store.Swap(ctx, old, next)
		}
	}},
	{voidReplaced, "Swap creates a head only if there is no record", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if stored, _ := b.Store.Load(ctx, next.AggregateID); old.State == head.Void && next.Exists() {
				return head.Head{}, &head.ConflictError{Winner: &stored}
			}
			return b.Store.Swap(ctx, old, next)
		}
	}},
	{voidConflicts, "Swap compares changesets, not revisions, of void heads", swapIf(func(stored, old head.Head) bool {
		return stored.SameRecord(old) || stored.State == head.Void && sameRef(stored, old)
	})},
	{voidConflicts, "Swap creates what was to be a void head", swapIf(func(stored, old head.Head) bool {
		return stored.SameRecord(old) || stored.IsZero() && old.State == head.Void
	})},
	{voidKeepsUnknown, "Swap drops the unknown fields of a void head", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if old.State == head.Void {
				next = next.WithExtra("")
			}
			return b.Store.Swap(ctx, old, next)
		}
	}},
	{logOfVoid, "void heads are logged", logMore(func(_, next head.Head, _ error) bool { return next.State == head.Void })},
	{logOfVoid, "the append after a void head is not logged", logLess(func(old, next head.Head) bool {
		return old.State == head.Void && next.Exists()
	})},
}

// existing returns a head as a store returns it that has no void heads.
func existing(h head.Head) head.Head {
	if h.State == head.Void {
		return head.Head{}
	}
	return h
}
