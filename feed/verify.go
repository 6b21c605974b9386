package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/headlist"
	"ropewalk/internal/reserved"
)

// Finding is a place where the feed and the chains do not agree.
type Finding struct {
	// AggregateID names the aggregate.
	AggregateID string
	// Unfed means that the feed is only behind: a relay will feed what is missing.
	Unfed bool
	// Problem says what was found.
	Problem string
}

// String returns the aggregate and the problem.
func (f Finding) String() string { return fmt.Sprintf("%q: %s", f.AggregateID, f.Problem) }

// Verify proves that the feed is complete and right: for every head at version v
// the feed has the versions 0 to v once and in order, each advance names changesets
// of the chain, and each erased aggregate ends in its erasure. It yields what it
// finds wrong, and nothing if all is right. Writers and relays may be at work.
//
// It reads the whole feed and a header for most changesets, and keeps some 100 bytes
// of each aggregate and 24 bytes of each advance in memory. At most one error ends
// the sequence.
func (f *Feed) Verify(ctx context.Context) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		v := verification{feed: f, tracks: map[string]*track{}}
		if err := v.readFeed(ctx); err != nil {
			yield(Finding{}, err)
			return
		}
		for finding, err := range v.findings(ctx) {
			if !yield(finding, err) || err != nil {
				return
			}
		}
	}
}

// verification is the work of one Verify.
type verification struct {
	feed     *Feed
	position Position
	tracks   map[string]*track
	ahead    []head.Head // heads that the feed had not reached when they were listed
}

// track is what the feed says of one aggregate.
type track struct {
	next   uint64 // the version after the newest advance
	ends   []end
	erased bool
	broken string
	listed bool // the head was met
}

// end is the newest changeset of an advance.
type end struct {
	version uint64
	id      changeset.ID
}

func (e end) ref(h head.Head) changeset.Ref {
	return changeset.Ref{AggregateID: h.AggregateID, Version: e.version, ID: e.id}
}

// readFeed reads the feed on from the position.
func (v *verification) readFeed(ctx context.Context) error {
	j, err := v.feed.journal(ctx)
	if err != nil {
		return err
	}
	for page, err := range j.pages(ctx, v.position, false) {
		if err != nil {
			return err
		}
		for _, e := range page {
			v.add(e.advance)
			v.position = e.position
		}
	}
	return nil
}

func (v *verification) add(a head.Advance) {
	t := v.tracks[a.AggregateID]
	if t == nil {
		t = &track{}
		v.tracks[a.AggregateID] = t
	}
	switch {
	case t.broken != "":
		return
	case t.erased:
		t.broken = "the feed goes on after the erasure"
	case a.First != t.next:
		t.broken = fmt.Sprintf("the feed has version %d where version %d is next", a.First, t.next)
	case len(t.ends) > 0 && !a.Before.IsZero() && a.Before != t.ends[len(t.ends)-1].id:
		t.broken = fmt.Sprintf("the advance from version %d does not follow the advance before it", a.First)
	}
	t.next, t.erased = a.Last+1, a.Erased
	t.ends = append(t.ends, end{a.Last, a.ID})
}

func (v *verification) findings(ctx context.Context) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		for e, err := range headlist.All(ctx, v.feed.heads, "") {
			if err != nil {
				yield(Finding{}, err)
				return
			}
			if reserved.Is(e.AggregateID) || e.Head.State == head.Void {
				continue
			}
			problem, err := v.judge(ctx, e)
			if (problem != "" || err != nil) && (!yield(Finding{AggregateID: e.AggregateID, Problem: problem}, err) || err != nil) {
				return
			}
		}
		for id, t := range v.tracks {
			if !t.listed && !yield(Finding{AggregateID: id, Problem: "the feed has it, and it has no head"}, nil) {
				return
			}
		}
		v.unfed(ctx)(yield)
	}
}

// judge compares a head with what the feed says. It returns what is wrong.
func (v *verification) judge(ctx context.Context, e headlist.Entry) (problem string, err error) {
	t := v.tracks[e.AggregateID]
	if t != nil {
		t.listed = true
	}
	switch h := e.Head; {
	case e.Fault != nil:
		return "its head does not decode: " + e.Fault.Error(), nil
	case t == nil || t.broken == "" && behind(t, h):
		h.Tip = "" // which may be long
		v.ahead = append(v.ahead, h)
		return "", nil
	default:
		return v.problem(ctx, t, h)
	}
}

