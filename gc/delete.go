package gc

import (
	"cmp"
	"context"
	"fmt"
	"iter"

	"golang.org/x/sync/errgroup"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/reserved"
)

// fence shuts the pending appends out, if it may. Afterwards none is pending.
func (a *collection) fence(ctx context.Context) error {
	for a.delete && a.head.State != head.Erased && a.has(pending) && !a.pendingPart() {
		from := a.head
		h, swapped, err := a.advance(ctx, from, a.fenceOf, func(h head.Head) bool { return h.Revision > from.Revision })
		if err != nil {
			return fmt.Errorf("fence: %w", err)
		}
		if swapped {
			a.report.Fenced = true
			a.options.Logger.InfoContext(ctx, "pending appends were fenced", "aggregate", a.id, "revision", h.Revision)
		}
		if err := a.moveTo(h); err != nil {
			return err
		}
		if err := a.decide(ctx); err != nil {
			return err
		}
	}
	return nil
}

// fenceOf returns the head that fences h, which may be the zero Head.
func (a *collection) fenceOf(h head.Head) head.Head {
	if h.IsZero() {
		return link.Void(a.id)
	}
	return link.Fence(h)
}

// deleteLost deletes the orphans that no swap can reach any longer.
func (a *collection) deleteLost(ctx context.Context) error {
	return a.deleteAll(ctx, func(yield func(changeset.Object, error) bool) {
		for _, s := range a.suspects {
			if s.fate == lost && !yield(s.Object, nil) {
				return
			}
		}
	})
}

// sweep deletes everything stored of an erased aggregate and of its snapshots.
func (a *collection) sweep(ctx context.Context) error {
	a.suspects, a.report.Seen = nil, Count{}
	for _, id := range []string{a.id, reserved.Snapshots(a.id)} {
		if err := a.deleteAll(ctx, a.remains(ctx, id)); err != nil {
			return err
		}
	}
	return nil
}

// remains yields what is stored of an erased aggregate, and counts it.
func (a *collection) remains(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
	return func(yield func(changeset.Object, error) bool) {
		for o, err := range a.changesets.Objects(ctx, aggregateID) {
			if err != nil {
				yield(o, fmt.Errorf("list changesets of %q: %w", aggregateID, err))
				return
			}
			a.report.Seen.add(o)
			a.report.Erased.add(o)
			a.progressed(1)
			if !yield(o, nil) {
				return
			}
		}
	}
}

// deleteAll deletes objects, several at once, if it may.
func (a *collection) deleteAll(ctx context.Context, objects iter.Seq2[changeset.Object, error]) error {
	before := a.report.Deleted
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(a.options.Parallel)
	failed := error(nil)
	for o, err := range objects {
		if failed = err; err != nil || inner.Err() != nil {
			break
		}
		if a.delete {
			group.Go(func() error { return a.deleteOne(inner, o) })
		}
	}
	failed = cmp.Or(group.Wait(), failed, ctx.Err())
	if n := a.report.Deleted.Objects - before.Objects; n > 0 {
		a.options.Logger.InfoContext(ctx, "objects were deleted", "aggregate", a.id, "objects", n, "bytes", a.report.Deleted.Bytes-before.Bytes)
	}
	return failed
}

func (a *collection) deleteOne(ctx context.Context, o changeset.Object) error {
	_, err := request(ctx, a.Collector, func() (struct{}, error) { return struct{}{}, a.changesets.Delete(ctx, o.Ref) })
	if err != nil {
		return fmt.Errorf("delete %s: %w", o.Ref, err)
	}
	a.counting.Lock()
	defer a.counting.Unlock()
	a.report.Deleted.add(o)
	return nil
}
