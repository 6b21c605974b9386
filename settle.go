package ropewalk

import (
	"context"
	"errors"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/head"
)

// Settle ends an uncertain append for good, from any process and at any later
// time, given the reference of its [*UncertainError]: the last changeset of
// the append. It returns the append's head if it is committed, or can still be
// and now is; a [*ConflictError] if it is refused, now and for ever; and an
// [*UncertainError] if again no answer could be had. Its error matches
// [ErrNotFound] where no such changeset is stored: it never was, or it was
// refused and has been collected. Any other error, such as one of the storage,
// leaves it as uncertain as it was.
//
// It is for the references of uncertain appends. An append that failed before
// its swap, of which the writer was told that nothing is committed, may have
// left all of its objects, pending as those of an uncertain one are: whoever
// settles one of those, found in a listing, commits it.
func (c *Chain) Settle(ctx context.Context, ref changeset.Ref) (head.Head, error) {
	if ref.AggregateID != c.id {
		return head.Head{}, fmt.Errorf("settle %s: not a changeset of %q: %w", ref, c.id, ErrNotFound)
	}
	h, err := c.load(ctx)
	if err != nil {
		return head.Head{}, err
	}
	if h.Exists() && h.Version >= ref.Version {
		return c.settleBelow(ctx, h, ref)
	}
	info, err := c.store.changesets.Stat(ctx, ref)
	if err != nil {
		return head.Head{}, fmt.Errorf("settle %s: %w", ref, c.store.located(err))
	}
	return c.settlePending(ctx, h, info.Header)
}

// settleBelow settles where the chain has a changeset at the version already.
func (c *Chain) settleBelow(ctx context.Context, h head.Head, ref changeset.Ref) (head.Head, error) {
	id, err := c.find(ctx, h, ref.Version)
	if err != nil {
		return head.Head{}, err
	}
	if id != ref.ID {
		return head.Head{}, c.refusedBelow(ctx, h, ref)
	}
	if ref == h.Ref {
		return h, nil
	}
	member, err := c.stat(ctx, ref)
	if err != nil {
		return head.Head{}, err
	}
	return c.headOfAppend(ctx, h, member)
}

// refusedBelow returns the error of a changeset in whose place the chain has
// another one. Its object tells what it was built on, if it is still there.
func (c *Chain) refusedBelow(ctx context.Context, h head.Head, ref changeset.Ref) error {
	info, err := c.store.changesets.Stat(ctx, ref)
	if errors.Is(err, ErrNotFound) {
		info.Header = changeset.Header{Ref: ref, AfterRevision: 1}
	} else if err != nil {
		return fmt.Errorf("settle %s: %w", ref, c.store.located(err))
	}
	return &ConflictError{Expected: expectedBy(info.Header), Actual: h}
}

// settlePending settles where the chain ends below the append's last changeset.
func (c *Chain) settlePending(ctx context.Context, h head.Head, last changeset.Header) (head.Head, error) {
	refused := &ConflictError{Expected: expectedBy(last), Actual: h}
	switch {
	case !last.Part.Last():
		return head.Head{}, fmt.Errorf("settle %s: it is %s of its append: settle the last one", last.Ref, last.Part)
	case last.AfterRevision < h.Revision:
		return head.Head{}, refused
	case last.AfterRevision > h.Revision && !h.Exists():
		return head.Head{}, fmt.Errorf("settle %s: %w: it was built on revision %d, and there is no head", last.Ref, ErrHeadLost, last.AfterRevision)
	case last.AfterRevision > h.Revision:
		return head.Head{}, &UncertainError{last.Ref, fmt.Errorf("it was built on revision %d, which the head, at %d, has not reached", last.AfterRevision, h.Revision)}
	}
	first, err := c.firstOf(ctx, h, last)
	if errors.Is(err, errIncomplete) {
		return head.Head{}, c.shutOut(ctx, h, last.Ref, refused)
	}
	if errors.Is(err, errPassedOver) {
		return head.Head{}, refused
	}
	if err != nil {
		return head.Head{}, err
	}
	// The command ID is left out: what is settled are these objects, whoever
	// else has processed their command, and the callers of a batch have several.
	a := &attempt{chain: c, old: h, next: h.Next(last), first: first.Ref, last: last.Ref}
	got, err := a.commit(ctx)
	if fence := (*fencedError)(nil); errors.As(err, &fence) {
		refused.Actual = fence.head
		return head.Head{}, refused
	}
	return got, err
}

// expectedBy returns what is known of the head that a changeset's append was
// built on, for the error that names it.
func expectedBy(last changeset.Header) head.Head {
	size := uint64(max(1, last.Part.Of))
	if last.AfterRevision == 0 || last.Version < size {
		return head.Head{}
	}
	expected := head.Head{Ref: changeset.Ref{AggregateID: last.AggregateID, Version: last.Version - size}, Revision: last.AfterRevision}
	if size == 1 {
		expected.ID = last.Parent
	}
	return expected
}

var (
	errIncomplete = errors.New("not all objects of the append are stored")
	// errPassedOver is that of an append which was prepared behind another one
	// that was to make the head's revision, and lost to a third.
	errPassedOver = errors.New("the head's revision was made by another append than the one it was prepared behind")
)

// firstOf returns the first changeset of a pending append, having seen that
// all of them are stored, linked to each other and to h. Its error is
// errIncomplete where one is missing, errPassedOver where they link to another
// head of that revision.
func (c *Chain) firstOf(ctx context.Context, h head.Head, last changeset.Header) (changeset.Header, error) {
	first := last
	for first.Part.Number > 1 {
		ref := changeset.Ref{AggregateID: c.id, Version: first.Version - 1, ID: first.Parent}
		info, err := c.store.changesets.Stat(ctx, ref)
		if errors.Is(err, ErrNotFound) {
			return changeset.Header{}, errIncomplete
		}
		if err != nil {
			return changeset.Header{}, fmt.Errorf("settle %s: %w", last.Ref, err)
		}
		if err := first.VerifyLink(info.Header); err != nil {
			return changeset.Header{}, c.store.located(err)
		}
		first = info.Header
	}
	if first.Parent != h.ID {
		return changeset.Header{}, errPassedOver
	}
	if first.Ancestors != h.Ancestors {
		return changeset.Header{}, &CorruptError{Ref: first.Ref, Object: c.store.objectName(first.Ref), Reason: "its ancestor index is not that of the head it was built on"}
	}
	return first, nil
}

// shutOut makes sure that a pending append whose objects are not all there
// never enters the chain, even if its writer is still putting them: it fences
// the head. Only then is the append refused for good. Where there is no head
// to fence nobody can tell yet.
func (c *Chain) shutOut(ctx context.Context, h head.Head, ref changeset.Ref, refused *ConflictError) error {
	if !h.Exists() {
		return &UncertainError{ref, fmt.Errorf("%w, and there is no head yet", errIncomplete)}
	}
	fenced, err := c.store.heads.Swap(ctx, h, h.Fence())
	if err != nil {
		return &UncertainError{ref, fmt.Errorf("%w: fence: %w", errIncomplete, err)}
	}
	refused.Actual = fenced
	return refused
}
