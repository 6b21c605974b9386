package ropewalk

import (
	"context"
	"fmt"

	"ropewalk/head"
)

// Refresh returns the chain's present head, given one that was read before: by
// one request as [Chain.Head], but where nothing has changed, and the storage
// of the heads can tell so ([head.Refresher]), without sending the record
// again. The zero Head may be given, too. An unchanged head is returned as it
// was given.
//
// Its errors are those of [Chain.Head]; it matches [ErrHeadLost] where the head
// is older than the one that was read before.
func (c *Chain) Refresh(ctx context.Context, seen head.Head) (head.Head, error) {
	if seen.Exists() && seen.AggregateID != c.id {
		return head.Head{}, fmt.Errorf("the head belongs to %q, not to %q", seen.AggregateID, c.id)
	}
	h, err := c.reload(ctx, seen)
	if err == nil && !h.Exists() {
		err = fmt.Errorf("chain %q: %w", c.id, ErrNotFound)
	}
	return h, err
}

// reload is load for a head that may be the same as the one seen before.
func (c *Chain) reload(ctx context.Context, seen head.Head) (head.Head, error) {
	h, err := c.loadUnless(ctx, seen)
	if err == nil && h.Revision < seen.Revision {
		err = fmt.Errorf("chain %q: %w: it was at revision %d, and is at %d", c.id, ErrHeadLost, seen.Revision, h.Revision)
	}
	return h, err
}

func (c *Chain) loadUnless(ctx context.Context, seen head.Head) (head.Head, error) {
	refresher, ok := c.store.heads.(head.Refresher)
	if !ok || seen.Token() == "" {
		return c.load(ctx)
	}
	return c.loaded(refresher.Refresh(ctx, seen))
}
