package inspect

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"ropewalk/changeset"
	"ropewalk/head"
)

// survey is all that is known of one aggregate: its head, the objects that
// were listed, and what was learnt of them.
type survey struct {
	in        *Inspector
	id        string
	head      head.Head
	headFault *Problem // there is a head, but it tells nothing
	objects   []changeset.Object
	low       uint64 // nothing below this version was looked at
	records   []record
	headGone  bool // there is none, and there was one
	problems  []Problem
}

// record is what is kept of each object, in the order of their names.
type record struct {
	version    uint64
	id, parent changeset.ID
	after      uint64
	part       changeset.Part
	size       int64
	readable   bool
	committed  bool
	untold     bool // the chain is broken above
}

func newRecord(seen sight) record {
	h := seen.header
	return record{
		version: seen.object.Version, id: seen.object.ID, parent: h.Parent,
		after: h.AfterRevision, part: h.Part, size: h.ContentSize, readable: seen.readable,
	}
}

// start is the version of the first changeset of the append.
func (r record) start() uint64 { return r.version - uint64(max(1, r.part.Number)-1) }

// survey reads the head and lists the objects.
//
// All that a head reaches was there before the head: so the listing comes
// second. It may show what was committed since; where it has versions above
// the head, the head is read again, and if it moved all begins anew. A chain
// that is appended to all the time has the last of it left uncommitted here.
func (in *Inspector) survey(ctx context.Context, aggregateID string) (*survey, error) {
	s := &survey{in: in, id: aggregateID}
	if err := changeset.ValidateAggregateID(aggregateID); err != nil {
		return nil, err
	}
	var err error
	if s.head, s.headFault, err = in.load(ctx, aggregateID); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		if s.objects, err = in.list(ctx, aggregateID); err != nil {
			return nil, err
		}
		if try == 4 || s.headFault != nil || !s.exceedsHead() {
			break
		}
		h, fault, err := in.load(ctx, aggregateID)
		if err != nil {
			return nil, err
		}
		if fault == nil && h.SameRecord(s.head) {
			break
		}
		s.head, s.headFault = h, fault
	}
	if s.headFault == nil && !s.head.Exists() && len(s.objects) == 0 {
		return nil, fmt.Errorf("%q: %w", aggregateID, changeset.ErrNotFound)
	}
	return s, nil
}

