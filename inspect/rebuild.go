package inspect

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/reserved"
)

// Condition says what is the matter with a head.
type Condition int

// The conditions of heads.
const (
	// Standing heads are there, and nothing is built beyond what may still be
	// swapped in.
	Standing Condition = iota
	// Headless aggregates have objects, and no head: it is lost, or it never
	// was, where their first append is not committed yet.
	Headless
	// Behind are heads that are older than what was built on them, as after a
	// restore of the heads alone.
	Behind
)

// String returns the condition in lower case.
func (c Condition) String() string { return [...]string{"standing", "headless", "behind"}[c] }

// Rebuilding is a plan to rebuild a head from the objects.
type Rebuilding struct {
	// AggregateID is the aggregate's.
	AggregateID string
	// Condition is what is the matter with the head.
	Condition Condition
	// Head is the head as it is; the zero Head if there is no head.
	Head head.Head
	// Tips are the changesets that a new head could name, the highest first:
	// each ends an append that is stored as a whole, is proved down to version
	// 0, descends from the present head, and has no such append built on it.
	Tips []Tip
	// Revision is the new head's revision. It is above every revision that a
	// stored object was built on, so that all objects that the new head does not
	// reach are lost for good.
	Revision uint64
	// Beyond counts the objects above all tips that are not proved, or whose
	// append is not stored as a whole: the history may have gone on there.
	Beyond int
	// Certain says that there has been a head: something was built on one.
	Certain bool
	// Problems are the faults that were met on the way.
	Problems []Problem
}

// Tip is a changeset that a rebuilt head could name.
type Tip struct {
	changeset.Ref
	// Digest is the changeset's, and so commits to all of its history.
	Digest changeset.Digest
	// AfterRevision is the revision of the head that its append was built on.
	AfterRevision uint64
	// RecordedAt is the writer's clock.
	RecordedAt time.Time
}

// maxRevision leaves room above a rebuilt head for all swaps to come.
const maxRevision = 1 << 62

// Rebuild plans how to rebuild an aggregate's head from its objects, if the head
// is lost or older than they are. It changes nothing: [Inspector.Apply] does.
//
// It proves every stored object, as [Inspector.Verify] does. It cannot know
// whether the topmost append was ever committed: it does not know which of
// several tips a lost head named, nor whether the only tip was still pending, or
// was refused by a fence. Nor can it distinguish a lost head from a missing
// tombstone, or know what fields a newer version had added.
//
// The head of a feed is rebuilt like any other: a batch is right wherever it can
// enter the feed, whether it was committed or not. The head of a subscription is
// only rolled forward. If it is lost, so is its checkpoint, and the error matches
// [ropewalk.ErrHeadLost].
//
// It returns the errors of Verify, and: a [*changeset.CorruptError] that names
// the record of a head that does not decode, disagrees with its changeset, or
// names one that is not stored, and an object that leaves no room for a
// revision above it; an error that matches [ropewalk.ErrErased] at a tombstone,
// or [changeset.ErrInvalidAggregateID] if the ID is reserved and has no chain.
func (in *Inspector) Rebuild(ctx context.Context, aggregateID string) (Rebuilding, error) {
	if !reserved.HasChain(aggregateID) {
		return Rebuilding{}, reserved.Check(ctx, aggregateID)
	}
	s, err := in.survey(ctx, aggregateID)
	if err != nil {
		return Rebuilding{}, err
	}
	if s.headFault == nil && !s.head.Exists() && reserved.IsSubscription(aggregateID) {
		return Rebuilding{}, fmt.Errorf("%q: %w: its checkpoint was in it, and in no object: begin the subscription again", aggregateID, ropewalk.ErrHeadLost)
	}
	if s.headFault != nil {
		return Rebuilding{}, corrupt(s.headFault, "there is a record that cannot be read: remove it by hand before it is rebuilt")
	}
	if s.head.State == head.Erased {
		return Rebuilding{}, fmt.Errorf("chain %q: %w", aggregateID, ropewalk.ErrErased)
	}
	s.tips = map[int]Tip{}
	if _, err := s.prove(ctx, changeset.Digest{}); err != nil {
		return Rebuilding{}, err
	}
	s.missHead()
	if s.head.Exists() {
		if err := s.riseFromHead(); err != nil {
			return Rebuilding{}, err
		}
	}
	return s.plan()
}

