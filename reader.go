package ropewalk

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/walk"
)

// Newest as the last version of a [Range] stands for the head's version.
const Newest uint64 = math.MaxUint64

// Range is a range of versions, both ends included: the oldest version is yielded
// first, or the newest if Backward is set. The zero Range is version 0 alone.
type Range struct {
	First, Last uint64
	Backward    bool
}

// Reader reads a chain as it was at one head: ranging over it twice gives the
// same result. It is safe for concurrent use, and needs no closing.
//
// Its sequences stream, in order. They fetch ahead in parallel, within
// [Options.WindowCount] and [Options.WindowBytes], and stop all their work
// when the loop breaks. Each yields at most one error, as its last element: a
// [*CorruptError] that names the object if a stored object is damaged or missing,
// an error that matches [ErrNotFound] if a version lies beyond the head, an
// error that matches [ErrErased] if the history was erased in the meantime, or
// the error of the context or the storage. Everything before a damaged changeset
// is yielded first, as far as it can be found and proved without it.
//
// Every content is checked against its SHA-256, every changeset against the
// reference to it, and every digest against its changeset's own fields and its
// parent's digest before the changeset is yielded. The only exception is the
// first changeset of a range that does not begin at version 0, whose parent is
// not read. To have it proved, begin one version lower, or use [Reader.Since].
//
// In a packed chain an object has several changesets. Its digests prove all of them
// before the first one is yielded. Contents of one object may lie side by side in
// memory: a program that keeps few of them for long should copy them. If objects were
// replaced by others since the head was read, a sequence goes on through the present
// head, which must lead through the reader's own. At a head that does not say where its
// changesets are stored ([Head.IsPlaced]), each sequence loads the head first; if
// the chain does not pass through the reader's head, the error matches [ErrNotFound].
type Reader struct {
	store      *Store
	changesets changeset.Store
	id         string
	head       head.Head
	met        func(changeset.Header) // if not nil, called with each header that is read
}

// Reader returns a reader at the chain's present head, with one request. Its
// error matches [ErrErased] if the history was erased, and [ErrNotFound] if the
// chain does not exist. With [ErrNotFound] it also returns a reader of the empty
// history, for callers to whom a missing aggregate is an empty one:
//
//	r, err := chain.Reader(ctx)
//	if err != nil && !errors.Is(err, ropewalk.ErrNotFound) {
//		return err
//	}
func (c *Chain) Reader(ctx context.Context) (*Reader, error) {
	h, err := c.Head(ctx)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	return c.ReaderAt(h), err
}

// ReaderAt returns a reader at a head that was read before, or at a head that
// [Chain.HeadAt] returned. It does no I/O. At the zero Head, and at a void head, the
// history is empty.
func (c *Chain) ReaderAt(h head.Head) *Reader {
	return &Reader{store: c.store, changesets: c.store.changesets, id: c.id, head: h}
}

// Head returns the head that the reader is pinned at, the zero Head or a void head
// ([head.Void]) if the history is empty.
func (r *Reader) Head() head.Head { return r.head }

// All yields the whole history, the oldest changeset first.
func (r *Reader) All(ctx context.Context) iter.Seq2[changeset.Changeset, error] {
	return r.Changesets(ctx, Range{Last: Newest})
}

// Backward yields the whole history, the newest changeset first. It makes no
// request beyond one for each object: each changeset, or each pack of a packed chain.
func (r *Reader) Backward(ctx context.Context) iter.Seq2[changeset.Changeset, error] {
	return r.Changesets(ctx, Range{Last: Newest, Backward: true})
}

// Changesets yields the changesets of a range. A range from the next version to
// [Newest] is empty. The error matches [ErrNotFound] if the range begins after the
// next version, or ends after the newest version.
func (r *Reader) Changesets(ctx context.Context, versions Range) iter.Seq2[changeset.Changeset, error] {
	return r.sequence(ctx, versions, false)
}

