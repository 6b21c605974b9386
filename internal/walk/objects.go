package walk

import (
	"context"
	"errors"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/head"
)

// newObjects returns a walk over the objects of format 2 that hold a span of a chain.
// The span must begin below the first version that is not in objects. The walk ends
// with errBelow if it lies below the first object.
func newObjects(ctx context.Context, store changeset.Store, at head.Head, s Span, l Limits) *walk {
	w := newWalk(ctx, store, at, s, l)
	w.packed, w.total = true, at.Index.Objects()
	if s.Backward {
		w.base = w.total - 1
	} else {
		w.located = s.First == 0 // in the first object, or below
	}
	w.readMany()
	for number, e := range at.Index.All() {
		if e.Version >= s.First {
			w.know(number, e)
		}
	}
	return w
}

// errBelow ends a walk over objects whose span lies below the first object.
var errBelow = errors.New("below the first object of format 2")

// beyond reports whether the span lies below the first object of format 2.
func (w *walk) beyond() bool {
	if !w.packed || !w.located {
		return false
	}
	e, ok := w.known[w.number(w.pos)]
	return ok && !w.overlaps(e)
}

// more reports whether a walk over objects has yet to yield one.
func (w *walk) more() bool {
	return w.pos < w.total && w.First <= w.version && w.version <= w.Last
}

// advance goes on after an object that was yielded.
func (w *walk) advance(o changeset.Changeset) {
	w.release(o)
	w.pos++
	if w.version = o.Version + 1; w.Backward {
		w.version = o.First() - 1 // wraps around below version 0, and so ends the walk
	}
}

// numberOf returns the number of an object: the version of a changeset of format 1,
// and the count of the objects before an object of format 2.
func numberOf(h changeset.Header) uint64 {
	if h.Pack != nil {
		return h.Pack.Index.Objects()
	}
	return h.Version
}

// firstOf returns the first version of the object of an entry.
func firstOf(e changeset.Entry) uint64 { return e.Version + 1 - uint64(max(e.Count, 1)) }

// overlaps reports whether an object has a version of the span.
func (s Span) overlaps(e changeset.Entry) bool { return e.Version >= s.First && firstOf(e) <= s.Last }

// wants reports whether the walk reads a body. The headers of changesets in lines
// are in the body.
func (w *walk) wants(h changeset.Header) bool {
	return !w.Headers || h.Pack != nil && h.Pack.Lines
}

// identify checks that the header is of the object with a reference and a number.
func (w *walk) identify(h changeset.Header, number uint64, ref changeset.Ref) error {
	switch {
	case h.Ref != ref:
		return &changeset.CorruptError{Ref: ref, Reason: "the object belongs to " + h.Ref.String()}
	case w.packed != (h.Pack != nil):
		return &changeset.CorruptError{Ref: ref, Reason: "the object has another format than its reference"}
	case numberOf(h) != number:
		return &changeset.CorruptError{Ref: ref, Reason: fmt.Sprintf("there are %d objects before it, and %d in an index", numberOf(h), number)}
	}
	return nil
}

// locate looks up the object that has the version which the walk needs first.
func (w *walk) locate() error {
	if w.running > 0 {
		return w.ctx.Err()
	}
	at, found := uint64(0), false
	for number, e := range w.known {
		if e.Version >= w.version && (!found || number < at) {
			at, found = number, true
		}
	}
	if !found {
		return w.leadsNowhere()
	}
	return w.leadOn(at)
}

// near returns the version at which the walk enters the object at a position, of
// which itself or the position before is known, or which is the present one.
func (w *walk) near(pos uint64) uint64 {
	e, ok := w.known[w.number(pos)]
	switch {
	case ok && w.Backward:
		return e.Version
	case ok:
		return firstOf(e)
	case pos <= w.pos:
		return w.version
	}
	return w.after(w.known[w.number(pos-1)])
}

// after returns the version that the walk needs after the object of an entry.
func (w *walk) after(e changeset.Entry) uint64 {
	if w.Backward {
		return firstOf(e) - 1
	}
	return e.Version + 1
}
