package gc

import (
	"context"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/reserved"
)

// maxSweeps is how many listings an erasure makes to see that nothing is left:
// each finds what appends that were under way have put in the meantime.
const maxSweeps = 10

// Erase deletes the history of an aggregate for good, even without
// [Options.Delete]: first it swaps the head to a tombstone, which stays and
// shuts out every append in flight; then it deletes all objects of the aggregate
// and of its snapshots, until a listing finds none. It may be interrupted at
// every step, and repeated at any time: a tombstone is left as it is, and the
// remaining objects are deleted. Objects that an append in flight puts even
// later are deleted by [Collector.Collect].
//
// The tombstone keeps the aggregate's ID, its last version and digest, and old
// versions of objects in a versioned bucket, soft-deleted ones, and backups are
// out of reach.
//
// If the head is void ([head.Void]), or there are objects but no head and
// [Options.Void] is set, nothing was ever committed. Then the appends in flight are
// shut out by a void head instead of a tombstone, and the objects are deleted. A later
// append creates the aggregate.
//
// Its error matches [changeset.ErrNotFound] if there is no head: without [Options.Void],
// objects without a head are left alone, since they may still become a chain. It matches
// ropewalk.ErrHeadLost if the objects show that there was a head. Otherwise it returns
// the errors of [Collector.Collect].
func (c *Collector) Erase(ctx context.Context, aggregateID string) (Report, error) {
	if err := checkID(ctx, aggregateID); err != nil {
		return Report{AggregateID: aggregateID}, err
	}
	a := c.newCollection(aggregateID)
	a.delete = true
	err := a.erase(ctx)
	a.tally()
	if err != nil {
		err = fmt.Errorf("erase %q: %w", aggregateID, err)
	}
	return a.report, err
}

// erase swaps the head to its tombstone and sweeps.
func (a *collection) erase(ctx context.Context) error {
	h, err := a.load(ctx, a.id)
	if err != nil {
		return err
	}
	if a.head = h; h.IsZero() && !a.options.Void {
		return a.refuse(ctx)
	}
	if !h.Exists() {
		if err := a.eraseUncommitted(ctx); err != nil || !a.head.Exists() {
			return err
		}
		h, a.report = a.head, Report{AggregateID: a.id, Deleted: a.report.Deleted} // an append was faster
	}
	isErased := func(h head.Head) bool { return h.State == head.Erased }
	if h, _, err = a.advance(ctx, h, link.Tombstone, isErased); err != nil {
		return fmt.Errorf("swap to the tombstone: %w", err)
	}
	a.head = h
	a.options.Logger.InfoContext(ctx, "head is a tombstone", "aggregate", a.id, "revision", h.Revision)
	var seen Count
	for range maxSweeps {
		err := a.sweep(ctx)
		found := a.report.Seen
		seen = seen.Plus(found)
		if a.report.Seen = seen; err != nil || found.Objects == 0 {
			return err
		}
	}
	return fmt.Errorf("the head is a tombstone, but new objects were found after each of %d sweeps: repeat it when no append is under way", maxSweeps)
}

// eraseUncommitted deletes the objects of an aggregate of which nothing was committed,
// by the rules of a collection: a void head shuts the appends in flight out.
func (a *collection) eraseUncommitted(ctx context.Context) error {
	a.grace, a.patience, a.parts = -1, 0, true
	if err := a.collect(ctx); err != nil || a.head.Exists() {
		return err
	}
	for _, s := range a.suspects {
		if s.fate == unreadable {
			return fmt.Errorf("%s does not decode, and was left alone: remove it by hand", s.Ref)
		}
	}
	return a.deleteAll(ctx, a.remains(ctx, reserved.Snapshots(a.id)))
}

// refuse says what to do where there is no head to erase.
func (a *collection) refuse(ctx context.Context) error {
	for _, err := range a.changesets.Objects(ctx, a.id) {
		if err != nil {
			return fmt.Errorf("list changesets: %w", err)
		}
		return fmt.Errorf("%w: it has no head, but it has objects: rebuild its head, or append to it, and erase it then", changeset.ErrNotFound)
	}
	return changeset.ErrNotFound
}
