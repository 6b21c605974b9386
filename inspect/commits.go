package inspect

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/headlist"
)

// Commits proves that commits of several aggregates are in all their aggregates: each
// changeset of a commit says how many aggregates the commit was appended to. Make it by
// [Inspector.Commits]; it is not for concurrent use:
//
//	commits := in.Commits()
//	for r, err := range in.VerifyAll(ctx) {
//		…
//		commits.Add(r)
//	}
//	atomicity, err := commits.Check(ctx)
//
// It keeps some 150 bytes of each commit of which a part was not met yet, and 40 bytes of
// each aggregate.
type Commits struct {
	in       *Inspector
	open     map[changeset.ID]*Torn // commits of which a part is missing so far
	lens     map[fingerprint]uint64 // of the chains, as they were verified
	hidden   []int64                // when the newest changeset of each erased chain was recorded
	blind    int                    // aggregates of which something could not be read
	complete int
}

// Atomicity is what was found of the commits of several aggregates.
type Atomicity struct {
	// Complete counts the commits that are in all their aggregates.
	Complete int
	// Unproved counts the commits of which some parts are missing, and may be in the
	// histories that were erased, or in what could not be read.
	Unproved int
	// Torn are the commits of which some parts are missing for certain, the earliest first.
	Torn []Torn
}

// Torn is a commit of several aggregates that is in some of them and not in all. The store
// does not make such commits. They are found after heads were restored that are not of one
// moment, and in a store to which only some of the aggregates were copied.
type Torn struct {
	// Commit is the mark of the commit, with the number of aggregates that it appended to.
	Commit changeset.Commit
	// RecordedAt is the time of the commit, by the writer's clock.
	RecordedAt time.Time
	// In are the first changesets of the commit in the chains that have it.
	In []changeset.Ref
	// Outside are changesets of the commit that are stored, and are not in their chains.
	Outside []changeset.Ref
}

// part is the part of a commit that an object or a tip has.
type part struct {
	commit changeset.Commit
	ref    changeset.Ref // of the first changeset
	at     int64         // when it was recorded
	place  int           // of the object; nowhere for a tip
}

// partsIn returns the parts of commits that some changesets in order are.
func partsIn(all []changeset.Changeset, place int) (parts []part) {
	for _, c := range all {
		mark := c.Commit()
		if mark.IsZero() || len(parts) > 0 && parts[len(parts)-1].commit == mark {
			continue
		}
		parts = append(parts, part{mark, c.Ref, c.RecordedAt.UnixNano(), place})
	}
	return parts
}

// parts returns the parts of commits that the chain has, and the parts that are stored
// outside of it: one for each commit.
func (s *survey) parts() (in, outside []part) {
	known := map[changeset.ID]bool{}
	for _, p := range append(s.marked, partsIn(s.tip, nowhere)...) {
		if p.place != nowhere && s.kind(p.place) != Committed {
			outside = append(outside, p)
		} else if !known[p.commit.ID] {
			known[p.commit.ID] = true
			in = append(in, p)
		}
	}
	outside = slices.DeleteFunc(outside, func(p part) bool {
		met := known[p.commit.ID]
		known[p.commit.ID] = true
		return met
	})
	return in, outside
}

// Commits returns a proof of commits of several aggregates that has met no report yet.
func (in *Inspector) Commits() *Commits {
	return &Commits{in: in, open: map[changeset.ID]*Torn{}, lens: map[fingerprint]uint64{}}
}

// Add takes the report of an aggregate. Each is to be added once.
func (c *Commits) Add(r Report) {
	c.lens[fingerprintOf(r.AggregateID)] = r.Head.Len()
	switch {
	case r.Head.State == head.Erased:
		c.hidden = append(c.hidden, r.Head.UpdatedAt.UnixNano())
	case r.unread || r.Unknown > 0 || len(r.Problems) > 0:
		c.blind++
	}
	for _, p := range r.inChain {
		t := c.torn(p)
		if t.In = append(t.In, p.ref); len(t.In) >= p.commit.Members {
			delete(c.open, p.commit.ID)
			c.complete++
		}
	}
	for _, p := range r.outside {
		t := c.torn(p)
		t.Outside = append(t.Outside, p.ref)
	}
}

func (c *Commits) torn(p part) *Torn {
	t, ok := c.open[p.commit.ID]
	if !ok {
		t = &Torn{Commit: p.commit, RecordedAt: time.Unix(0, p.at).UTC()}
		c.open[p.commit.ID] = t
	}
	return t
}

// Check returns what the reports show together. The aggregates were verified one after
// another: an aggregate that has changed since then is verified again if it may have the
// missing part of a commit.
func (c *Commits) Check(ctx context.Context) (Atomicity, error) {
	for id, t := range c.open {
		if len(t.In) == 0 {
			delete(c.open, id) // it was never committed
		}
	}
	if len(c.open) > 0 {
		if err := c.lookAgain(ctx); err != nil {
			return Atomicity{}, err
		}
	}
	a := Atomicity{Complete: c.complete}
	slices.Sort(c.hidden)
	for _, t := range c.open {
		if c.mayBeHidden(t) {
			a.Unproved++
		} else {
			a.Torn = append(a.Torn, *t)
		}
	}
	slices.SortFunc(a.Torn, func(a, b Torn) int {
		return cmp.Or(a.RecordedAt.Compare(b.RecordedAt), bytes.Compare(a.Commit.ID[:], b.Commit.ID[:]))
	})
	return a, nil
}

// mayBeHidden reports whether the missing parts of a commit may be in erased histories, or
// in what could not be read. A tombstone keeps the time of its newest changeset, and no
// time in a chain is before an earlier one: a commit of a later time was not in it.
func (c *Commits) mayBeHidden(t *Torn) bool {
	at, _ := slices.BinarySearch(c.hidden, t.RecordedAt.UnixNano())
	return t.Commit.Members-len(t.In) <= len(c.hidden)-at+c.blind
}

// lookAgain verifies the aggregates that have changed since their reports. All commits that
// were met before it are in all their heads by now.
func (c *Commits) lookAgain(ctx context.Context) error {
	for e, err := range headlist.All(ctx, c.in.heads, "") {
		if err != nil {
			return err
		}
		if e.Fault != nil || !c.in.wants(e.AggregateID) || e.Head.Len() == c.lens[fingerprintOf(e.AggregateID)] {
			continue
		}
		r, err := c.in.Verify(ctx, e.AggregateID)
		if err != nil {
			return err
		}
		c.complement(r)
	}
	return nil
}

// complement adds the parts of commits that an aggregate had not shown before.
func (c *Commits) complement(r Report) {
	if r.Head.State == head.Erased {
		c.hidden = append(c.hidden, math.MaxInt64) // erased since it was verified, or created and erased
	}
	for _, p := range r.inChain {
		t, ok := c.open[p.commit.ID]
		if !ok || slices.ContainsFunc(t.In, func(ref changeset.Ref) bool { return ref.AggregateID == r.AggregateID }) {
			continue
		}
		if t.In = append(t.In, p.ref); len(t.In) >= p.commit.Members {
			delete(c.open, p.commit.ID)
			c.complete++
		}
	}
}
