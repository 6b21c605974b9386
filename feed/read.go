package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/parallel"
	"ropewalk/internal/pause"
)

// delivery is one step along the feed.
type delivery struct {
	Change // only its position is set if the kind is not changed
	kind   kind
}

// kind says what a delivery is.
type kind int

const (
	changed  kind = iota
	skipped       // an advance that the caller does not want ends here
	caughtUp      // there is nothing more for now; the position is unset
)

// wanted reports whether a caller wants the changes of an advance. Changesets that
// nobody wants are not read.
type wanted func(head.Advance) bool

// maxSpan is the largest number of changesets that are read as one piece of work.
const maxSpan = 64

// budget is about how many bytes of contents a read takes in before their turn.
const budget = 1 << 20

// deliveries yields the changes after a position. With follow, it yields caughtUp
// when nothing more is there for now, and goes on.
func (f *Feed) deliveries(ctx context.Context, after Position, follow bool, want wanted) iter.Seq2[delivery, error] {
	r := f.newReading()
	work := func(ctx context.Context) iter.Seq2[bundle, error] { return r.bundles(ctx, after, follow, want) }
	return func(yield func(delivery, error) bool) {
		for done, err := range parallel.Map(ctx, f.options.ReadAhead, work, r.readBundle) {
			for {
				for _, d := range done.deliveries {
					if !yield(d, nil) {
						return
					}
				}
				if err = cmp.Or(err, done.err); err != nil {
					yield(delivery{}, err)
					return
				}
				if len(done.rest) == 0 {
					break
				}
				done, err = r.readBundle(ctx, done.rest)
			}
		}
	}
}

// piece is a part of an advance of at most maxSpan versions, or a step without
// changesets.
type piece struct {
	entry
	kind  kind
	first uint64
	last  uint64
	// newest is the head at the advance's last version if the piece is a part of a
	// long advance.
	newest head.Head
	// failed is why that head could not be read.
	failed error
}

// isSpan reports whether the piece is read along the chain of its aggregate.
func (p piece) isSpan() bool { return p.newest.Exists() || p.first < p.last }

// bundle holds consecutive pieces that are read at once: a span, or pieces that are
// one changeset or none.
type bundle []piece

// bundles yields the pieces of the entries after a position. A bundle has several
// pieces only if the store can read many changesets by one request.
func (r *reading) bundles(ctx context.Context, after Position, follow bool, want wanted) iter.Seq2[bundle, error] {
	size := 1
	if _, many := changeset.As[changeset.ManyGetter](r.store.Changesets()); many {
		size = maxSpan
	}
	return func(yield func(bundle, error) bool) {
		for page, err := range r.pages(ctx, after, follow) {
			if err != nil {
				yield(nil, err)
				return
			}
			if len(page) == 0 && !yield(bundle{{kind: caughtUp}}, nil) {
				return
			}
			var b bundle
			for p := range r.pieces(ctx, page, want) {
				if len(b) > 0 && (len(b) == size || p.isSpan() || b[0].isSpan()) {
					if !yield(b, nil) {
						return
					}
					b = nil
				}
				b = append(b, p)
			}
			if len(b) > 0 && !yield(b, nil) {
				return
			}
		}
	}
}

// pieces yields the pieces of entries.
func (r *reading) pieces(ctx context.Context, page []entry, want wanted) iter.Seq[piece] {
	return func(yield func(piece) bool) {
		for _, e := range page {
			for p := range r.split(ctx, e, want) {
				if !yield(p) {
					return
				}
			}
		}
	}
}