// behind reports whether the feed has not reached a head.
func behind(t *track, h head.Head) bool {
	return t == nil || t.next <= h.Version || h.State == head.Erased && !t.erased
}

// problem returns what is wrong with an aggregate that the feed has reached.
func (v *verification) problem(ctx context.Context, t *track, h head.Head) (string, error) {
	switch {
	case t.broken != "":
		return t.broken, nil
	case t.erased && h.State != head.Erased:
		return "the feed says that it is erased, and it is not", nil
	case t.next > h.Version+1:
		return fmt.Sprintf("the feed has version %d, and the head is at version %d: it was restored", t.next-1, h.Version), nil
	}
	return v.namesTheChain(ctx, t, h)
}

// namesTheChain checks that the advances end in changesets of the chain of h. Of a
// tombstone only the changesets that its index names are left.
func (v *verification) namesTheChain(ctx context.Context, t *track, h head.Head) (string, error) {
	if h.IsPacked() && h.State == head.Live {
		return v.namesPacked(ctx, t.ends, v.feed.newView(h, new(atomic.Int64)))
	}
	return v.namesAll(ctx, t.ends, h)
}

// namesPacked is namesTheChain for a packed chain, which may begin as a chain of format 1.
func (v *verification) namesPacked(ctx context.Context, ends []end, w *view) (string, error) {
	for i := len(ends) - 1; i >= 0; i-- {
		c, err := w.at(ctx, ends[i].version)
		if errors.Is(err, errBelow) {
			base, err := v.feed.pointAt(ctx, w.base)
			if err != nil {
				return problemOf(err)
			}
			return v.namesAll(ctx, ends[:i+1], base)
		}
		if err != nil {
			return problemOf(gone(ends[i].ref(w.head), err))
		}
		if c.ID != ends[i].id {
			return otherID(ends[i], c.ID), nil
		}
	}
	return "", nil
}

// problemOf returns the error of damaged or missing objects as a problem.
func problemOf(err error) (string, error) {
	if _, damaged := errors.AsType[*changeset.CorruptError](err); damaged {
		return err.Error(), nil
	}
	return "", err
}

func otherID(e end, id changeset.ID) string {
	return fmt.Sprintf("the feed has %s at version %d, and the chain has %s", e.id, e.version, id)
}

// namesAll is namesTheChain for a chain of format 1 and for a tombstone.
func (v *verification) namesAll(ctx context.Context, ends []end, h head.Head) (string, error) {
	for i := len(ends) - 1; i >= 0; i-- {
		e := ends[i]
		id, err := v.feed.find(ctx, h, e.version)
		if err != nil {
			return problemOf(err)
		}
		if id != e.id && !id.IsZero() {
			return otherID(e, id), nil
		}
		if id.IsZero() {
			break
		}
		if i > 0 && h.State == head.Live { // the index of this changeset leads to the next
			if h, err = v.feed.pointAt(ctx, e.ref(h)); err != nil {
				return "", err
			}
		}
	}
	return "", nil
}

// unfed looks again at the heads that the feed had not reached: a relay may have fed
// them since.
func (v *verification) unfed(ctx context.Context) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		if len(v.ahead) == 0 {
			return
		}
		if err := v.readFeed(ctx); err != nil {
			yield(Finding{}, err)
			return
		}
		for _, h := range v.ahead {
			t := v.tracks[h.AggregateID]
			f := Finding{AggregateID: h.AggregateID, Unfed: behind(t, h)}
			var err error
			if f.Unfed {
				f.Problem = unfedProblem(t, h)
			} else if t.next == h.Version+1 {
				f.Problem, err = v.problemAgain(ctx, t, h)
			}
			if (f.Problem != "" || err != nil) && (!yield(f, err) || err != nil) {
				return
			}
		}
	}
}

// problemAgain is problem for a head that was listed before, and fed since.
func (v *verification) problemAgain(ctx context.Context, t *track, h head.Head) (string, error) {
	if h.IsPacked() {
		now, err := v.feed.heads.Load(ctx, h.AggregateID)
		if err != nil {
			return problemOf(err)
		}
		h = now
	}
	return v.problem(ctx, t, h)
}

func unfedProblem(t *track, h head.Head) string {
	switch {
	case t == nil:
		return missing(0, h.Version)
	case t.next <= h.Version:
		return missing(t.next, h.Version)
	default:
		return "its erasure is not fed yet"
	}
}

func missing(first, last uint64) string {
	if first == last {
		return fmt.Sprintf("version %d is not fed yet", first)
	}
	return fmt.Sprintf("versions %d to %d are not fed yet", first, last)
}
