package backendtest

import (
	"context"
	"errors"
	"slices"

	"ropewalk/changeset"
	"ropewalk/head"
)

// unpacked is how a backend names an object that takes no notice of its range.
func unpacked(ref changeset.Ref) changeset.Ref {
	ref.Count = 0
	return ref
}

var packBreakages = []breakage{
	{packsRoundTrip, "Put stores bodies decoded", func(b *broken) {
		b.get = func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
			c, err := b.Store.Get(ctx, ref, admission)
			c.Encoding = ""
			return c, err
		}
	}},
	{packsRoundTrip, "Stat drops the index of an object", func(b *broken) {
		b.stat = func(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
			info, err := b.Store.Stat(ctx, ref)
			info.Pack = nil
			return info, err
		}
	}},
	{packsAreNamedByTheirRange, "objects are named by their last version alone", func(b *broken) {
		find := func(ctx context.Context, ref changeset.Ref) changeset.Ref {
			for o := range b.Store.Objects(ctx, ref.AggregateID) {
				if unpacked(o.Ref) == unpacked(ref) {
					return o.Ref
				}
			}
			return ref
		}
		b.get = func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
			return b.Store.Get(ctx, find(ctx, ref), admission)
		}
	}},
	{packsOfMany, "GetMany leaves packs out", func(b *broken) {
		intact := b.getMany
		b.getMany = func(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
			return intact(ctx, slices.DeleteFunc(slices.Clone(refs), changeset.Ref.IsPacked), admission)
		}
	}},
	{packsAreListed, "Objects leaves packs out", objectsAs(func(all []changeset.Object) []changeset.Object {
		return slices.DeleteFunc(all, func(o changeset.Object) bool { return o.Ref.IsPacked() })
	})},
	{packsAreListed, "Objects orders packs by their last version", objectsAs(func(all []changeset.Object) []changeset.Object {
		slices.SortStableFunc(all, func(a, b changeset.Object) int { return int(a.Version) - int(b.Version) })
		return all
	})},
	{packsAreDeleted, "Delete removes no packs", func(b *broken) {
		b.remove = func(ctx context.Context, ref changeset.Ref) error {
			if ref.IsPacked() {
				return nil
			}
			return b.Store.Delete(ctx, ref)
		}
	}},
}

var packedHeadBreakages = []breakage{
	{packedLife, "Swap drops the checkpoint of a packed head", swapAs(func(next *head.Head) {
		if next.IsPacked() {
			next.Checkpoint = ""
		}
	})},
	{packedLife, "List drops tips", listAs(each(func(stored *head.Head) { stored.Tip = "" }))},
	{packedAfterFormat1, "Load forgets the ancestors below a tip", loadAs(func(stored head.Head) head.Head {
		if stored.IsPacked() {
			stored.Ancestors = changeset.Index{}
		}
		return stored
	})},
	{packedTips, "Swap refuses a tip above 64 KiB", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if len(next.Tip) > 64<<10 {
				return head.Head{}, &head.NotAppliedError{Err: errors.New("too large")}
			}
			return b.Store.Swap(ctx, old, next)
		}
	}},
	{packedTombstone, "Load keeps the tip of an erased chain", keepTip},
	{packedTwins, "Swap does not test the object index", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			stored, err := b.Store.Load(ctx, next.AggregateID)
			if err == nil && stored.Ref == old.Ref && stored.Revision == old.Revision && stored.Digest == old.Digest {
				old = stored
			}
			return b.Store.Swap(ctx, old, next)
		}
	}},
	{packedWinner, "Swap replaces points", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if old.IsPoint() {
				return write(b, next)
			}
			return b.Store.Swap(ctx, old, next)
		}
	}},
	{packedWinner, "a conflict names a winner without its tip", failAs(func(err error, _, _ head.Head) error {
		if conflict, ok := errors.AsType[*head.ConflictError](err); ok && conflict.Winner != nil {
			winner := *conflict.Winner
			winner.Tip = ""
			return &head.ConflictError{Winner: &winner}
		}
		return err
	})},
	{packedKeepsUnknown, "Swap keeps unknown fields of format 1 alone", swapAs(func(next *head.Head) {
		if next.IsPacked() {
			*next = next.WithExtra("")
		}
	})},
	{packedKeepsUnknown, "Swap forgets unknown fields with the tip", swapAs(func(next *head.Head) {
		if next.State == head.Erased {
			*next = next.WithExtra("")
		}
	})},
	{packedRefresh, "Refresh brings no tip", func(b *broken) {
		b.refresh = func(ctx context.Context, seen head.Head) (head.Head, error) {
			stored, err := b.Store.Load(ctx, seen.AggregateID)
			if stored.Tip != seen.Tip {
				stored.Tip = ""
			}
			return stored, err
		}
	}},
}

// keepTip makes Load report the tip that a tombstone has replaced.
func keepTip(b *broken) {
	b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
		if next.State == head.Erased {
			b.shared.kept.Store(next.AggregateID, old.Tip)
		}
		return b.Store.Swap(ctx, old, next)
	}
	b.load = func(ctx context.Context, aggregateID string) (head.Head, error) {
		stored, err := b.Store.Load(ctx, aggregateID)
		if tip, ok := b.shared.kept.Load(aggregateID); ok {
			stored.Tip = tip.(string)
		}
		return stored, err
	}
}
