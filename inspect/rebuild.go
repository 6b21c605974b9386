package inspect

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
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
	// restore of the heads alone: something was built on a revision that the head has not
	// reached, or is a part of a commit that another chain has.
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
	// 0, descends from the present head, and has no such append built on it. In a
	// packed chain, the changeset that the newest such append was built on is a tip
	// too: if that append was refused, what was committed instead may have been in the
	// lost head alone.
	Tips []Tip
	// Packed says that the chain is packed, or that objects of a packed chain are
	// stored: then changesets that were in the tip of the lost head are gone, and it
	// cannot be known how many there were.
	Packed bool
	// Revision is the new head's revision. It is above every revision that a
	// stored object was built on, so that all objects that the new head does not
	// reach are lost for good.
	Revision uint64
	// Beyond counts the objects above all tips that are not proved, or whose
	// append is not stored as a whole: the history may have gone on there.
	Beyond int
	// Certain says that there has been a head: something was built on one.
	Certain bool
	// Commits are the commits of several aggregates that other chains have, and of which
	// stored changesets that the new head could reach are parts: In and Outside. These
	// changesets were committed.
	Commits []Torn
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
	// Object is the object that has the changeset. If the object goes on after it, the
	// rebuilt head has the object's changesets up to this one in its own tip.
	Object changeset.Ref
	// Under is the tip of the plan whose append was built on this changeset; otherwise zero.
	Under changeset.Ref

	size int // of the tip of the rebuilt head, in bytes
}

// top is the end of an append with no append built on it.
type top struct {
	Tip
	place int  // of its object
	base  *Tip // what its append was built on; nil for the first one
}

// maxRevision leaves room above a rebuilt head for all swaps to come.
const maxRevision = 1 << 62

// Rebuild plans how to rebuild an aggregate's head from its objects, if the head
// is lost or older than they are. It changes nothing: [Inspector.Apply] does.
//
// It proves every stored object, as [Inspector.Verify] does. If objects that the head could
// be rolled forward to are parts of commits of several aggregates, it lists all heads, and
// looks for these commits in the chains that have grown since, by a few metadata requests each. It cannot know
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
// [ropewalk.ErrUnsupportedFormat] at a head that a later version has written, or
// [changeset.ErrInvalidAggregateID] if the ID is reserved and has no chain.
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
	if err := s.fixed(); err != nil {
		return Rebuilding{}, err
	}
	s.tips = map[changeset.Ref]top{}
	if _, err := s.prove(ctx, s.depth()); err != nil {
		return Rebuilding{}, err
	}
	s.missHead()
	if !s.head.IsZero() {
		if err := s.riseFromHead(); err != nil {
			return Rebuilding{}, err
		}
	}
	if err := s.findCommits(ctx); err != nil {
		return Rebuilding{}, err
	}
	return s.plan()
}

// fixed returns the error of a head that must stay as it is.
func (s *survey) fixed() error {
	switch {
	case s.headFault != nil && s.headFault.unsupported:
		return fmt.Errorf("head of %q: %w: leave it as it is, because it may have changesets in it, and use a version that reads it", s.id, ropewalk.ErrUnsupportedFormat)
	case s.headFault != nil:
		return corrupt(s.headFault, "there is a record that cannot be read: remove it by hand before it is rebuilt")
	case s.head.State == head.Erased:
		return fmt.Errorf("chain %q: %w", s.id, ropewalk.ErrErased)
	}
	return nil
}

// corrupt returns a fault as an error.
func corrupt(p *Problem, why string) error {
	reason := p.Reason
	if why != "" {
		reason += ": " + why
	}
	return &changeset.CorruptError{Ref: p.Ref, Object: p.Object, Reason: reason}
}

// note keeps what the proof of an object shows about tips.
func (s *survey) note(seen sight, proof proved) {
	in := seen.contents
	if !proof.whole || in == nil {
		return
	}
	s.objects.at(seen.place).mark(sound)
	if s.tips == nil || !in.appends.ended {
		return
	}
	// Its links prove that the changesets of its appends below it are there.
	if base := or(in.appends.base, proof.ends.before); base != nil {
		delete(s.tips, base.Ref)
	}
	for ref := range s.tips {
		if in.has(ref) {
			delete(s.tips, ref)
		}
	}
	last := in.appends.last
	s.tips[last.Ref] = top{*last, seen.place, or(in.appends.lastBase, proof.ends.before)}
}

// has reports whether an object that overlaps others has a changeset.
func (in *contents) has(ref changeset.Ref) bool {
	i := ref.Version - in.first.Version
	return ref.Version >= in.first.Version && i < uint64(len(in.ids)) && in.ids[i] == ref.ID
}

