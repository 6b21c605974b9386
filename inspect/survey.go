package inspect

import (
	"context"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/head"
)

// survey has the known facts of one aggregate: its head, the listed objects,
// and the findings about them.
type survey struct {
	in        *Inspector
	id        string
	head      head.Head
	headFault *Problem // there is a head, but it says nothing
	objects   table
	low       uint64 // nothing below this version was looked at
	headGone  bool   // there is no head, and there was one
	problems  []Problem
	tips      map[int]Tip // by place: ends of proved appends with no append built on them; nil if not wanted
}

// survey reads the head and lists the objects.
//
// All that a head reaches was there before the head: so the listing comes
// second. It may show changesets committed since; if it has versions above the
// head, the head is read again, and if it moved all begins again. A chain that
// is appended to all the time has the last of it left uncommitted here.
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
	if s.headFault == nil && !s.head.Exists() && s.objects.len() == 0 {
		return nil, fmt.Errorf("%q: %w", aggregateID, changeset.ErrNotFound)
	}
	return s, nil
}

func (in *Inspector) list(ctx context.Context, aggregateID string) (table, error) {
	done, err := in.request(ctx)
	if err != nil {
		return table{}, err
	}
	defer done()
	var objects table
	for o, err := range in.changesets.Objects(ctx, aggregateID) {
		if err != nil {
			return table{}, fmt.Errorf("list changesets of %q: %w", aggregateID, err)
		}
		objects.add(record{id: o.ID, version: o.Version, size: o.Size, parent: nowhere})
	}
	return objects, nil
}

func (s *survey) exceedsHead() bool {
	newest, any := s.objects.newest()
	return any && (!s.head.Exists() || newest > s.head.Version)
}

// ref returns the reference of the changeset at a place.
func (s *survey) ref(place int) changeset.Ref {
	r := s.objects.at(place)
	return changeset.Ref{AggregateID: s.id, Version: r.version, ID: r.id}
}

// walk marks what the head reaches as committed. If a changeset is missing or
// does not decode, it goes on at the next lower version that the ancestor index
// of the changeset above knows.
func (s *survey) walk(ctx context.Context) error {
	by := changeset.Ref{AggregateID: s.id} // who names at, and is the lowest that could be read
	at := s.head.Ref
	for at.Version >= s.low {
		place := s.objects.find(at.Version, at.ID)
		if place == nowhere {
			s.report(by, at)
		} else {
			s.objects.at(place).mark(committed)
		}
		if place == nowhere || !s.objects.at(place).is(readable) {
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
		by, at = at, changeset.Ref{AggregateID: s.id, Version: at.Version - 1, ID: s.objects.parentOf(place)}
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
// broken, from the index of by; the zero Ref if the index has none. It is
// unknown which of the versions between are committed.
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
	s.markUnknown(by, from, version)
	return next, nil
}

// markUnknown marks versions in [from, below) as unknown: the chain is broken
// above them. It reports the versions that have no object.
func (s *survey) markUnknown(by changeset.Ref, from, below uint64) {
	from = max(from, s.low)
	if from >= below {
		return
	}
	for place := s.objects.from(from); place < s.objects.len() && s.objects.at(place).version < below; place++ {
		r := s.objects.at(place)
		if r.is(gone) {
			continue
		}
		r.mark(unknown)
		if r.version > from {
			s.reportGap(by, from, r.version-1)
		}
		from = r.version + 1
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
	if s.head.Exists() || s.headFault != nil {
		return
	}
	for place := range s.objects.len() {
		if r := s.objects.at(place); r.is(readable) && (r.after > 0 || r.start() > 0) {
			s.headGone = true
			return
		}
	}
}

// kind says what has become of the object at a place.
func (s *survey) kind(place int) Kind {
	r := s.objects.at(place)
	switch {
	case r.is(committed):
		return Committed
	case s.head.State == head.Erased:
		return Lost
	case r.is(unknown) || !r.is(readable) || s.headFault != nil || s.headGone:
		return Unknown
	case r.after < s.head.Revision:
		return Lost
	case r.after > s.head.Revision:
		return Ahead
	case s.continues(place):
		return Pending
	default:
		return Lost // no swap from that revision can reach it
	}
}

// continues reports whether an append that was built on the head's revision
// was built on its changeset too.
func (s *survey) continues(place int) bool {
	start := s.objects.at(place).start()
	if !s.head.Exists() {
		return start == 0
	}
	for s.objects.at(place).part > 0 {
		below := s.objects.at(place).parent
		if below == nowhere || !s.objects.at(int(below)).is(readable) {
			return start == s.head.Version+1
		}
		place = int(below)
	}
	return s.objects.at(place).version == s.head.Version+1 && s.objects.parentOf(place) == s.head.ID
}
