package gc

import (
	"context"
	"errors"
	"fmt"

	"ropewalk"
	"ropewalk/head"
	"ropewalk/internal/pause"
)

// maxSwaps is how often a swap is tried: each conflict means that an append
// came first, and each unknown outcome is looked up.
const maxSwaps = 100

// maxStalls is how many of these may leave the head as it was, one after
// another: about half a minute of pauses.
const maxStalls = 20

// advance swaps the head to what next makes of it, until a head satisfies done,
// made by this or another process. It returns the last head, and whether one of
// its own swaps is known to have made it.
func (c *Collector) advance(ctx context.Context, h head.Head, next func(head.Head) head.Head, done func(head.Head) bool) (head.Head, bool, error) {
	pauses := pause.New()
	var cause error
	swapped := false
	for try, stalls := 0, 0; !done(h); try++ {
		if try == maxSwaps || stalls == maxStalls {
			return h, false, fmt.Errorf("no swap has succeeded, %d were tried: %w", try, cause)
		}
		now, err := c.swap(ctx, h, next(h))
		if swapped = err == nil; err != nil {
			cause = err
			if now, err = c.look(ctx, h, err); err != nil {
				return h, false, err
			}
		}
		if stalls++; !now.SameRecord(h) {
			stalls = 0
		} else if err := pauses.Wait(ctx); err != nil {
			return h, false, errors.Join(err, cause)
		}
		h = now
	}
	return h, swapped, nil
}

func (c *Collector) swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	return request(ctx, c, func() (head.Head, error) { return c.heads.Swap(ctx, old, next) })
}

// look returns the head as it is after a swap that has failed or whose outcome
// is unknown. It returns an error if trying again cannot help.
func (c *Collector) look(ctx context.Context, old head.Head, failed error) (head.Head, error) {
	refused, ok := errors.AsType[*head.NotAppliedError](failed)
	if ok && !refused.Retryable || ctx.Err() != nil {
		return head.Head{}, failed
	}
	var h head.Head
	var err error
	if conflict, ok := errors.AsType[*head.ConflictError](failed); ok && conflict.Winner != nil {
		h = *conflict.Winner
	} else if h, err = c.load(ctx, old.AggregateID); err != nil {
		return head.Head{}, errors.Join(failed, err)
	}
	if h.Revision < old.Revision {
		return head.Head{}, fmt.Errorf("%w: it was at revision %d, and is at %d", ropewalk.ErrHeadLost, old.Revision, h.Revision)
	}
	return h, nil
}