func (in *Inspector) list(ctx context.Context, aggregateID string) ([]changeset.Object, error) {
	done, err := in.request(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	var objects []changeset.Object
	for o, err := range in.changesets.Objects(ctx, aggregateID) {
		if err != nil {
			return nil, fmt.Errorf("list changesets of %q: %w", aggregateID, err)
		}
		objects = append(objects, o)
	}
	return objects, nil
}

func (s *survey) exceedsHead() bool {
	n := len(s.objects)
	return n > 0 && (!s.head.Exists() || s.objects[n-1].Version > s.head.Version)
}

// find returns the record of a changeset; nil if there is no such object.
func (s *survey) find(version uint64, id changeset.ID) *record {
	at, found := slices.BinarySearchFunc(s.records, id, func(r record, id changeset.ID) int {
		return cmp.Or(cmp.Compare(r.version, version), bytes.Compare(r.id[:], id[:]))
	})
	if !found {
		return nil
	}
	return &s.records[at]
}

// between returns the records of the versions first to last, both included.
func (s *survey) between(first, last uint64) []record {
	from, _ := slices.BinarySearchFunc(s.records, first, func(r record, v uint64) int { return cmp.Compare(r.version, v) })
	to := from
	for to < len(s.records) && s.records[to].version <= last {
		to++
	}
	return s.records[from:to]
}

// walk marks what the head reaches as committed. Where a changeset is missing
// or does not decode it goes on at the next lower version that the ancestor
// index of the one above knows.
func (s *survey) walk(ctx context.Context) error {
	by := changeset.Ref{AggregateID: s.id} // who names at, and is the lowest that could be read
	at := s.head.Ref
	for at.Version >= s.low {
		r := s.find(at.Version, at.ID)
		if r == nil {
			s.report(by, at)
		} else {
			r.committed = true
		}
		if r == nil || !r.readable {
			next, err := s.bridge(ctx, by, at.Version)
			if err != nil || next.ID.IsZero() {
				return err
			}
			at = next
			continue
		}
		if at.Version == 0 {
			break
		}
		by, at = at, changeset.Ref{AggregateID: s.id, Version: at.Version - 1, ID: r.parent}
	}
	return nil
}

// report says that a changeset is missing that another one, or the head, names.
func (s *survey) report(by, missing changeset.Ref) {
	reason := "ancestor is missing"
	switch {
	case by.ID.IsZero() && missing == s.head.Ref:
		reason = "its changeset is missing"
	case by.Version == missing.Version+1:
		reason = "parent is missing"
	}
	s.problems = append(s.problems, Problem{Ref: by, Reason: reason, Missing: missing})
}

// bridge returns the next changeset below a version at which the chain is
// broken, as the index of by tells; the zero Ref if it tells none. Which of
// the versions between are committed nobody can tell.
func (s *survey) bridge(ctx context.Context, by changeset.Ref, version uint64) (changeset.Ref, error) {
	index := s.head.Ancestors
	if !by.ID.IsZero() {
		seen, err := s.in.look(ctx, changeset.Object{Ref: by}, false)
		if err != nil {
			return changeset.Ref{}, err
		}
		index = seen.header.Ancestors
	}
	next := changeset.Ref{AggregateID: s.id}
	from := uint64(0)
	for v, id := range index.All() {
		if v < version {
			next.Version, next.ID, from = v, id, v+1
		}
	}
	s.leaveUntold(by, from, version)
	return next, nil
}

// leaveUntold marks the versions from one to below another as such of which
// nobody knows whether they are committed, and reports those that are not there at all.
func (s *survey) leaveUntold(by changeset.Ref, from, below uint64) {
	from = max(from, s.low)
	if from >= below {
		return
	}
	untold := s.between(from, below-1)
	for i := range untold {
		untold[i].untold = true
		if v := untold[i].version; v > from {
			s.reportGap(by, from, v-1)
		}
		from = untold[i].version + 1
	}
	if from < below {
		s.reportGap(by, from, below-1)
	}
}

func (s *survey) reportGap(by changeset.Ref, first, last uint64) {
	reason := fmt.Sprintf("no changeset is stored at version %d below it", first)
	if first < last {
		reason = fmt.Sprintf("no changesets are stored at versions %d to %d below it", first, last)
	}
	s.problems = append(s.problems, *s.in.problem(by, reason))
}

// missHead finds out whether there must have been a head: without one there
// can be nothing but appends that were to be the first.
func (s *survey) missHead() {
	s.headGone = !s.head.Exists() && s.headFault == nil && slices.ContainsFunc(s.records, func(r record) bool {
		return r.readable && (r.after > 0 || r.start() > 0)
	})
}

// kind tells what has become of an object.
func (s *survey) kind(r record) Kind {
	switch {
	case r.committed:
		return Committed
	case s.head.State == head.Erased:
		return Lost
	case r.untold || !r.readable || s.headFault != nil || s.headGone:
		return Untold
	case r.after < s.head.Revision:
		return Lost
	case r.after > s.head.Revision:
		return Ahead
	case s.continues(r):
		return Pending
	default:
		return Lost // no swap from that revision can reach it
	}
}

// continues reports whether an append that was built on the head's revision
// was built on its changeset too.
func (s *survey) continues(r record) bool {
	if !s.head.Exists() {
		return r.start() == 0
	}
	for r.part.Number > 1 {
		below := s.find(r.version-1, r.parent)
		if below == nil || !below.readable {
			return r.start() == s.head.Version+1
		}
		r = *below
	}
	return r.version == s.head.Version+1 && r.parent == s.head.ID
}
