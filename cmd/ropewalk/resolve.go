package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"sort"
	"strings"
	"time"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/head"
)

// span is a range of versions of one chain, both included.
type span struct {
	reader      *ropewalk.Reader
	first, last uint64
}

// contents yields the changesets of the span, the oldest first unless it is
// backward.
func (s span) contents(ctx context.Context, backward bool) iter.Seq2[changeset.Changeset, error] {
	return s.reader.Changesets(ctx, ropewalk.Range{First: s.first, Last: s.last, Backward: backward})
}

// span resolves a reference to a range of the chain. An ID alone is the whole chain,
// and a reference to one changeset is a range of one. The error matches
// [ropewalk.ErrNotFound] if the chain does not have the range.
func (s *store) span(ctx context.Context, r reference.Reference) (span, error) {
	reader, err := s.Chain(r.ID).Reader(ctx)
	if err != nil {
		return span{}, err
	}
	newest := reader.Head().Version
	out := span{reader, r.First, r.Last}
	switch r.Form {
	case reference.Bare:
		out.last = newest
	case reference.Onward:
		out.last = newest
		if r.First > newest {
			err = fmt.Errorf("version %d of %q, which is at %d: %w", r.First, r.ID, newest, ropewalk.ErrNotFound)
		}
	case reference.AsOf:
		out.first, err = recordedBy(ctx, reader, r)
		out.last = out.first
	case reference.Within:
		out.last = newest
		var found bool
		if out, found, err = out.recorded(ctx, r.Since, r.At); err == nil && !found {
			err = fmt.Errorf("%q has nothing that was recorded then: %w", r.ID, ropewalk.ErrNotFound)
		}
	case reference.Exact:
		err = checkInChain(ctx, reader, r)
	}
	return out, err
}

// checkInChain returns an error unless the chain has the changeset that an exact
// reference names.
func checkInChain(ctx context.Context, reader *ropewalk.Reader, r reference.Reference) error {
	h, err := headerAt(ctx, reader, r.First)
	if err == nil && !strings.HasSuffix(h.ID.String(), r.UUID) {
		err = fmt.Errorf("%s@%d.%s is not in the chain, which has %s there: %w", r.ID, r.First, r.UUID, h.ID, ropewalk.ErrNotFound)
	}
	return err
}

// recordedBy returns the newest version that was recorded at or before the time of
// the reference.
func recordedBy(ctx context.Context, reader *ropewalk.Reader, r reference.Reference) (uint64, error) {
	whole := span{reader, 0, reader.Head().Version}
	out, found, err := whole.recorded(ctx, time.Time{}, r.At)
	if err == nil && !found {
		err = fmt.Errorf("%q has nothing that was recorded by %s: %w", r.ID, changeset.FormatTime(r.At), ropewalk.ErrNotFound)
	}
	return out.last, err
}

// recorded returns the part of the span that was recorded at or after since, and at or
// before until, and reports whether it has a changeset. A zero time is no limit.
func (s span) recorded(ctx context.Context, since, until time.Time) (part span, found bool, err error) {
	part = s
	if !since.IsZero() {
		part.first, err = s.search(ctx, func(at time.Time) bool { return !at.Before(since) })
	}
	next := s.last + 1
	if err == nil && !until.IsZero() {
		next, err = s.search(ctx, func(at time.Time) bool { return at.After(until) })
	}
	part.last = next - 1
	return part, part.first < next, err
}

// search returns the first version of the span whose time of recording is wanted, or the
// version after the span. Times never go back along a chain: a binary search finds it.
func (s span) search(ctx context.Context, wanted func(time.Time) bool) (uint64, error) {
	if s.last >= math.MaxInt { // no such chain can have been written
		return 0, fmt.Errorf("%q is too long to be searched", s.reader.Head().AggregateID)
	}
	var failure error
	found := sort.Search(int(s.last-s.first)+1, func(i int) bool {
		if failure != nil {
			return true
		}
		h, err := headerAt(ctx, s.reader, s.first+uint64(i))
		failure = err
		return wanted(h.RecordedAt)
	})
	return s.first + uint64(found), failure
}

func headerAt(ctx context.Context, reader *ropewalk.Reader, version uint64) (changeset.Header, error) {
	for h, err := range reader.Headers(ctx, ropewalk.Range{First: version, Last: version}) {
		return h, err
	}
	return changeset.Header{}, fmt.Errorf("version %d: %w", version, ropewalk.ErrNotFound)
}

// located is a changeset that a reference names, in the chain or not.
type located struct {
	ref changeset.Ref
	// head is the chain's head, or the zero Head.
	head head.Head
	// reader is nil if the chain does not have the changeset.
	reader *ropewalk.Reader
	// pack is the object of a packed chain that has the changeset, if the chain does
	// not have it.
	pack changeset.Header
}

// locate resolves a reference to one changeset. An exact reference may name a
// changeset outside the chain. The end of a UUID is searched in the chain first,
// and then in a listing of the aggregate.
func (s *store) locate(ctx context.Context, r reference.Reference) (located, error) {
	switch {
	case r.IsRange():
		return located{}, cliexit.Usagef("a range names many changesets; name one")
	case r.Form == reference.Exact:
		l, err := s.locateExact(ctx, r)
		if err != nil || l.reader != nil || l.pack.IsPacked() {
			return l, err
		}
		l.pack, err = s.packOf(ctx, r, l.ref)
		return l, err
	}
	sp, err := s.span(ctx, r)
	if err != nil {
		return located{}, err
	}
	out := located{head: sp.reader.Head(), reader: sp.reader}
	if out.ref = out.head.Ref; sp.last != out.head.Version {
		h, err := headerAt(ctx, sp.reader, sp.last)
		out.ref = h.Ref
		return out, err
	}
	return out, nil
}

