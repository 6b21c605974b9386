package walk

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"

	"ropewalk/changeset"
	"ropewalk/internal/body"
)

// read yields what is left of the span.
func (r *reading) read() error {
	if err := r.ranges(); errors.Is(err, errStopped) {
		return err
	}
	if r.complete() {
		return nil
	}
	r.held = nil
	r.skip()
	if !r.at.IsPacked() && r.last == nil {
		return r.unpacked()
	}
	parts := []func() error{r.stored, r.tip}
	if r.Backward {
		slices.Reverse(parts)
	}
	for _, part := range parts {
		if err := part(); err != nil {
			return err
		}
	}
	if !r.complete() {
		return &changeset.CorruptError{Ref: r.record(), Reason: fmt.Sprintf("it does not lead to version %d", r.next())}
	}
	return nil
}

// latest returns the header of the latest changeset that was read: nil at the
// beginning.
func (r *reading) latest() *changeset.Header {
	if r.held != nil {
		return &r.held.Header
	}
	return r.last
}

// next returns the version that is to be read next.
func (r *reading) next() uint64 {
	latest := r.latest()
	switch {
	case latest == nil && r.Backward:
		return r.Last
	case latest == nil:
		return r.First
	case r.Backward:
		return latest.Version - 1
	default:
		return latest.Version + 1
	}
}

// complete reports whether everything was yielded.
func (r *reading) complete() bool {
	end := r.Last
	if r.Backward {
		end = r.First
	}
	return r.last != nil && r.last.Version == end
}

// unpacked yields a span of a chain of format 1, which is one walk.
func (r *reading) unpacked() error {
	w := newVersions(r.ctx, r.Store, r.at, r.Span, r.limits)
	for version, id := range r.at.Ancestors.All() {
		w.know(version, changeset.Entry{Version: version, ID: id})
	}
	defer func() { r.last = w.yielded }()
	return w.run(r.yield)
}

// tip yields the changesets of the span that are in the tip.
func (r *reading) tip() error {
	if !r.at.IsPacked() || r.Last < r.at.Index.Next() {
		return nil
	}
	all, err := r.at.TipChangesets()
	if err != nil {
		return corrupted(r.record(), err)
	}
	return r.pass(r.record(), all)
}

// record is the reference of the head's record in errors.
func (r *reading) record() changeset.Ref { return changeset.Ref{AggregateID: r.at.AggregateID} }

// corrupted returns a [*changeset.CorruptError] that names the object.
func corrupted(object changeset.Ref, err error) error {
	if errors.Is(err, changeset.ErrUnsupportedFormat) {
		return err
	}
	reason := err.Error()
	if corrupt, ok := errors.AsType[*changeset.CorruptError](err); ok {
		reason = corrupt.Reason
		if corrupt.Ref != object {
			reason = corrupt.Ref.String() + ": " + reason
		}
	}
	return &changeset.CorruptError{Ref: object, Reason: reason}
}

// named returns err, with the name of the object if it is a [*changeset.CorruptError].
func named(object changeset.Ref, err error) error {
	if _, corrupt := errors.AsType[*changeset.CorruptError](err); corrupt {
		return corrupted(object, err)
	}
	return err
}

// stored yields the changesets of the span that are not in the tip.
func (r *reading) stored() error {
	s, end := r.Span, r.at.Len()
	if r.at.IsPacked() {
		end = r.at.Index.Next()
	}
	if s.First >= end {
		return nil
	}
	s.Last = min(s.Last, end-1)
	if r.at.Index.Objects() > 0 {
		return r.objects(s)
	}
	return r.versions(s, r.limits, r.at.Ancestors.All())
}

// objects yields a span of the changesets in objects of format 2, and in the
// changesets of format 1 below.
func (r *reading) objects(s Span) error {
	w := newObjects(r.ctx, r.Store, r.at, s, r.limits)
	defer w.stop()
	if !s.Backward {
		w.budget.widen(r.limits.WindowBytes / 2) // the other half is for format 1
	}
	for w.more() {
		o, err := w.next()
		if errors.Is(err, errBelow) {
			return r.belowObjects(s, w.ref(0))
		}
		if err != nil {
			return err
		}
		if first := o.First(); !s.Backward && first > w.version {
			if err := r.below(Span{First: w.version, Last: first - 1, Headers: s.Headers, After: s.After}, o.Header); err != nil {
				return err
			}
		}
		w.budget.widen(r.limits.WindowBytes)
		if err := r.object(o, w.yielded); err != nil {
			return err
		}
		w.advance(o)
	}
	if o := w.yielded; s.Backward && o.First() > s.First {
		s.Last = o.First() - 1
		return r.below(s, *o)
	}
	return nil
}

// object yields the changesets of the span that are in an object, after the object
// that was read before it.
func (r *reading) object(o changeset.Changeset, before *changeset.Header) error {
	if err := r.connects(o.Header, before); err != nil {
		return err
	}
	all, err := r.unpack(o)
	if err != nil {
		return err
	}
	if newest := all[len(all)-1]; o.Version+1 == r.at.Index.Next() && (newest.ID != r.at.PackedID || newest.Digest != r.at.PackedDigest) {
		return &changeset.CorruptError{Ref: o.Ref, Reason: "the head has another newest changeset in objects than " + newest.Ref.String()}
	}
	return r.pass(o.Ref, all)
}

