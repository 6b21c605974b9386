package ropewalk

import (
	"context"
	"fmt"
	"iter"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/walk"
)

// Reader reads a chain as it was at one head: ranging over it twice gives the
// same. It is safe for concurrent use, and needs no closing.
//
// Its sequences stream, in order; they fetch ahead in parallel, within
// [Options.WindowCount] and [Options.WindowBytes], and stop all their work
// when the loop breaks. Each yields at most one error, as its last element: a
// [*CorruptError] that names the object where what is stored does not match, an
// error that matches [ErrNotFound] where a version lies beyond the head, an
// error that matches [ErrErased] where the history was erased meanwhile, or the
// error of the context or the storage. Everything before a damaged changeset is
// yielded first, as far as it can be found and proved without it.
//
// Every body is checked against its SHA-256, every changeset against what
// pointed at it, and every digest against its changeset's own fields and its
// parent's digest before the changeset is yielded. The one exception is the
// first changeset of a range that does not begin at version 0, whose parent is
// not read: begin one version lower, or use [Reader.Since], to have it proved.
//
// Changesets have the content that was appended, whether it is stored compressed
// ([Options.Compress]) or not. The error matches [ErrStoredTooLarge] if content is
// larger than [Options.MaxContentSize].
type Reader struct {
	store      *Store
	changesets changeset.Store
	id         string
	head       head.Head
}

// Reader returns a reader at the chain's present head, with one request. Its
// error matches [ErrNotFound] if there is no chain, [ErrErased] if there is
// none any more.
func (c *Chain) Reader(ctx context.Context) (*Reader, error) {
	h, err := c.Head(ctx)
	if err != nil {
		return nil, err
	}
	return c.ReaderAt(h), nil
}

// ReaderAt returns a reader at a head that was read before, or at one of
// [Chain.HeadAt]. It does no I/O. At the zero Head the history is empty.
func (c *Chain) ReaderAt(h head.Head) *Reader {
	return &Reader{c.store, c.store.changesets, c.id, h}
}

// Head returns the head that the reader is pinned at.
func (r *Reader) Head() head.Head { return r.head }

// All yields the whole history, the oldest changeset first.
func (r *Reader) All(ctx context.Context) iter.Seq2[changeset.Changeset, error] {
	if !r.head.Exists() {
		return nothing
	}
	return r.contents(ctx, walk.Span{Last: r.head.Version})
}

// Backward yields the whole history, the newest changeset first. It makes no
// request beyond one for each changeset.
func (r *Reader) Backward(ctx context.Context) iter.Seq2[changeset.Changeset, error] {
	if !r.head.Exists() {
		return nothing
	}
	return r.contents(ctx, walk.Span{Last: r.head.Version, Backward: true})
}

// Range yields the versions first to last, both included, the oldest first.
func (r *Reader) Range(ctx context.Context, first, last uint64) iter.Seq2[changeset.Changeset, error] {
	return r.contents(ctx, walk.Span{First: first, Last: last})
}

// RangeBackward yields the versions last down to first, both included, the
// newest first.
func (r *Reader) RangeBackward(ctx context.Context, last, first uint64) iter.Seq2[changeset.Changeset, error] {
	return r.contents(ctx, walk.Span{First: first, Last: last, Backward: true})
}

// From yields the versions from first to the newest, the oldest first; nothing
// where first is the version to come, and an error that matches [ErrNotFound]
// where first lies beyond that.
func (r *Reader) From(ctx context.Context, first uint64) iter.Seq2[changeset.Changeset, error] {
	if first == r.head.Ancestors.Version() {
		return nothing
	}
	return r.contents(ctx, walk.Span{First: first, Last: max(first, r.head.Version)})
}

// nothing is the sequence of an empty history.
func nothing(func(changeset.Changeset, error) bool) {}

// Since yields what came after a head that was read before, the oldest first:
// nothing where that is the newest, everything after the zero Head. It proves
// that the chain passes through that head; where it does not, the error
// matches [ErrNotFound].
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

// Headers yields the headers of the versions first to last, both included, the
// oldest first, without reading contents.
func (r *Reader) Headers(ctx context.Context, first, last uint64) iter.Seq2[changeset.Header, error] {
	return r.headers(ctx, walk.Span{First: first, Last: last, Headers: true})
}

// HeadersBackward yields the headers of the versions last down to first, both
// included, without reading contents.
func (r *Reader) HeadersBackward(ctx context.Context, last, first uint64) iter.Seq2[changeset.Header, error] {
	return r.headers(ctx, walk.Span{First: first, Last: last, Headers: true, Backward: true})
}

// At returns the changeset at one version. Its error matches [ErrNotFound]
// where the version lies beyond the head.
func (r *Reader) At(ctx context.Context, version uint64) (c changeset.Changeset, err error) {
	for c, err = range r.Range(ctx, version, version) {
		break
	}
	return c, err
}

// contents yields a span of the chain, each error with the name of its object.
func (r *Reader) contents(ctx context.Context, s walk.Span) iter.Seq2[changeset.Changeset, error] {
	return func(yield func(changeset.Changeset, error) bool) {
		if err := r.check(s); err != nil {
			yield(changeset.Changeset{}, err)
			return
		}
		o := r.store.options
		limits := walk.Limits{WindowCount: o.WindowCount, WindowBytes: o.WindowBytes, MaxContentSize: o.MaxContentSize}
		for c, err := range walk.Changesets(ctx, r.changesets, r.head, s, limits) {
			if err == nil && !s.Headers {
				c.Content, err = body.Decode(c, o.MaxContentSize)
			}
			if err != nil {
				yield(changeset.Changeset{}, r.store.Chain(r.id).unlessErased(ctx, r.store.located(err)))
				return
			}
			if !yield(c, nil) {
				return
			}
		}
	}
}

// check returns an error if the span does not lie within the chain.
func (r *Reader) check(s walk.Span) error {
	if err := changeset.ValidateAggregateID(r.id); err != nil {
		return err
	}
	switch {
	case r.head.AggregateID != r.id && r.head.Exists():
		return fmt.Errorf("the head belongs to %q, not to %q", r.head.AggregateID, r.id)
	case r.head.State == head.Erased:
		return fmt.Errorf("chain %q: %w", r.id, ErrErased)
	case s.First > s.Last:
		return fmt.Errorf("range %d..%d of %q: the first version is above the last one", s.First, s.Last, r.id)
	case s.Last >= r.head.Ancestors.Version():
		return fmt.Errorf("version %d of %q, which is at %d: %w", s.Last, r.id, r.head.Version, ErrNotFound)
	}
	return nil
}

func (r *Reader) headers(ctx context.Context, s walk.Span) iter.Seq2[changeset.Header, error] {
	return func(yield func(changeset.Header, error) bool) {
		for c, err := range r.contents(ctx, s) {
			if !yield(c.Header, err) {
				return
			}
		}
	}
}

// Collect returns all that a sequence yields, or what it has yielded before
// its error, and the error.
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
