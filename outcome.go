package ropewalk

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"ropewalk/head"
)

// errPending says that the head is still the one that the attempt was built
// on: the attempt is not committed, and may still be.
var errPending = errors.New("the swap is pending")

// fencedError says that the head has a later revision but the same changeset, or
// none as before: the attempt's objects can never enter the chain, but an append of new
// objects can succeed.
type fencedError struct{ head head.Head }

func (e *fencedError) Error() string {
	return fmt.Sprintf("fenced at revision %d", e.head.Revision)
}

// final reports whether an error, or its absence, is the outcome of an append.
func final(err error) bool {
	return err == nil || is[*ConflictError](err) || is[*fencedError](err) ||
		errors.Is(err, ErrHeadLost) || errors.Is(err, ErrErased) || errors.Is(err, ErrMoved)
}

// permanent reports whether loading the head again would give the same error.
func permanent(err error) bool {
	return is[*CorruptError](err) || errors.Is(err, ErrUnsupportedFormat)
}

// lastCause returns the error that a loop reports when its time is up: the
// latest one, unless that only says that the time is up.
func lastCause(ctx context.Context, before, latest error) error {
	if before != nil && ctx.Err() != nil && errors.Is(latest, ctx.Err()) {
		return before
	}
	return latest
}

// headLost returns the error for a head that cannot follow an earlier head.
func headLost(earlier, h head.Head) error {
	if !h.Exists() || !earlier.Exists() {
		return fmt.Errorf("chain %q: %w: it was %s, and is %s", cmp.Or(earlier.AggregateID, h.AggregateID), ErrHeadLost, stateOf(earlier), stateOf(h))
	}
	return fmt.Errorf("chain %q: %w: it was at %d.%s, revision %d, and is at %d.%s, revision %d", earlier.AggregateID, ErrHeadLost,
		earlier.Version, earlier.ID, earlier.Revision, h.Version, h.ID, h.Revision)
}

// stateOf says where a head is, of which another head may not exist.
func stateOf(h head.Head) string {
	switch {
	case h.IsZero():
		return "gone"
	case h.State == head.Void:
		return fmt.Sprintf("void, revision %d", h.Revision)
	}
	return fmt.Sprintf("at %d, revision %d", h.Version, h.Revision)
}

// diverged reports whether the ancestor index of h shows that the chain of h
// does not contain an earlier head.
func diverged(earlier, h head.Head) bool {
	at, id, ok := h.Ancestors.Nearest(earlier.Version)
	return earlier.Exists() && ok && at == earlier.Version && id != earlier.ID
}