// Headers yields the headers of a range without reading any content, except in a
// packed chain, whose objects have the headers beside the contents. Its errors are
// the errors of [Reader.Changesets].
func (r *Reader) Headers(ctx context.Context, versions Range) iter.Seq2[changeset.Header, error] {
	return func(yield func(changeset.Header, error) bool) {
		for c, err := range r.sequence(ctx, versions, true) {
			if !yield(c.Header, err) {
				return
			}
		}
	}
}

func (r *Reader) sequence(ctx context.Context, versions Range, headers bool) iter.Seq2[changeset.Changeset, error] {
	last := versions.Last
	if last == Newest {
		if versions.First == r.head.Len() && r.head.State != head.Erased {
			return nothing
		}
		last = max(versions.First, r.head.Version)
	}
	return r.contents(ctx, walk.Span{First: versions.First, Last: last, Backward: versions.Backward, Headers: headers})
}

// nothing is the sequence of an empty range.
func nothing(func(changeset.Changeset, error) bool) {}

// Since yields the changesets after a head that was read before, the oldest
// first: none if that head is the newest, and the whole history after the zero
// Head. It proves that the chain passes through that head. If the chain does
// not, the error matches [ErrNotFound].
func (r *Reader) Since(ctx context.Context, h head.Head) iter.Seq2[changeset.Changeset, error] {
	if !h.Exists() {
		return r.All(ctx)
	}
	if h.Ref == r.head.Ref {
		return nothing
	}
	if h.AggregateID != r.id || h.Version >= r.head.Version {
		return func(yield func(changeset.Changeset, error) bool) {
			yield(changeset.Changeset{}, walk.NotPassed(h.Ref, r.head.Ref))
		}
	}
	return r.contents(ctx, walk.Span{First: h.Version + 1, Last: r.head.Version, After: &h})
}

// At returns the changeset at one version. Its error matches [ErrNotFound]
// if the version lies beyond the head.
func (r *Reader) At(ctx context.Context, version uint64) (c changeset.Changeset, err error) {
	for c, err = range r.contents(ctx, walk.Span{First: version, Last: version}) {
		break
	}
	return c, err
}

// contents yields a span of the chain, each error with the name of its object.
func (r *Reader) contents(ctx context.Context, s walk.Span) iter.Seq2[changeset.Changeset, error] {
	return func(yield func(changeset.Changeset, error) bool) {
		result := Result{Err: errUnfinished} // unless the loop ends without a panic
		observed, end := r.store.start(ctx, OperationRead, r.id)
		defer func() { end(result) }()
		if err := r.check(s); err != nil {
			result.Err = err
			yield(changeset.Changeset{}, err)
			return
		}
		o := r.store.options
		limits := walk.Limits{WindowCount: o.WindowCount, WindowBytes: o.WindowBytes, MaxContentSize: o.MaxContentSize}
		chain := walk.Chain{Store: r.changesets, Head: r.head, Load: r.store.Chain(r.id).load}
		var last error
		for c, err := range chain.Changesets(observed, s, limits) {
			if err == nil && r.met != nil {
				r.met(c.Header)
			}
			if last = r.store.located(err); err == nil {
				result.Count++
			}
			if !yield(c, last) {
				break
			}
		}
		result.Err = last
	}
}

// check returns an error if the span does not lie within the chain.
func (r *Reader) check(s walk.Span) error {
	if err := changeset.ValidateAggregateID(r.id); err != nil {
		return err
	}
	switch {
	case r.head.AggregateID != r.id && !r.head.IsZero():
		return fmt.Errorf("the head belongs to %q, not to %q", r.head.AggregateID, r.id)
	case r.head.State == head.Erased:
		return fmt.Errorf("chain %q: %w", r.id, ErrErased)
	case s.First > s.Last:
		return fmt.Errorf("range %d..%d of %q: the first version is above the last one", s.First, s.Last, r.id)
	case s.Last >= r.head.Len():
		return fmt.Errorf("version %d of %q, which is at %d: %w", s.Last, r.id, r.head.Version, ErrNotFound)
	}
	return nil
}

// Collect returns everything that a sequence yields. If the sequence ends with an
// error, it returns the error and everything that was yielded before.
func Collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for v, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}
