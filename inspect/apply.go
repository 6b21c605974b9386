package inspect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/pause"
)

var (
	// ErrNotATip means that a plan was to be applied with a changeset that is
	// not one of its tips, or without a changeset although the plan does not
	// have exactly one tip that no other tip was built on. Nothing
	// was sent.
	ErrNotATip = errors.New("not one of the tips of the plan")
	// ErrHeadMoved means that the head is no longer the head of the plan: plan
	// again.
	ErrHeadMoved = errors.New("the head has changed meanwhile")
	// ErrUnknown means that it is unknown whether the head was written. Plan
	// again to find out: planning looks at the head first.
	ErrUnknown = errors.New("it is unknown whether the head was written")
)

const (
	applyAttempts = 10               // with pauses of a second and a half between them
	applyTimeout  = 10 * time.Second // of one request
)

// Apply writes the head that a plan of [Inspector.Rebuild] has found: one that
// names the tip at, by a swap from exactly the head of the plan. The zero Ref
// stands for the only tip that has no other tip above it ([Tip.Under]). It returns the
// head as it is stored now.
//
// Its errors match [ErrNotATip]; [ErrHeadMoved], also if another writer has
// appended to the head that it has written; and [ErrUnknown] if no answer could
// be had. Any other error is one of the storage or the context, and
// nothing was written.
func (in *Inspector) Apply(ctx context.Context, plan Rebuilding, at changeset.Ref) (head.Head, error) {
	next, err := in.rebuilt(ctx, plan, at)
	if err != nil {
		return head.Head{}, err
	}
	unknown := error(nil) // of an attempt that may have been applied, or may be yet
	pauses := pause.New()
	for attempt := range applyAttempts {
		err := ctx.Err()
		if attempt > 0 {
			err = pauses.Wait(ctx)
		}
		if err != nil {
			return head.Head{}, undecided(plan, unknown, err)
		}
		got, err := in.swapOnce(ctx, plan.Head, next)
		if err == nil {
			return got, nil
		}
		if refused, ok := errors.AsType[*head.NotAppliedError](err); ok {
			if !refused.Retryable {
				return head.Head{}, undecided(plan, unknown, err)
			}
			continue
		}
		if _, conflict := errors.AsType[*head.ConflictError](err); !conflict {
			unknown = err
		}
		now, done, err := in.lookAgain(ctx, plan.Head, next)
		if done {
			return now, err
		}
	}
	return head.Head{}, undecided(plan, unknown, errors.New("the storage does not take it"))
}

// rebuilt returns the head that names a tip.
func (in *Inspector) rebuilt(ctx context.Context, plan Rebuilding, at changeset.Ref) (head.Head, error) {
	tip, err := plan.choose(at)
	if err != nil {
		return head.Head{}, err
	}
	var next head.Head
	// changed is the error of an object that is not what it was when it was proved.
	changed := corrupt(in.problem(tip.Object, "it is not what it was when it was proved"), "")
	open := func(object changeset.Header, all []changeset.Changeset, text []byte) {
		i := slices.IndexFunc(all, func(c changeset.Changeset) bool { return c.Ref == tip.Ref && c.Digest == tip.Digest })
		if i >= 0 {
			next, changed = headAt(plan.Head, object, all, i, text), nil
		}
	}
	seen, err := in.lookInto(ctx, tip.Object, open)
	switch {
	case err != nil:
		return head.Head{}, err
	case seen.fault != nil:
		return head.Head{}, corrupt(seen.fault, "")
	case changed != nil:
		return head.Head{}, changed
	}
	if next.IsPacked() && next.Index.Objects() == 0 && next.Index.Next() > 0 {
		if next.Ancestors, err = in.ancestorsAfter(ctx, next.PackedHeader()); err != nil {
			return head.Head{}, err
		}
	}
	if plan.Head.Move != (head.Move{}) {
		next = link.Move(next, plan.Head.Move)
	}
	next.Revision = plan.Revision
	return next, nil
}

// choose returns the tip that a changeset is, or the only tip that no other tip of the
// plan was built on.
func (r Rebuilding) choose(at changeset.Ref) (tip Tip, err error) {
	n := 0
	for _, t := range r.Tips {
		if t.Ref == at || at == (changeset.Ref{}) && t.Under == (changeset.Ref{}) {
			tip, n = t, n+1
		}
	}
	if n != 1 {
		err = fmt.Errorf("%q: %w", r.AggregateID, ErrNotATip)
	}
	return tip, err
}

