package walk

import (
	"context"
	"errors"
	"iter"
	"slices"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
	"ropewalk/internal/parallel"
)

const (
	// rangeSize is how many versions are read by one request: as many as lie between two IDs
	// of the third wheel of the ancestor index.
	rangeSize = 256
	// minRange is how many changesets make it worth to read by ranges.
	minRange = 16
)

// errUnsound ends the reading by ranges at a range that does not hold as a whole.
var errUnsound = errors.New("the range is not sound")

// ranges yields a span of a chain of format 1 by requests for neighbouring versions, if the
// store has them. The ID of the last version of a range comes from the head's index, and
// leads to the others. Each range is proved as a whole before a changeset of it is yielded,
// while the range before it is consumed.
//
// It ends early at a range that is missing something, does not hold, or does not fit the
// window. Requests for single changesets then go on, and find out what is wrong.
func (r *reading) ranges() error {
	store, ok := r.Store.(changeset.RangeGetter)
	if !ok || !store.GetsRangesOf(r.Store) || r.Headers || r.at.IsPacked() || r.limits.WindowCount > 0 || r.Last-r.First < minRange {
		return nil
	}
	s := rangeSource{store: store, chain: r.Chain, at: r.at, span: r.Span, limits: r.limits}
	for all, err := range parallel.Map(r.ctx, 1, s.split, s.get) {
		if err == nil {
			err = r.passRange(all)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// passRange yields the changesets of a range, after what was yielded before. Backward it
// holds the lowest one, whose parent is in the next range.
func (r *reading) passRange(all []changeset.Changeset) error {
	if r.Backward {
		slices.Reverse(all)
	}
	if err := r.joins(all[0].Ref, all[0].Header); err != nil {
		return err
	}
	for i := range all {
		c := &all[i]
		if err := r.ctx.Err(); err != nil {
			return err
		}
		var err error
		if c.Content, err = body.Decode(*c, r.limits.MaxContentSize); err != nil {
			return err
		}
		if r.Backward && i == len(all)-1 && c.Version > r.First {
			r.held = c
			return nil
		}
		if err := r.emit(c); err != nil {
			return err
		}
	}
	return nil
}

// rangeSource reads the ranges of a span. It shares nothing with the reading that
// consumes them.
type rangeSource struct {
	store  changeset.RangeGetter
	chain  Chain
	at     head.Head
	span   Span
	limits Limits
}

// versionRange is a range of versions up to a known changeset.
type versionRange struct {
	first uint64
	last  changeset.Ref
}

// split yields the ranges in the order of the walk.
func (s rangeSource) split(ctx context.Context) iter.Seq2[versionRange, error] {
	return func(yield func(versionRange, error) bool) {
		seen := map[changeset.Ref]changeset.Header{}
		header := func(ref changeset.Ref) (h changeset.Header, err error) {
			h, ok := seen[ref]
			if !ok {
				h, err = s.header(ctx, ref)
				seen[ref] = h
			}
			return h, err
		}
		for first, last := range s.span.split {
			id, err := link.Find(s.at, last, header)
			v := versionRange{first, changeset.Ref{AggregateID: s.at.AggregateID, Version: last, ID: id}}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// header returns the header of a changeset whose index leads on.
func (s rangeSource) header(ctx context.Context, ref changeset.Ref) (changeset.Header, error) {
	info, err := s.chain.Store.Stat(ctx, ref)
	if err == nil && info.Ref != ref {
		err = errUnsound
	}
	return info.Header, err
}

// split yields the first and the last versions of the ranges of a span.
func (s Span) split(yield func(first, last uint64) bool) {
	if s.Backward {
		for last := s.Last; ; {
			first := max(s.First, last&^(rangeSize-1))
			if !yield(first, last) || first == s.First {
				return
			}
			last = first - 1
		}
	}
	for first := s.First; ; {
		last := min(s.Last, first|(rangeSize-1))
		if !yield(first, last) || last == s.Last {
			return
		}
		first = last + 1
	}
}

// get reads a range, and proves it.
func (s rangeSource) get(ctx context.Context, v versionRange) ([]changeset.Changeset, error) {
	room := s.limits.WindowBytes / 2 // the other half is for the range that is consumed
	all, err := s.store.GetRange(ctx, s.at.AggregateID, v.first, v.last.Version, func(h changeset.Header) error {
		if room -= h.BodySize; room < 0 || h.BodySize > s.limits.MaxContentSize {
			return errNotNow
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if all, err = v.linked(all); err != nil {
		return nil, err
	}
	return all, verify(all)
}

// linked returns the changesets to which the links lead down from the last one.
func (v versionRange) linked(all []changeset.Changeset) ([]changeset.Changeset, error) {
	next, from := v.last, len(all)
	for i := range slices.Backward(all) {
		if all[i].Ref != next {
			continue // an orphan
		}
		if from--; from != i {
			all[from] = all[i]
		}
		next.Version, next.ID = next.Version-1, all[from].Parent
	}
	if uint64(len(all)-from) != v.last.Version-v.first+1 {
		return nil, errUnsound
	}
	return all[from:], nil
}

// verify proves neighbouring changesets: each body by its hash, and all changesets but
// the first one by the link and the digest. Version 0 needs no parent.
func verify(all []changeset.Changeset) error {
	for i := range all {
		c := &all[i]
		if err := c.VerifyBody(); err != nil {
			return err
		}
		var parent changeset.Digest
		if i > 0 {
			parent = all[i-1].Digest
			if err := c.VerifyLink(all[i-1].Header); err != nil {
				return err
			}
		}
		if i > 0 || c.Version == 0 {
			if err := c.Header.Verify(parent); err != nil {
				return err
			}
		}
	}
	return nil
}
