package walk

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// Chain is a chain as it was at one head.
type Chain struct {
	// Store has the objects.
	Store changeset.Store
	// Head is the newest changeset to be read. It may be a point that does not say where
	// its changesets are stored.
	Head head.Head
	// Load returns the present head. For an erased history it returns the tombstone too.
	Load func(context.Context) (head.Head, error)
}

// Changesets yields the changesets of a span, in order and each checked, with their
// contents. The span must lie within the chain. At most one error ends the
// sequence; no goroutine outlives the loop.
func (c Chain) Changesets(ctx context.Context, s Span, l Limits) iter.Seq2[changeset.Changeset, error] {
	return func(yield func(changeset.Changeset, error) bool) {
		r := reading{Chain: c, Span: s, ctx: ctx, limits: l, at: c.Head, revision: c.Head.Revision, yield: yield}
		if err := r.run(); err != nil && !errors.Is(err, errStopped) {
			yield(changeset.Changeset{}, err)
		}
	}
}

// errStopped ends a reading whose consumer has enough.
var errStopped = errors.New("stopped")

// reading yields a span of a chain, of what is left of it.
type reading struct {
	Chain
	Span
	ctx      context.Context
	limits   Limits
	at       head.Head            // that says where the changesets are stored
	revision uint64               // of the latest record that was seen
	missed   changeset.Ref        // the latest object that was missing
	last     *changeset.Header    // the latest that was yielded
	of       changeset.Ref        // the object of the latest that was yielded or is held
	held     *changeset.Changeset // to be yielded once its parent has proved it
	yield    func(changeset.Changeset, error) bool
}

// run yields the span. If an object is missing because the chain has been stored in
// other objects since, it goes on through the present head.
func (r *reading) run() error {
	err := r.begin()
	for again := true; again; {
		if err == nil {
			err = r.read()
		}
		if _, corrupt := errors.AsType[*changeset.CorruptError](err); !corrupt {
			return err
		}
		again, err = r.goOn(err)
	}
	return err
}

// begin finds out where the changesets are stored if the head does not say it.
func (r *reading) begin() error {
	if r.Head.IsPlaced() {
		return nil
	}
	record, err := r.Load(r.ctx)
	if err != nil {
		return err
	}
	r.revision = record.Revision
	r.at, err = r.place(record)
	return err
}

// place returns the head that is read at with where its changesets are stored, found
// through a record. Its error matches [changeset.ErrNotFound] if the chain of the
// record does not pass through it.
func (r *reading) place(record head.Head) (head.Head, error) {
	if record.Ref == r.Head.Ref && record.Digest == r.Head.Digest {
		return record, nil
	}
	if !record.Exists() || record.Version < r.Head.Version {
		return head.Head{}, NotPassed(r.Head.Ref, record.Ref)
	}
	found, err := link.Locate(r.ctx, finder{changeset.NewPassThrough(r.Store)}, record, r.Head.Version)
	if err == nil && (found.Header.Ref != r.Head.Ref || found.Header.Digest != r.Head.Digest) {
		err = NotPassed(r.Head.Ref, record.Ref)
	}
	return found.At, err
}

// goOn decides what becomes of a reading after an object was found missing or
// damaged. If the history was erased since, that is the error. If the object is missing
// and the head has moved, the reading can go on through the present head, unless it
// has led to the same object: objects are removed only after no head leads to them.
func (r *reading) goOn(cause error) (again bool, _ error) {
	missing, isMissing := errors.AsType[*missingError](cause)
	if isMissing {
		cause = missing.CorruptError
	}
	record, err := r.Load(r.ctx)
	switch {
	case record.State == head.Erased:
		return false, err
	case err != nil: // whether it was erased is unknown
		return false, fmt.Errorf("%w, and the head could not be read again: %w", cause, err)
	case !isMissing || record.Revision <= r.revision || missing.Ref == r.missed:
		return false, cause
	}
	r.revision, r.missed = record.Revision, missing.Ref
	at, err := r.place(record)
	if errors.Is(err, changeset.ErrNotFound) {
		return false, cause
	}
	r.at, r.held = at, nil
	r.skip()
	return true, err
}

// skip leaves out of the span what was yielded.
func (r *reading) skip() {
	switch {
	case r.last == nil:
		return
	case r.Backward:
		r.Last = r.last.Version - 1
	default:
		r.First = r.last.Version + 1
	}
	r.After = nil // is proved by the changeset that was yielded
}

// finder is a store that reports which object is missing.
type finder struct{ changeset.PassThrough }

// Get returns what the store has.
func (f finder) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	c, err := f.PassThrough.Get(ctx, ref, admission)
	if err != nil {
		err = readError(ref, err)
	}
	return c, err
}

// Stat returns what the store has.
func (f finder) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	info, err := f.PassThrough.Stat(ctx, ref)
	if err != nil {
		err = readError(ref, err)
	}
	return info, err
}