// lookInto reads the changesets in an object, except content that is an object alone.
func (in *Inspector) lookInto(ctx context.Context, ref changeset.Ref, open func(object changeset.Header, all []changeset.Changeset, text []byte)) (sight, error) {
	var all []changeset.Changeset
	var text []byte
	seen, err := in.look(ctx, changeset.Object{Ref: ref}, lines, func(cs []changeset.Changeset, lines []byte) *contents {
		all, text = cs, lines
		return nil
	})
	if err == nil && len(all) > 0 {
		open(seen.header, all, text)
	}
	return seen, err
}

// headAt returns the head that replaces h and names the changeset at a place of an
// object. If the object goes on after it, the object's changesets up to there are its tip.
func headAt(h head.Head, object changeset.Header, all []changeset.Changeset, at int, text []byte) head.Head {
	newest := all[at].Header
	if object.Pack == nil {
		return link.Next(h, newest)
	}
	next := head.Head{
		Ref: newest.Ref, Digest: newest.Digest, UpdatedAt: newest.RecordedAt, State: head.Live,
		Checkpoint: h.Checkpoint, Formats: head.Packed,
	}
	if h.IsPacked() {
		next.Formats = h.Formats
	}
	if at == len(all)-1 {
		next.Index, next.PackedID, next.PackedDigest = object.Pack.Index.Push(object.Ref), newest.ID, newest.Digest
	} else {
		next.Index, next.PackedID, next.PackedDigest = object.Pack.Index, object.Parent, object.Pack.ParentDigest
		next.Tip = string(firstLines(text, at+1))
	}
	return next.WithToken(h.Token()).WithExtra(h.Extra())
}

// firstLines returns the first n lines of a text.
func firstLines(text []byte, n int) []byte {
	size := 0
	for range n {
		size += bytes.IndexByte(text[size:], '\n') + 1
	}
	return text[:size]
}

// ancestorsAfter returns the ancestor index of what follows a changeset of format 1.
func (in *Inspector) ancestorsAfter(ctx context.Context, newest changeset.Header) (changeset.Index, error) {
	seen, err := in.look(ctx, changeset.Object{Ref: newest.Ref}, headers, nil)
	switch {
	case err != nil:
		return changeset.Index{}, err
	case seen.fault != nil:
		return changeset.Index{}, corrupt(seen.fault, "")
	case !seen.readable || seen.header.Digest != newest.Digest:
		return changeset.Index{}, corrupt(in.problem(newest.Ref, "it is not what it was when it was proved"), "")
	}
	return seen.header.Ancestors.Push(newest.ID), nil
}

func (in *Inspector) swapOnce(ctx context.Context, old, next head.Head) (head.Head, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	return in.heads.Swap(ctx, old, next)
}

// lookAgain finds out from the head, if it can, what became of a swap that did
// not report success. It looks even if the caller has gone in the meantime.
func (in *Inspector) lookAgain(ctx context.Context, old, next head.Head) (now head.Head, done bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	now, err = in.heads.Load(ctx, next.AggregateID)
	switch {
	case err != nil:
		return now, false, nil
	case now.SameRecord(next):
		return now, true, nil
	case now.SameRecord(old):
		return now, false, nil
	case now.IsZero():
		return head.Head{}, true, fmt.Errorf("%q: %w: it is gone", next.AggregateID, ErrHeadMoved)
	case now.State == head.Void:
		return head.Head{}, true, fmt.Errorf("%q: %w: it is void, at revision %d", next.AggregateID, ErrHeadMoved, now.Revision)
	default:
		return head.Head{}, true, fmt.Errorf("%q: %w: it is %s at revision %d", next.AggregateID, ErrHeadMoved, now.Ref, now.Revision)
	}
}

// undecided returns the error that ends the attempts: what an earlier one left
// unknown stays unknown.
func undecided(plan Rebuilding, unknown, err error) error {
	if unknown == nil {
		return fmt.Errorf("rebuild the head of %q: %w", plan.AggregateID, err)
	}
	return fmt.Errorf("rebuild the head of %q: %w: %w", plan.AggregateID, ErrUnknown, errors.Join(unknown, err))
}
