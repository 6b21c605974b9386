package ropewalk

import (
	"context"
	"errors"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/pause"
)

// errUnfenced says that the swap of a fence was refused, or that its outcome is
// unknown. Loading the head again decides.
var errUnfenced = errors.New("the head could not be fenced")

// Settle finds out the outcome of an uncertain append, from any process and at
// any later time, given the Ref and the AfterRevision of its
// [*UncertainError]. It never commits anything. It has three outcomes:
//   - The append is committed: Settle returns its head.
//   - The append is refused for good, a [*ConflictError]: another append came
//     first, or its swap never took effect and now never can, because Settle
//     has fenced the head. [ErrErased] means that the history was erased.
//   - The append is as uncertain as before, again an [*UncertainError]: the
//     storage gave no answer, or the chain has no head and the store does not pack,
//     and then the next append to the chain decides.
//
// A fence swaps the head to the same changeset at the next revision. If there is no head,
// the fence is a void head ([head.Void]), which readers of format 1 cannot read: only a
// store with [Options.Packed] writes it. Every append that
// was built on the earlier revision then fails, including appends of writers
// that are at work: [Chain.Append] and [Appender.Append] then build their
// changesets again, with new references, and commit them.
//
// Any changeset may be settled, whether its object is stored or not. The
// metadata of a stored changeset has the revision. The answer may be wrong if the
// revision given is not the revision that the append was built on.
//
// Settle ends when ctx does, and after at most [Options.SettleTimeout].
func (c *Chain) Settle(ctx context.Context, ref changeset.Ref, afterRevision uint64) (got head.Head, err error) {
	err = errUnfinished
	ctx, end := c.store.start(ctx, OperationSettle, c.id)
	defer func() { end(Result{0, err}) }()
	return c.settleInTime(ctx, ref, afterRevision)
}

// settleInTime is Settle without the observer.
func (c *Chain) settleInTime(ctx context.Context, ref changeset.Ref, afterRevision uint64) (head.Head, error) {
	if err := changeset.ValidateAggregateID(c.id); err != nil {
		return head.Head{}, err
	}
	if ref.AggregateID != c.id {
		return head.Head{}, fmt.Errorf("settle %s: not a changeset of %q: %w", ref, c.id, ErrNotFound)
	}
	bounded, cancel := context.WithTimeout(ctx, c.store.options.SettleTimeout)
	defer cancel()
	var cause error
	for pauses := pause.New(); ; {
		got, err := c.settle(bounded, ref, afterRevision)
		if err == nil || is[*ConflictError](err) || errors.Is(err, ErrErased) {
			return got, err
		}
		cause = lastCause(bounded, cause, err)
		if !errors.Is(err, errUnfenced) || pauses.Wait(bounded) != nil {
			return head.Head{}, &UncertainError{Ref: ref, AfterRevision: afterRevision, Err: errors.Join(ctx.Err(), cause)}
		}
	}
}

// settle decides by the present head, and fences it if the append was built on
// it.
func (c *Chain) settle(ctx context.Context, ref changeset.Ref, afterRevision uint64) (head.Head, error) {
	h, err := c.load(ctx)
	if err != nil {
		return head.Head{}, err
	}
	at, err := c.has(ctx, h, ref)
	switch {
	case err != nil:
		return head.Head{}, err
	case at.id == ref.ID && !ref.ID.IsZero():
		return c.headWith(ctx, h, at)
	case h.Revision > afterRevision:
		return head.Head{}, &ConflictError{Actual: h, Settled: ref}
	case h.Revision < afterRevision:
		return head.Head{}, fmt.Errorf("the head is at revision %d, not yet at %d: the append before it is still under way, or the head was lost", h.Revision, afterRevision)
	case !h.IsZero():
		return head.Head{}, c.fence(ctx, h, link.Fence(h), ref)
	case c.store.options.Packed:
		return head.Head{}, c.fence(ctx, h, link.Void(c.id), ref)
	default:
		return head.Head{}, errors.New("the chain has no head yet: the next append to it decides")
	}
}

// has returns what the chain of h has at the version of a changeset; nothing if the
// chain does not have the version.
func (c *Chain) has(ctx context.Context, h head.Head, ref changeset.Ref) (found, error) {
	switch {
	case !h.Exists() || h.Version < ref.Version:
		return found{}, nil
	case h.Version == ref.Version:
		return found{version: h.Version, id: h.ID}, nil
	}
	return c.find(ctx, h, ref.Version)
}

// fence makes sure that a changeset that was built on h never enters the chain, by a
// swap of h to its fence, and returns the *ConflictError that says so.
func (c *Chain) fence(ctx context.Context, h, fence head.Head, ref changeset.Ref) error {
	fenced, err := c.store.heads.Swap(ctx, h, fence)
	if refused, ok := errors.AsType[*head.NotAppliedError](err); ok && !refused.Retryable {
		return fmt.Errorf("fence the head of %q: %w", c.id, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUnfenced, err)
	}
	return &ConflictError{Actual: fenced, Settled: ref}
}