// connects checks the index of the upper one of two objects that follow one another.
// Their changesets prove the rest.
func (r *reading) connects(o changeset.Header, before *changeset.Header) error {
	if before == nil {
		return nil
	}
	lower, upper := *before, o
	if r.Backward {
		lower, upper = o, *before
	}
	if upper.Pack.Index != lower.Pack.Index.Push(lower.Ref) {
		return &changeset.CorruptError{Ref: upper.Ref, Reason: "its index does not follow from the index of " + lower.Ref.String()}
	}
	return nil
}

// unpack returns the changesets of an object. The sizes that a frame announces are
// not believed.
func (r *reading) unpack(o changeset.Changeset) ([]changeset.Changeset, error) {
	if r.Headers && !o.Pack.Lines {
		return changeset.Unpack(o, nil) // without its body
	}
	if err := o.VerifyBody(); err != nil {
		return nil, err
	}
	content := o.Body
	if o.Pack.Lines {
		var err error
		if content, err = body.Decode(o, changeset.MaxReadBody); err != nil {
			return nil, corrupted(o.Ref, err)
		}
	}
	return changeset.Unpack(o, content)
}

// belowObjects yields a span that lies below the first object.
func (r *reading) belowObjects(s Span, first changeset.Ref) error {
	info, err := r.Store.Stat(r.ctx, first)
	if err != nil {
		return readError(first, err)
	}
	if info.Ref != first || info.Pack == nil {
		return &changeset.CorruptError{Ref: first, Reason: "the object belongs to " + info.Ref.String()}
	}
	return r.below(s, info.Header)
}

// below yields a span of the changesets of format 1 below the first object of
// format 2.
func (r *reading) below(s Span, first changeset.Header) error {
	limits := r.limits
	limits.WindowBytes /= 2
	parent := first.ParentOf()
	if first.Pack.Index.Objects() > 0 || parent.ID.IsZero() {
		return &changeset.CorruptError{Ref: first.Ref, Reason: fmt.Sprintf("nothing leads from it to version %d", s.Last)}
	}
	return r.versions(s, limits, func(yield func(uint64, changeset.ID) bool) { yield(parent.Version, parent.ID) })
}

// versions yields a span of the changesets of format 1, some of which are known.
func (r *reading) versions(s Span, l Limits, known iter.Seq2[uint64, changeset.ID]) error {
	w := newVersions(r.ctx, r.Store, r.at, s, l)
	for version, id := range known {
		w.know(version, changeset.Entry{Version: version, ID: id})
	}
	var failure error
	err := w.run(func(c changeset.Changeset, _ error) bool {
		if w.pos == 0 {
			failure = r.joins(c.Ref, c.Header)
		}
		if failure == nil {
			failure = r.emit(&c)
		}
		return failure == nil
	})
	return cmp.Or(failure, err)
}

// pass yields the changesets of the span that are in an object, or in the tip,
// proved after what was yielded before. Backward it holds the lowest one of an
// object, since only the object below proves its parent.
func (r *reading) pass(object changeset.Ref, all []changeset.Changeset) error {
	all = slices.DeleteFunc(all, func(c changeset.Changeset) bool { return c.Version < r.First || c.Version > r.Last })
	if r.Backward {
		slices.Reverse(all)
	}
	for i, c := range all {
		if i == 0 {
			if err := r.joins(object, c.Header); err != nil {
				return err
			}
		}
		c, err := withContent(c, r.Headers, r.limits)
		if err != nil {
			return named(object, err)
		}
		if r.Backward && i == len(all)-1 && c.Version > r.First && object.IsPacked() {
			r.held = &c
			return nil
		}
		if err := r.emit(&c); err != nil {
			return err
		}
	}
	return nil
}

// joins checks the first changeset of an object, or of a part of the chain, against
// the changeset that was read before it, and yields that if it was held.
func (r *reading) joins(object changeset.Ref, h changeset.Header) error {
	latest, before := r.latest(), r.of
	r.of = object
	var err error
	switch {
	case h.Version != r.next():
		err = corrupted(object, fmt.Errorf("it has version %d where version %d belongs", h.Version, r.next()))
	case latest != nil && r.Backward:
		err = follows(*latest, before, h, object)
	case latest != nil:
		err = follows(h, object, *latest, object)
	case r.After != nil:
		err = named(object, passes(h, *r.After, r.Head))
	}
	if err != nil {
		return err
	}
	return r.emitHeld()
}

// follows checks that one changeset follows another one. The digest of the upper one
// proves the lower one. Then only the object of the upper one can be wrong about it.
func follows(upper changeset.Header, object changeset.Ref, lower changeset.Header, below changeset.Ref) error {
	if err := upper.Verify(lower.Digest); err != nil {
		return corrupted(below, err)
	}
	if err := upper.VerifyLink(lower); err != nil {
		return corrupted(object, err)
	}
	return nil
}

func (r *reading) emitHeld() error {
	if r.held == nil {
		return nil
	}
	c := r.held
	r.held = nil
	return r.emit(c)
}

// emit yields a changeset.
func (r *reading) emit(c *changeset.Changeset) error {
	if c.Version == r.at.Version {
		if err := r.at.VerifyNewest(c.Header); err != nil {
			return err
		}
	}
	r.last = &c.Header
	if !r.yield(*c, nil) {
		return errStopped
	}
	return nil
}
