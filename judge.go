package ropewalk

import (
	"context"
	"errors"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/head"
)

// errPending says that the head is still the one that the attempt was built
// on: it is not committed, and may still be.
var errPending = errors.New("the swap is pending")

// fencedError says that the head has a later revision but the same changeset:
// the attempt's objects can never enter the chain, an append of new ones can.
type fencedError struct{ head head.Head }

func (e *fencedError) Error() string {
	return fmt.Sprintf("fenced at revision %d", e.head.Revision)
}

// decided reports whether an error, or its absence, tells the outcome of an append.
func decided(err error) bool {
	var conflict *ConflictError
	var fence *fencedError
	return err == nil || errors.As(err, &conflict) || errors.As(err, &fence) ||
		errors.Is(err, ErrHeadLost) || errors.Is(err, ErrErased)
}

// hopeless reports whether looking again will give the same error.
func hopeless(err error) bool {
	var corrupt *CorruptError
	return errors.As(err, &corrupt) || errors.Is(err, ErrUnsupportedFormat)
}

// look judges the attempt by the head as it is now.
func (a *attempt) look(ctx context.Context) (head.Head, error) {
	h, err := a.chain.load(ctx)
	if err != nil {
		return head.Head{}, err
	}
	return a.judge(ctx, h)
}

// judge tells what became of the attempt, given a head that was there after
// its swap was sent: the head that it committed and nil, or one of the errors
// that [decided] knows, or errPending, or the error of reading the chain.
func (a *attempt) judge(ctx context.Context, h head.Head) (head.Head, error) {
	switch {
	case h.State == head.Erased:
		return h, fmt.Errorf("chain %q: %w", a.chain.id, ErrErased)
	case h.SameRecord(a.old):
		// What only the storage knows: the token, and a newer version's fields.
		a.old, a.next = h, a.next.Inherit(h)
		return head.Head{}, errPending
	case h.Revision <= a.old.Revision:
		return head.Head{}, a.lost(h)
	case h.Ref == a.last:
		return h, nil
	case h.Ref == a.old.Ref:
		return head.Head{}, &fencedError{h}
	case h.Version < a.first.Version || a.diverged(h):
		return head.Head{}, a.lost(h)
	}
	return a.search(ctx, h)
}

// lost says that h cannot have come after the head that the attempt was built on.
func (a *attempt) lost(h head.Head) error {
	if !h.Exists() {
		return fmt.Errorf("chain %q: %w: it was at %d, revision %d, and is gone", a.chain.id, ErrHeadLost, a.old.Version, a.old.Revision)
	}
	return fmt.Errorf("chain %q: %w: it was at %d.%s, revision %d, and is at %d.%s, revision %d", a.chain.id, ErrHeadLost,
		a.old.Version, a.old.ID, a.old.Revision, h.Version, h.ID, h.Revision)
}

// diverged reports whether h is seen, without a request, to be in another
// history than the expected head.
func (a *attempt) diverged(h head.Head) bool {
	at, id, ok := h.Ancestors.Nearest(a.old.Version)
	return a.old.Exists() && ok && at == a.old.Version && id != a.old.ID
}

// search decides by what the chain of h has at the attempt's first version,
// however many have appended since.
func (a *attempt) search(ctx context.Context, h head.Head) (head.Head, error) {
	id, err := a.chain.find(ctx, h, a.first.Version)
	if err != nil {
		return head.Head{}, err
	}
	if id == a.first.ID {
		return a.found(ctx, h)
	}
	if a.commandID != "" {
		winner, err := a.chain.stat(ctx, changeset.Ref{AggregateID: a.chain.id, Version: a.first.Version, ID: id})
		if err != nil {
			return head.Head{}, err
		}
		if winner.CommandID == a.commandID {
			return a.chain.headOfCommand(ctx, h, winner)
		}
	}
	return head.Head{}, &ConflictError{Expected: a.old, Actual: h}
}

// found returns the head of the attempt, whose first changeset the chain of h
// has: with its last one, since one swap committed them all.
func (a *attempt) found(ctx context.Context, h head.Head) (head.Head, error) {
	id, err := a.chain.find(ctx, h, a.last.Version)
	if err != nil {
		return head.Head{}, err
	}
	if id != a.last.ID {
		return head.Head{}, &CorruptError{Ref: a.last, Reason: "the chain has the first changeset of its append, but not this, its last one"}
	}
	return a.next.WithToken(""), nil
}

// headOfAppend returns the head that the append of a changeset in h's chain has made.
func (c *Chain) headOfAppend(ctx context.Context, h head.Head, member changeset.Header) (head.Head, error) {
	if endOf(member) == h.Version {
		return h, nil
	}
	last, err := c.headerAt(ctx, h, endOf(member), member)
	if err != nil {
		return head.Head{}, err
	}
	return head.Of(last), nil
}

// endOf returns the version of the last changeset of a changeset's append.
func endOf(member changeset.Header) uint64 {
	return member.Version + uint64(member.Part.Of-member.Part.Number)
}

// headOfCommand returns the head as of the last changeset of a command, whose
// first one, in h's chain, begins an append. That may be a batch of several
// callers, whose others the command's own caller has not read: then the head
// is one within an append, which can be read at, and an append after it is a
// conflict, just as if the others had come later.
func (c *Chain) headOfCommand(ctx context.Context, h head.Head, first changeset.Header) (head.Head, error) {
	last, low, high := first, first.Version, endOf(first)
	for probe := high; low < high; probe = low + (high-low+1)/2 {
		at, err := c.headerAt(ctx, h, probe, first)
		if err != nil {
			return head.Head{}, err
		}
		if at.CommandID == first.CommandID {
			last, low = at, probe
		} else {
			high = probe - 1
		}
	}
	if last.Version == h.Version {
		return h, nil
	}
	return head.Of(last), nil
}

// headerAt returns the header at a version in the chain of h, of which one is
// known already.
func (c *Chain) headerAt(ctx context.Context, h head.Head, version uint64, known changeset.Header) (changeset.Header, error) {
	if version == known.Version {
		return known, nil
	}
	id, err := c.find(ctx, h, version)
	if err != nil {
		return changeset.Header{}, err
	}
	return c.stat(ctx, changeset.Ref{AggregateID: c.id, Version: version, ID: id})
}