// corrupt returns a fault as an error.
func corrupt(p *Problem, why string) error {
	reason := p.Reason
	if why != "" {
		reason += ": " + why
	}
	return &changeset.CorruptError{Ref: p.Ref, Object: p.Object, Reason: reason}
}

// note keeps what the proof of the record at a place shows about tips.
func (s *survey) note(place int, proof proved) {
	if !proof.whole {
		return
	}
	r := s.objects.at(place)
	r.mark(sound)
	if s.tips == nil || !r.is(last) {
		return
	}
	// Its link proves that the changesets of its append below it are there.
	delete(s.tips, s.objects.baseOf(place))
	h := proof.header
	s.tips[place] = Tip{changeset.Ref{AggregateID: s.id, Version: h.Version, ID: h.ID}, h.Digest, h.AfterRevision, h.RecordedAt}
}

// riseFromHead marks what descends from the head, by appends that could follow
// its revision, and drops the tips that do not.
func (s *survey) riseFromHead() error {
	at := s.objects.find(s.head.Version, s.head.ID)
	headRef := changeset.Ref{AggregateID: s.id}
	for _, p := range s.problems {
		if p.Ref == headRef {
			return corrupt(&p, "")
		}
	}
	if at == nowhere || !s.objects.at(at).is(sound) {
		return corrupt(s.in.problem(headRef, "its changeset "+s.head.Ref.String()+" is missing or cannot be proved: it cannot be rolled forward"), "")
	}
	for place := at + 1; place < s.objects.len(); place++ {
		r := s.objects.at(place)
		parent := int(r.parent)
		if parent == at && r.after >= s.head.Revision || parent != nowhere && s.objects.at(parent).is(above) {
			r.mark(above)
		}
	}
	for place := range s.tips {
		if !s.objects.at(place).is(above) {
			delete(s.tips, place)
		}
	}
	return nil
}

// plan concludes from what was marked.
func (s *survey) plan() (Rebuilding, error) {
	p := Rebuilding{AggregateID: s.id, Head: s.head, Certain: s.head.Exists() || s.headGone, Problems: s.problems}
	newest := s.newestRevision()
	switch {
	case !s.head.Exists():
		p.Condition = Headless
	case newest != nowhere && s.objects.at(newest).after > s.head.Revision:
		p.Condition = Behind
	default:
		return p, nil
	}
	p.Revision = s.head.Revision + 1
	if newest != nowhere {
		after := s.objects.at(newest).after
		if after >= maxRevision {
			reason := fmt.Sprintf("its after-revision %d leaves no room for a head above it: remove this object by hand first", after)
			return Rebuilding{}, corrupt(s.in.problem(s.ref(newest), reason), "")
		}
		p.Revision = max(p.Revision, after+1)
	}
	for _, tip := range s.tips {
		p.Tips = append(p.Tips, tip)
	}
	slices.SortFunc(p.Tips, func(a, b Tip) int {
		return cmp.Or(cmp.Compare(b.Version, a.Version), cmp.Compare(b.AfterRevision, a.AfterRevision), b.RecordedAt.Compare(a.RecordedAt), bytes.Compare(a.ID[:], b.ID[:]))
	})
	p.Beyond = s.beyond(p)
	return p, nil
}

// newestRevision returns the place of what was built on the highest revision;
// nowhere if nothing decodes.
func (s *survey) newestRevision() int {
	newest := nowhere
	for place := range s.objects.len() {
		if r := s.objects.at(place); r.is(readable) && (newest == nowhere || r.after > s.objects.at(newest).after) {
			newest = place
		}
	}
	return newest
}

// beyond counts what lies above all tips and is not known to be lost.
func (s *survey) beyond(p Rebuilding) (n int) {
	from := 0
	switch {
	case len(p.Tips) > 0:
		from = s.objects.from(p.Tips[0].Version + 1)
	case p.Head.Exists():
		from = s.objects.from(p.Head.Version + 1)
	}
	for place := from; place < s.objects.len(); place++ {
		r := s.objects.at(place)
		lost := r.is(readable) && r.after < p.Head.Revision || p.Head.Exists() && r.is(sound) && !r.is(above)
		if !r.is(gone) && !lost {
			n++
		}
	}
	return n
}
