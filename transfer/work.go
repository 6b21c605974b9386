package transfer

import (
	"context"
	"errors"
	"fmt"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/pause"
)

// maxTries is how often the head of the destination is looked at: about half a minute of
// pauses.
const maxTries = 20

// work is the copy of one aggregate.
type work struct {
	*Copier
	report Report
	// readyFor is the head of the destination, or the zero Head, for which the objects are
	// put; nil before.
	readyFor *head.Head
}

// run copies the aggregate. The head of the destination alone says what is to be done,
// and when it is done: a swap whose outcome is unknown is looked up by the next load, and
// the identical swap is safe to repeat.
func (w *work) run(ctx context.Context) error {
	if err := w.loadSource(ctx); err != nil {
		return err
	}
	if w.report.Source.IsZero() {
		w.report.Outcome = Absent
		return nil
	}
	var cause error
	pauses := pause.New()
	for try := 0; ; try++ {
		outcome, err := w.judge(ctx)
		if err != nil || outcome != Failed {
			if outcome == Equal && try > 0 {
				outcome = Copied
			}
			w.report.Outcome = outcome
			return err
		}
		if try == maxTries {
			return fmt.Errorf("the head was not swapped by %d tries: %w", try, cause)
		}
		if cause = w.advance(ctx); cause == nil {
			continue
		}
		if final(cause) {
			return cause
		}
		if err := pauses.Wait(ctx); err != nil {
			return errors.Join(err, cause)
		}
	}
}

// errNoHead is the error of an aggregate that the source does not have.
var errNoHead = fmt.Errorf("at the source: %w", changeset.ErrNotFound)

// loadSource loads the head that is to be copied.
func (w *work) loadSource(ctx context.Context) error {
	h, err := w.from.Heads.Load(ctx, w.report.AggregateID)
	switch {
	case err != nil:
		return fmt.Errorf("load the head of the source: %w", err)
	case !h.Exists():
		return errNoHead
	}
	w.report.Source = h
	if err := h.CheckWritable(); err != nil {
		return fmt.Errorf("the head of the source: %w", err)
	}
	if h.Extra() != "" {
		return fmt.Errorf("the head of the source has fields of a later version: %w", changeset.ErrUnsupportedFormat)
	}
	return w.asOf(ctx)
}

// judge loads the head of the destination and compares the histories. It returns Failed,
// and no error, if the head of the source is to be swapped in.
func (w *work) judge(ctx context.Context) (Outcome, error) {
	s := w.report.Source
	d, err := w.to.Heads.Load(ctx, s.AggregateID)
	if err != nil {
		return Failed, fmt.Errorf("load the head of the destination: %w", err)
	}
	w.report.Destination = d
	switch {
	case !d.Exists():
		return Failed, nil
	case d.State == head.Erased && s.State == head.Erased:
		return Equal, nil
	case d.State == head.Erased:
		return Failed, fmt.Errorf("at the destination: %w", ropewalk.ErrErased)
	case s.State == head.Erased:
		return Failed, fmt.Errorf("%w: it is erased at the source, and the destination has it up to version %d", ropewalk.ErrConflict, d.Version)
	case d.Version > s.Version:
		return Newer, w.passes(ctx, w.to.Changesets, d, s)
	case d.Version < s.Version:
		return Failed, w.passes(ctx, w.from.Changesets, s, d)
	case d.Ref != s.Ref || d.Digest != s.Digest:
		return Failed, w.conflict()
	default:
		return Equal, nil
	}
}

// passes returns an error unless the chain of the longer history has the other head's
// changeset. Its digest commits to everything before it.
func (w *work) passes(ctx context.Context, changesets changeset.Store, longer, other head.Head) error {
	place, err := locate(ctx, changesets, longer, other.Version)
	if err == nil && (place.Header.Ref != other.Ref || place.Header.Digest != other.Digest) {
		err = w.conflict()
	}
	return err
}

// conflict is the error of a destination with another history.
func (w *work) conflict() error {
	return fmt.Errorf("%w: the destination is at %s, which is not in the history of the source", ropewalk.ErrConflict, w.report.Destination.Ref)
}

// locate returns the place of a version in a chain.
func locate(ctx context.Context, changesets changeset.Store, h head.Head, version uint64) (link.Place, error) {
	place, err := link.Locate(ctx, changesets, h, version)
	return place, corruptIfMissing(err)
}

// corruptIfMissing returns the error of following a chain: a missing object is corruption.
func corruptIfMissing(err error) error {
	if missing, ok := errors.AsType[*link.MissingError](err); ok {
		return &changeset.CorruptError{Ref: missing.Ref, Reason: "the object is missing"}
	}
	return err
}

// advance puts the objects and swaps the head of the destination to the head of the source.
// If the source was erased in the meantime, its tombstone is the source from now on.
func (w *work) advance(ctx context.Context) error {
	old := w.report.Destination
	if !w.ready(old) {
		err := w.putObjects(ctx)
		if errors.Is(err, ropewalk.ErrErased) {
			return w.loadSource(ctx)
		}
		if err != nil {
			return &objectsError{err}
		}
		w.readyFor = &old
	}
	_, err := w.to.Heads.Swap(ctx, old, w.next(old))
	return err
}

// ready reports whether the objects were put for this head of the destination. For
// another one, such as a fence, a collector may have deleted them.
func (w *work) ready(old head.Head) bool {
	return w.readyFor != nil && (w.readyFor.SameRecord(old) || !w.readyFor.Exists() && !old.Exists())
}

// next returns the head that is to replace the head of the destination. Fences there may
// have raised its revision above the source's; a higher revision than the source's does no
// harm, since no changeset is built on it. If the aggregate moves, only the source says so,
// and a destination that refuses appends goes on to refuse them.
func (w *work) next(old head.Head) head.Head {
	next := w.report.Source.WithToken("")
	switch {
	case old.Move != (head.Move{}):
		next = link.Move(next, old.Move)
	case next.Move != (head.Move{}):
		next = link.Stay(next)
	}
	next.Revision = max(next.Revision, old.Revision+1)
	return next
}

// objectsError is the error of copying the objects.
type objectsError struct{ err error }

func (e *objectsError) Error() string { return e.err.Error() }

func (e *objectsError) Unwrap() error { return e.err }

// final reports whether another try is of no use: the objects could not be copied, or the
// swap was refused for good.
func final(err error) bool {
	if _, ok := errors.AsType[*objectsError](err); ok {
		return true
	}
	refused, ok := errors.AsType[*head.NotAppliedError](err)
	return ok && !refused.Retryable
}
