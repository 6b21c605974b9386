package inspect

import (
	"context"
	"fmt"
	"math"

	"ropewalk/changeset"
	"ropewalk/head"
)

// survey has the known facts of one aggregate: its head, the listed objects,
// and the findings about them.
type survey struct {
	in        *Inspector
	id        string
	head      head.Head
	headFault *Problem              // there is a head, but it says nothing
	tip       []changeset.Changeset // of the head
	objects   table
	low       uint64 // nothing below this version was looked at
	headGone  bool   // there is no head, and there was one
	problems  []Problem
	kept      changeset.Digest // the digest that was kept; zero without one
	// tips are the ends of proved appends with no append built on them; nil if not wanted.
	tips    map[changeset.Ref]top
	marked  []part // of the objects
	commits []Torn // that objects outside the chain are parts of
	// wantsHeaders means that the headers of all changesets are wanted.
	wantsHeaders bool
	// scanned are the contents of all objects; nil if they are still to be read.
	scanned []changeset.Changeset
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
	if s.headFault == nil && s.head.IsZero() && s.objects.len() == 0 {
		return nil, fmt.Errorf("%q: %w", aggregateID, changeset.ErrNotFound)
	}
	return s, s.begin()
}

// begin looks at the head and the listing of the objects.
func (s *survey) begin() (err error) {
	if s.tip, err = s.head.TipChangesets(); err != nil {
		return fmt.Errorf("tip of %q: %w", s.id, err)
	}
	s.objects.findOverlaps(s.tipBegins())
	return nil
}

// tipBegins returns the first version that is not in objects of the chain, or the
// highest version if the head has no tip.
func (s *survey) tipBegins() uint64 {
	if len(s.tip) == 0 {
		return math.MaxUint64
	}
	return s.tip[0].Version
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
		objects.list(o)
	}
	return objects, nil
}

func (s *survey) exceedsHead() bool {
	newest, any := s.objects.newest()
	return any && newest >= s.head.Len()
}

// ref returns the reference of the object at a place.
func (s *survey) ref(place int) changeset.Ref { return s.objects.at(place).ref(s.id) }

// walk marks what the head reaches as committed. If an object is missing or
// does not decode, it goes on at the next lower object that the index of the object
// above knows.
func (s *survey) walk(ctx context.Context) error {
	by := changeset.Ref{AggregateID: s.id} // who names at, and is the lowest that could be read
	at, ok := newestObject(s.head)
	for ok && at.Version >= s.low {
		place := s.objects.find(at)
		if place == nowhere {
			s.report(by, at)
		} else {
			s.objects.at(place).mark(committed)
		}
		if place == nowhere || !s.objects.at(place).is(readable) {
			next, err := s.bridge(ctx, by, at.First())
			if err != nil || next.ID.IsZero() {
				return err
			}
			at = next
			continue
		}
		by = at
		at, ok = s.objects.parentOf(place)
		at.AggregateID = s.id
	}
	return nil
}

// report says that an object is missing that another one, or the head, names.
func (s *survey) report(by, missing changeset.Ref) {
	newest, _ := newestObject(s.head)
	reason := "ancestor is missing"
	switch {
	case by.ID.IsZero() && missing == s.head.Ref:
		reason = "its changeset is missing"
	case by.ID.IsZero() && missing == newest:
		reason = "its newest object is missing"
	case !by.ID.IsZero() && by.First() == missing.Version+1:
		reason = "parent is missing"
	}
	s.problems = append(s.problems, Problem{Ref: by, Reason: reason, Missing: missing})
}

// bridge returns the next object below a version at which the chain is
// broken, from the index of by; the zero Ref if the index has none. It is
// unknown which of the objects between are committed.
func (s *survey) bridge(ctx context.Context, by changeset.Ref, version uint64) (changeset.Ref, error) {
	ancestors, index := s.head.Ancestors, s.head.Index
	if !by.ID.IsZero() {
		seen, err := s.in.look(ctx, changeset.Object{Ref: by}, headers, nil)
		if err != nil {
			return changeset.Ref{}, err
		}
		ancestors, index = seen.header.Ancestors, changeset.ObjectIndex{}
		if seen.header.Pack != nil {
			index = seen.header.Pack.Index
		}
	}
	var next changeset.Ref
	from := uint64(0)
	for v, id := range ancestors.All() {
		if v < version {
			next, from = changeset.Ref{AggregateID: s.id, Version: v, ID: id}, v+1
		}
	}
	for _, e := range index.All() {
		if e.Version < version {
			next, from = e.Ref(s.id), e.Version+1
		}
	}
	s.markUnknown(by, from, version)
	return next, nil
}

// markUnknown marks the objects in the versions [from, below) as unknown: the chain is
// broken above them. It reports the versions that have no object.
func (s *survey) markUnknown(by changeset.Ref, from, below uint64) {
	from = max(from, s.low)
	if from >= below {
		return
	}
	for place := range s.objects.from(from) {
		r := s.objects.at(place)
		if r.first() >= below {
			break
		}
		if r.is(gone) {
			continue
		}
		r.mark(unknown)
		if r.first() > from {
			s.reportGap(by, from, r.first()-1)
		}
		from = max(from, r.version+1)
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
	if !s.head.IsZero() || s.headFault != nil {
		return
	}
	for place := range s.objects.len() {
		if r := s.objects.at(place); r.is(readable) && (r.after > 0 || r.count == 0 && r.start() > 0) {
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

// continues reports whether an object that was put for the head's revision was built
// on its changeset too, or the object where its append begins was.
func (s *survey) continues(place int) bool {
	for {
		r := s.objects.at(place)
		if s.continuesHead(place) {
			return true
		}
		if r.count == 0 && r.part == 0 {
			return false
		}
		below := int(r.parent)
		if below == nowhere || !s.objects.at(below).is(readable) {
			return r.start() == s.head.Len() // the object below may still be put
		}
		if s.objects.at(below).after != r.after {
			return false
		}
		place = below
	}
}

// continuesHead reports whether an object begins where the head's objects end, and has
// the head's tip.
func (s *survey) continuesHead(place int) bool {
	r := s.objects.at(place)
	if len(s.tip) > 0 && r.is(opened) {
		return r.is(through)
	}
	before, any := s.objects.parentOf(place)
	before.AggregateID = s.id
	newest, exists := newestObject(s.head)
	return any == exists && (before == newest || !any) && (r.first() == s.tipBegins() || len(s.tip) == 0 && r.first() == s.head.Len())
}