// pages yields the entries of the present feed. With follow, it waits for a feed.
func (f *Feed) pages(ctx context.Context, after Position, follow bool) iter.Seq2[[]entry, error] {
	return func(yield func([]entry, error) bool) {
		for pauses := f.pauses(); ; {
			j, err := f.journal(ctx)
			if err == nil {
				j.pages(ctx, after, follow)(yield)
				return
			}
			if !errors.Is(err, ErrNoFeed) || !follow || !after.IsZero() {
				yield(nil, err)
				return
			}
			if !yield(nil, nil) {
				return
			}
			if err := pauses.Wait(ctx); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// split divides an entry into pieces.
func (r *reading) split(ctx context.Context, e entry, want wanted) iter.Seq[piece] {
	return func(yield func(piece) bool) {
		a := e.advance
		switch {
		case want != nil && !want(a):
			yield(piece{entry: e, kind: skipped})
			return
		case a.Erased || a.Last-a.First < maxSpan:
			yield(piece{entry: e, first: a.First, last: a.Last})
			return
		}
		newest, err := r.headAt(ctx, ropewalk.Ref{AggregateID: a.AggregateID, Version: a.Last, ID: a.ID})
		if err != nil {
			yield(piece{entry: e, first: a.First, last: a.Last, failed: err})
			return
		}
		for first := a.First; ; first += maxSpan {
			last := min(a.Last, first+maxSpan-1)
			if !yield(piece{entry: e, first: first, last: last, newest: newest}) || last == a.Last {
				return
			}
		}
	}
}

// done is what a bundle has become: deliveries, and an error after them, or what
// would have exceeded the budget.
type done struct {
	deliveries []delivery
	err        error
	rest       bundle
}

// readBundle reads a bundle: all of it, or as much as the budget allows.
func (r *reading) readBundle(ctx context.Context, b bundle) (d done, err error) {
	found := r.readMany(ctx, b)
	size := 0
	for i, p := range b {
		if size > budget {
			d.rest = b[i:]
			return d, nil
		}
		one := r.readPiece(ctx, p, found)
		d.deliveries = append(d.deliveries, one.deliveries...)
		if d.err = one.err; d.err != nil {
			return d, nil
		}
		if len(one.rest) > 0 {
			d.rest = append(one.rest, b[i+1:]...)
			return d, nil
		}
		for _, read := range one.deliveries {
			size += len(read.Content)
		}
	}
	return d, nil
}

// readMany returns what one request gives of a bundle within the budget. What it
// leaves out is to be read alone, which says why it is missing.
func (r *reading) readMany(ctx context.Context, b bundle) map[ropewalk.Ref]ropewalk.Changeset {
	many, ok := changeset.As[changeset.ManyGetter](r.store.Changesets())
	var refs []ropewalk.Ref
	for _, p := range b {
		if p.kind == changed && !p.advance.Erased {
			refs = append(refs, p.ref())
		}
	}
	if !ok || len(refs) < 2 {
		return nil
	}
	var size atomic.Int64
	all, _ := many.GetMany(ctx, refs, func(h changeset.Header) error {
		if size.Add(h.BodySize) > budget {
			return changeset.ErrTooLarge
		}
		return nil
	})
	found := make(map[ropewalk.Ref]ropewalk.Changeset, len(all))
	for _, c := range all {
		if c, err := r.admitted(c); err == nil {
			found[c.Ref] = c
		}
	}
	return found
}

// ref is the reference of the advance's last changeset.
func (p piece) ref() ropewalk.Ref {
	return ropewalk.Ref{AggregateID: p.advance.AggregateID, Version: p.advance.Last, ID: p.advance.ID}
}

// readPiece reads the changesets of a piece that are not among those found before.
func (r *reading) readPiece(ctx context.Context, p piece, found map[ropewalk.Ref]ropewalk.Changeset) done {
	a, last := p.advance, p.ref()
	switch {
	case p.kind != changed:
		return done{deliveries: []delivery{{Change{Position: p.position}, p.kind}}}
	case a.Erased:
		return done{deliveries: []delivery{{r.erasure(last, p.position), changed}}}
	case p.isSpan():
		return r.readSpan(ctx, p, last)
	}
	c, ok := found[last]
	var err error
	if !ok {
		c, err = r.get(ctx, last)
	}
	if err == nil && !a.Before.IsZero() && c.Parent != a.Before {
		err = &ropewalk.CorruptError{Ref: last, Reason: fmt.Sprintf("its parent is %s, and the feed says %s", c.Parent, a.Before)}
	}
	if err != nil {
		return r.unlessErased(ctx, p, err)
	}
	return done{deliveries: []delivery{{Change{Changeset: c, Position: p.position}, changed}}}
}

func (f *Feed) erasure(ref ropewalk.Ref, at Position) Change {
	return Change{Changeset: ropewalk.Changeset{Header: ropewalk.Header{Ref: ref}}, Position: at, Erased: true}
}

// readSpan reads several versions of an aggregate, as many as the budget allows.
func (r *reading) readSpan(ctx context.Context, p piece, last ropewalk.Ref) (d done) {
	if p.failed != nil {
		return r.unlessErased(ctx, p, p.failed)
	}
	newest := p.newest
	if !newest.Exists() {
		var err error
		if newest, err = r.headAt(ctx, last); err != nil {
			return r.unlessErased(ctx, p, err)
		}
	}
	size := 0
	versions := ropewalk.Range{First: p.first, Last: p.last}
	for c, err := range r.span(ctx, newest, last, versions) {
		if err != nil {
			rest := r.unlessErased(ctx, p, err)
			return done{append(d.deliveries, rest.deliveries...), rest.err, nil}
		}
		d.deliveries = append(d.deliveries, delivery{Change{Changeset: c, Position: p.at(c.Version)}, changed})
		if size += len(c.Content); size > budget && c.Version < p.last {
			p.first, p.newest = c.Version+1, newest
			d.rest = bundle{p}
			return d
		}
	}
	return d
}

// unlessErased returns the error of reading a piece from a version on. If the
// aggregate was erased, it returns the erasure in place of the changesets. If that is
// unknown, the error is not a [*changeset.CorruptError].
func (f *Feed) unlessErased(ctx context.Context, p piece, err error) done {
	_, loadErr := f.store.Chain(p.advance.AggregateID).Head(ctx)
	switch {
	case errors.Is(loadErr, ropewalk.ErrErased):
		ref := ropewalk.Ref{AggregateID: p.advance.AggregateID, Version: p.advance.Last, ID: p.advance.ID}
		return done{deliveries: []delivery{{f.erasure(ref, p.at(p.last)), changed}}}
	case loadErr != nil && !errors.Is(loadErr, ropewalk.ErrNotFound):
		return done{err: fmt.Errorf("%v, and the head could not be read: %w", err, loadErr)}
	}
	return done{err: err}
}

// pauses returns the pauses between looks at what other processes may change.
func (f *Feed) pauses() *pause.Pauses {
	return pause.New(pause.First(f.options.Poll), pause.Max(8*f.options.Poll))
}