func (s *store) locateExact(ctx context.Context, r reference.Reference) (located, error) {
	chain := s.Chain(r.ID)
	h, err := chain.Head(ctx)
	if err != nil && !errors.Is(err, ropewalk.ErrNotFound) {
		return located{}, err
	}
	out := located{head: h}
	if h.Exists() && r.First <= h.Version {
		reader := chain.ReaderAt(h)
		found, err := headerAt(ctx, reader, r.First)
		if err != nil || strings.HasSuffix(found.ID.String(), r.UUID) {
			out.ref, out.reader = found.Ref, reader
			return out, err
		}
	}
	out.ref, out.pack, err = s.orphan(ctx, r)
	return out, err
}

// orphan returns the changeset outside the chain that an exact reference names, and
// the pack that has it. A whole UUID needs no listing, and is not looked up.
func (s *store) orphan(ctx context.Context, r reference.Reference) (ref changeset.Ref, pack changeset.Header, err error) {
	if id, err := changeset.ParseID(r.UUID); err == nil {
		return changeset.Ref{AggregateID: r.ID, Version: r.First, ID: id}, pack, nil
	}
	matches, err := s.search(ctx, r)
	switch {
	case err != nil:
		return ref, pack, err
	case len(matches) == 0:
		return ref, pack, notStored(r)
	case len(matches) > 1:
		return ref, pack, cliexit.Usagef("%s@%d.%s is not unique: %d changesets end so", r.ID, r.First, r.UUID, len(matches))
	}
	for ref, pack = range matches {
	}
	return ref, pack, nil
}

func notStored(r reference.Reference) error {
	return fmt.Errorf("%s@%d.%s: no such changeset is stored: %w", r.ID, r.First, r.UUID, ropewalk.ErrNotFound)
}

// packOf returns the header of the pack that has a changeset outside the chain. It is
// zero if the changeset is an object of its own.
func (s *store) packOf(ctx context.Context, r reference.Reference, ref changeset.Ref) (pack changeset.Header, err error) {
	if _, err := s.objects.Stat(ctx, ref); !errors.Is(err, ropewalk.ErrNotFound) {
		return pack, nil // reading it says what is wrong with it
	}
	matches, err := s.search(ctx, r)
	if err == nil && len(matches) == 0 {
		err = notStored(r)
	}
	return matches[ref], err
}

// search returns the stored changesets that an exact reference may name, each with its
// pack, which is zero if the changeset is an object of its own.
func (s *store) search(ctx context.Context, r reference.Reference) (map[changeset.Ref]changeset.Header, error) {
	matches := map[changeset.Ref]changeset.Header{}
	for o, err := range s.objects.Objects(ctx, r.ID) {
		if err != nil {
			return nil, err
		}
		if o.First() > r.First {
			break
		}
		if o.Version < r.First {
			continue
		}
		if err := s.match(ctx, r, o.Ref, matches); err != nil {
			return nil, err
		}
	}
	return matches, nil
}

// match adds the changeset of an object that an exact reference names, if the object
// has it. Several packs may have copies of one changeset: the first one counts.
func (s *store) match(ctx context.Context, r reference.Reference, object changeset.Ref, matches map[changeset.Ref]changeset.Header) error {
	if !object.IsPacked() {
		if strings.HasSuffix(object.ID.String(), r.UUID) {
			matches[object] = changeset.Header{}
		}
		return nil
	}
	pack, headers, err := s.headersIn(ctx, object)
	if err != nil {
		return err
	}
	h := headers[r.First-object.First()]
	if _, had := matches[h.Ref]; !had && strings.HasSuffix(h.ID.String(), r.UUID) {
		matches[h.Ref] = pack
	}
	return nil
}

// headersIn returns the header of an object of a packed chain, and the headers of the
// changesets in it. It does not read content that is an object alone.
func (s *store) headersIn(ctx context.Context, object changeset.Ref) (changeset.Header, []changeset.Header, error) {
	if object.Count == 1 {
		info, err := s.objects.Stat(ctx, object)
		if err != nil {
			return changeset.Header{}, nil, err
		}
		if info.Pack != nil && !info.Pack.Lines {
			return info.Header, []changeset.Header{info.Header.Alone()}, nil
		}
	}
	pack, all, err := s.open(ctx, object)
	headers := make([]changeset.Header, len(all))
	for i, c := range all {
		headers[i] = c.Header
	}
	return pack, headers, err
}

// builtOn returns the revision that decides the fate of a changeset outside the chain:
// the revision that its object was put for.
func (l located) builtOn(h changeset.Header) uint64 {
	return max(h.AfterRevision, l.pack.AfterRevision)
}

// state returns the fate of a changeset, by the chain's head when it was located.
func (l located) state(h changeset.Header) string {
	switch {
	case l.reader != nil:
		return "committed"
	case l.builtOn(h) < l.head.Revision:
		return "lost"
	case l.builtOn(h) == l.head.Revision:
		return "pending"
	default:
		return "ahead"
	}
}
