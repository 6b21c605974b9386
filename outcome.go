package ropewalk

import (
	"context"
	"errors"
	"fmt"

	"ropewalk/head"
)

// errPending says that the head is still the one that the attempt was built
// on: the attempt is not committed, and may still be.
var errPending = errors.New("the swap is pending")

// fencedError says that the head has a later revision but the same changeset:
// the attempt's objects can never enter the chain, an append of new ones can.
type fencedError struct{ head head.Head }

func (e *fencedError) Error() string {
	return fmt.Sprintf("fenced at revision %d", e.head.Revision)
}

// is reports whether an error is, or wraps, an error of type T.
func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// decided reports whether an error, or its absence, is the outcome of an append.
func decided(err error) bool {
	return err == nil || is[*ConflictError](err) || is[*fencedError](err) ||
		errors.Is(err, ErrHeadLost) || errors.Is(err, ErrErased)
}

// hopeless reports whether looking again will give the same error.
func hopeless(err error) bool {
	return is[*CorruptError](err) || errors.Is(err, ErrUnsupportedFormat)
}

// lastCause returns the error that a loop reports when its time is up: its
// latest one, except where that only says that the time is up.
func lastCause(ctx context.Context, before, latest error) error {
	if before != nil && ctx.Err() != nil && errors.Is(latest, ctx.Err()) {
		return before
	}
	return latest
}

// lost says that h cannot have come after old, a head that was read before.
func (c *Chain) lost(old, h head.Head) error {
	if !h.Exists() {
		return fmt.Errorf("chain %q: %w: it was at %d, revision %d, and is gone", c.id, ErrHeadLost, old.Version, old.Revision)
	}
	return fmt.Errorf("chain %q: %w: it was at %d.%s, revision %d, and is at %d.%s, revision %d", c.id, ErrHeadLost,
		old.Version, old.ID, old.Revision, h.Version, h.ID, h.Revision)
}

// diverged reports whether h is seen, without a request, to be in another
// history than the expected head.
func diverged(old, h head.Head) bool {
	at, id, ok := h.Ancestors.Nearest(old.Version)
	return old.Exists() && ok && at == old.Version && id != old.ID
}