// riseFromHead marks what descends from the head, by appends that could follow
// its revision, and drops the tips that do not.
func (s *survey) riseFromHead() error {
	headRef := changeset.Ref{AggregateID: s.id}
	for _, p := range s.problems {
		if p.Ref == headRef {
			return corrupt(&p, "")
		}
	}
	at := nowhere
	if newest, ok := newestObject(s.head); ok {
		if at = s.objects.find(newest); at == nowhere || !s.objects.at(at).is(sound) {
			return corrupt(s.in.problem(headRef, "its changeset "+newest.String()+" is missing or cannot be proved: it cannot be rolled forward"), "")
		}
	}
	for place := range s.objects.len() {
		r := s.objects.at(place)
		if parent := int(r.parent); s.followsHead(place, at) && place != at || parent != nowhere && s.objects.at(parent).is(above) {
			r.mark(above)
		}
	}
	for ref, tip := range s.tips {
		if !s.objects.at(tip.place).is(above) || ref.Version < s.head.Len() {
			delete(s.tips, ref)
		}
	}
	return nil
}

// followsHead reports whether an object was put for the head or a later one, and begins
// with what the head names. newest is the place of the head's newest object.
func (s *survey) followsHead(place, newest int) bool {
	r := s.objects.at(place)
	switch {
	case r.after < s.head.Revision:
		return false
	case s.head.State == head.Void:
		return r.first() == 0
	case len(s.tip) > 0:
		return r.is(through)
	}
	return r.is(through) || newest != nowhere && int(r.parent) == newest
}

// plan concludes from what was marked.
func (s *survey) plan() (Rebuilding, error) {
	p := Rebuilding{AggregateID: s.id, Head: s.head, Certain: !s.head.IsZero() || s.headGone, Packed: s.isPacked(), Problems: s.problems}
	for _, t := range s.commits {
		if len(t.In) > 0 {
			p.Commits = append(p.Commits, t)
		}
	}
	newest := s.newestRevision()
	switch {
	case s.head.IsZero():
		p.Condition = Headless
	case newest != nowhere && s.objects.at(newest).after > s.head.Revision, len(p.Commits) > 0:
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
	p.Tips = s.candidates()
	p.Problems = append(p.Problems, s.refuse(&p)...)
	p.Beyond = s.beyond(p)
	return p, nil
}

// candidates returns the tips, the highest first, and what the newest appends of a
// packed chain were built on.
func (s *survey) candidates() []Tip {
	newest := uint64(0)
	for _, t := range s.tips {
		newest = max(newest, s.objects.at(t.place).after)
	}
	all := map[changeset.Ref]Tip{}
	for ref, t := range s.tips {
		all[ref] = t.Tip
	}
	for ref, t := range s.tips {
		r := s.objects.at(t.place)
		// The end of an append that other objects have copied from a tip was committed.
		if r.count == 0 || r.after != newest || t.AfterRevision != newest || t.base == nil || s.head.Exists() && t.base.Version <= s.head.Version {
			continue
		}
		base := *t.base
		if had, ok := all[base.Ref]; !ok || bytes.Compare(had.Under.ID[:], ref.ID[:]) < 0 {
			base.Under = ref
			all[base.Ref] = base
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b Tip) int {
		return cmp.Or(cmp.Compare(b.Version, a.Version), cmp.Compare(b.AfterRevision, a.AfterRevision), b.RecordedAt.Compare(a.RecordedAt), bytes.Compare(a.ID[:], b.ID[:]))
	})
}

// refuse takes the tips that no head could have from a plan, and returns why.
func (s *survey) refuse(p *Rebuilding) (why []Problem) {
	p.Tips = slices.DeleteFunc(p.Tips, func(t Tip) bool {
		if t.size <= head.MaxTip {
			return false
		}
		reason := fmt.Sprintf("no head can name %s: its tip would have %d bytes, more than %d", t.Ref, t.size, head.MaxTip)
		why = append(why, *s.in.problem(t.Object, reason))
		return true
	})
	return why
}

// isPacked reports whether there is something of a packed chain.
func (s *survey) isPacked() bool {
	if s.head.IsPacked() {
		return true
	}
	for place := range s.objects.len() {
		if s.objects.at(place).count > 0 {
			return true
		}
	}
	return false
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
	from := uint64(0)
	switch {
	case len(p.Tips) > 0:
		from = p.Tips[0].Version + 1
	case p.Head.Exists():
		from = p.Head.Version + 1
	}
	for place := range s.objects.from(from) {
		r := s.objects.at(place)
		lost := r.is(readable) && r.after < p.Head.Revision || !p.Head.IsZero() && r.is(sound) && !r.is(above)
		if !r.is(gone) && !lost {
			n++
		}
	}
	return n
}
