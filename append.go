package ropewalk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
)

// Create appends the first changesets of a chain that must not exist yet: it
// is [Chain.Append] after the zero Head.
func (c *Chain) Create(ctx context.Context, drafts ...changeset.Draft) (head.Head, error) {
	return c.Append(ctx, head.Head{}, drafts...)
}

// Append adds one changeset for each draft, all or none, after the head that
// the caller has read, and returns the head of this append, ready for the next
// one. It takes two round trips where nothing goes wrong: the objects are put,
// all at once, and then the head is swapped.
//
// A context that ends before the swap is sent ends the append with its own
// error. After that the append outlives its context until the outcome is known,
// for [Options.SettleTimeout] at most. Without a deadline it waits for its swap
// and then for the outcome, twice that time at most: 20 seconds by default.
//
// With a command ID an append is idempotent: repeated after the same head, by
// whomever and whenever, it returns the head of the first time, and what was
// stored then stands; the contents need not be equal. Where an [Appender] has
// made it, together with other callers' changesets behind it, that head is one
// within an append: it can be read at, and an append after it is a conflict.
//
// Its errors report the outcome:
//   - [*ConflictError]: refused for good; another append came first.
//   - [*UncertainError]: unknown so far; [Chain.Settle] finds out.
//   - [ErrHeadLost], [ErrErased]: the storage is not as the head says.
//   - [ErrInvalidDraft], [ErrTooLarge], [ErrInvalidAggregateID],
//     [ErrUnsupportedFormat]: nothing was sent.
//   - any other: nothing was committed, and nothing ever will be.
func (c *Chain) Append(ctx context.Context, after head.Head, drafts ...changeset.Draft) (head.Head, error) {
	if err := c.checkDrafts(after, drafts); err != nil {
		return head.Head{}, err
	}
	if after.Within() {
		return head.Head{}, c.refuseWithin(ctx, after)
	}
	encoded := body.Drafts(drafts, c.store.options.Compress)
	for {
		a, err := c.prepare(after, encoded)
		if err != nil {
			return head.Head{}, err
		}
		if err := c.put(ctx, a.changesets); err != nil {
			return head.Head{}, fmt.Errorf("append to %q: %w", c.id, err)
		}
		got, err := a.commit(ctx)
		fence, ok := errors.AsType[*fencedError](err)
		if !ok {
			return got, err
		}
		// These objects are shut out for good; the expected changeset is still
		// the newest, so the caller's decision stands: build it again.
		c.store.options.Logger.InfoContext(ctx, "append was fenced, building it again", "ref", a.last())
		after = fence.head
	}
}

func (c *Chain) checkDrafts(after head.Head, drafts []changeset.Draft) error {
	if changeset.IsReserved(c.id) {
		return fmt.Errorf("%w: %q: a leading $ is reserved for the library's own chains", ErrInvalidAggregateID, c.id)
	}
	if after.State == head.Erased {
		return fmt.Errorf("chain %q: %w", c.id, ErrErased)
	}
	for i, d := range drafts {
		if n := int64(len(d.Content)); n > c.store.options.MaxContentSize {
			return fmt.Errorf("draft %d: %w: %d bytes, more than %d", i+1, ErrTooLarge, n, c.store.options.MaxContentSize)
		}
	}
	return nil
}

// refuseWithin refuses an append after a changeset within an append, of
// [Chain.HeadAt]: it comes too late by the rest of that append at least.
func (c *Chain) refuseWithin(ctx context.Context, after head.Head) error {
	h, err := c.load(ctx)
	if err != nil {
		return err
	}
	if h.Version <= after.Version {
		return c.lost(after, h)
	}
	return &ConflictError{Expected: after, Actual: h}
}

// prepare builds the append's changesets and the head that commits them.
func (c *Chain) prepare(after head.Head, drafts []body.Draft) (*attempt, error) {
	built, next, err := head.ExtendBatch(after, c.id, [][]body.Draft{drafts}, time.Now())
	if err != nil {
		return nil, err
	}
	return &attempt{chain: c, changesets: built, old: after, next: next, commandID: built[0].CommandID}, nil
}
