package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/parallel"
	"ropewalk/internal/pause"
	"ropewalk/internal/walk"
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

// deliveries yields the changes after a position. With follow, it yields caughtUp
// when nothing more is there for now, and goes on.
func (f *Feed) deliveries(ctx context.Context, after Position, follow bool, want wanted) iter.Seq2[delivery, error] {
	work := func(ctx context.Context) iter.Seq2[piece, error] { return f.pieces(ctx, after, follow, want) }
	return func(yield func(delivery, error) bool) {
		for done, err := range parallel.Map(ctx, f.options.ReadAhead, work, f.readPiece) {
			if err != nil {
				yield(delivery{}, err)
				return
			}
			for _, d := range done.deliveries {
				if !yield(d, nil) {
					return
				}
			}
			if done.err != nil {
				yield(delivery{}, done.err)
				return
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
}

// pieces yields the pieces of the entries after a position.
func (f *Feed) pieces(ctx context.Context, after Position, follow bool, want wanted) iter.Seq2[piece, error] {
	return func(yield func(piece, error) bool) {
		for page, err := range f.pages(ctx, after, follow) {
			if err != nil {
				yield(piece{}, err)
				return
			}
			if len(page) == 0 && !yield(piece{kind: caughtUp}, nil) {
				return
			}
			for _, e := range page {
				for p, err := range f.split(ctx, e, want) {
					if !yield(p, err) || err != nil {
						return
					}
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
func (f *Feed) split(ctx context.Context, e entry, want wanted) iter.Seq2[piece, error] {
	return func(yield func(piece, error) bool) {
		a := e.advance
		switch {
		case want != nil && !want(a):
			yield(piece{entry: e, kind: skipped}, nil)
			return
		case a.Erased || a.Last-a.First < maxSpan:
			yield(piece{entry: e, first: a.First, last: a.Last}, nil)
			return
		}
		newest, err := f.headAt(ctx, ropewalk.Ref{AggregateID: a.AggregateID, Version: a.Last, ID: a.ID})
		if err != nil {
			yield(piece{}, err)
			return
		}
		for first := a.First; ; first += maxSpan {
			last := min(a.Last, first+maxSpan-1)
			if !yield(piece{entry: e, first: first, last: last, newest: newest}, nil) || last == a.Last {
				return
			}
		}
	}
}

// done is what a piece has become: deliveries, and an error after them.
type done struct {
	deliveries []delivery
	err        error
}

// readPiece reads the changesets of a piece.
func (f *Feed) readPiece(ctx context.Context, p piece) (done, error) {
	a := p.advance
	last := ropewalk.Ref{AggregateID: a.AggregateID, Version: a.Last, ID: a.ID}
	switch {
	case p.kind != changed:
		return done{deliveries: []delivery{{Change{Position: p.position}, p.kind}}}, nil
	case a.Erased:
		return done{deliveries: []delivery{{f.erasure(last, p.position), changed}}}, nil
	case p.newest.Exists() || p.first < p.last:
		return f.readSpan(ctx, p, last), nil
	}
	c, err := f.get(ctx, last)
	if err == nil && !a.Before.IsZero() && c.Parent != a.Before {
		err = &ropewalk.CorruptError{Ref: last, Reason: fmt.Sprintf("its parent is %s, and the feed says %s", c.Parent, a.Before)}
	}
	if err != nil {
		return f.unlessErased(ctx, p, last.Version, err), nil
	}
	return done{deliveries: []delivery{{Change{Changeset: c, Position: p.position}, changed}}}, nil
}

func (f *Feed) erasure(ref ropewalk.Ref, at Position) Change {
	return Change{Changeset: ropewalk.Changeset{Header: ropewalk.Header{Ref: ref}}, Position: at, Erased: true}
}

// readSpan reads several versions of an aggregate.
func (f *Feed) readSpan(ctx context.Context, p piece, last ropewalk.Ref) (d done) {
	next := p.first
	newest := p.newest
	if !newest.Exists() {
		var err error
		if newest, err = f.headAt(ctx, last); err != nil {
			return f.unlessErased(ctx, p, next, err)
		}
	}
	versions := ropewalk.Range{First: p.first, Last: p.last}
	for c, err := range f.store.Chain(last.AggregateID).ReaderAt(newest).Changesets(ctx, versions) {
		if err != nil {
			rest := f.unlessErased(ctx, p, next, err)
			return done{append(d.deliveries, rest.deliveries...), rest.err}
		}
		d.deliveries = append(d.deliveries, delivery{Change{Changeset: c, Position: p.at(c.Version)}, changed})
		next++
	}
	return d
}

// unlessErased returns the error of reading a piece from a version on. If the
// aggregate was erased, it returns the erasure in place of the changesets.
func (f *Feed) unlessErased(ctx context.Context, p piece, version uint64, err error) done {
	if ctx.Err() != nil {
		return done{err: err}
	}
	_, loadErr := f.store.Chain(p.advance.AggregateID).Head(ctx)
	if !errors.Is(loadErr, ropewalk.ErrErased) {
		return done{err: err}
	}
	ref := ropewalk.Ref{AggregateID: p.advance.AggregateID, Version: p.advance.Last, ID: p.advance.ID}
	return done{deliveries: []delivery{{f.erasure(ref, p.at(p.last)), changed}}}
}

// get returns one changeset, proved against its reference and the hash of its body.
func (f *Feed) get(ctx context.Context, ref ropewalk.Ref) (ropewalk.Changeset, error) {
	limit := f.store.Options().MaxContentSize
	c, err := f.store.Changesets().Get(ctx, ref, func(h changeset.Header) error {
		if h.BodySize > limit {
			return fmt.Errorf("%w: %d bytes, more than %d", changeset.ErrStoredTooLarge, h.BodySize, limit)
		}
		return nil
	})
	if err == nil && c.Ref != ref {
		err = &changeset.CorruptError{Ref: ref, Reason: "the object belongs to " + c.Ref.String()}
	}
	if err == nil {
		err = c.VerifyBody()
	}
	if err == nil {
		c.Content, err = body.Decode(c, limit)
	}
	if err != nil {
		return ropewalk.Changeset{}, walk.ReadError(ref, err)
	}
	return c, nil
}

// headAt returns the head at a changeset.
func (f *Feed) headAt(ctx context.Context, ref ropewalk.Ref) (head.Head, error) {
	info, err := f.store.Changesets().Stat(ctx, ref)
	if err == nil && info.Ref != ref {
		err = &changeset.CorruptError{Ref: ref, Reason: "the object belongs to " + info.Ref.String()}
	}
	if err != nil {
		return head.Head{}, walk.ReadError(ref, err)
	}
	return head.At(info.Header), nil
}

// pauses returns the pauses between looks at what other processes may change.
func (f *Feed) pauses() *pause.Pauses {
	return pause.New(pause.First(f.options.Poll), pause.Max(8*f.options.Poll))
}
