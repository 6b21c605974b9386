package gc

import (
	"slices"

	"ropewalk/changeset"
	"ropewalk/head"
)

// Count is a number of objects and the size of their bodies in bytes, as they are
// stored. A pack is one object, however many changesets it has.
type Count struct{ Objects, Bytes int64 }

func (c *Count) add(o changeset.Object) {
	c.Objects++
	c.Bytes += o.Size
}

// Plus returns the sum of two counts.
func (c Count) Plus(other Count) Count {
	return Count{c.Objects + other.Objects, c.Bytes + other.Bytes}
}

// Report is what was found of one aggregate, and what was done about it.
type Report struct {
	// AggregateID is the aggregate's.
	AggregateID string
	// Head is the head as it was last seen; the zero Head if there is no head.
	Head head.Head
	// Seen are all objects that were listed, committed ones included.
	Seen Count
	// Lost are the orphans that can never be committed, including orphans that a
	// fence has shut out. They were to be deleted.
	Lost Count
	// Pending are the orphans whose swap may still come. With [Options.Delete]
	// they are fenced, and lost.
	Pending Count
	// Erased are the objects of an erased aggregate and of its snapshots.
	Erased Count
	// Young are the objects within [Options.Grace] that are not known to be
	// committed. They were kept.
	Young Count
	// Ahead are objects that were built on a revision which the head has not
	// reached. They were kept.
	Ahead Count
	// Unreadable are objects that do not decode. They were kept.
	Unreadable Count
	// Unknown are objects of ranges in which the chain is broken: which of them
	// are committed is unknown. Run ropewalk verify to learn more. They were
	// kept.
	Unknown Count
	// Parts are orphans that are parts of commits of several aggregates, and it is unknown
	// whether the chain of another aggregate has the commit. They were kept, see
	// [Options.Parts].
	Parts Count
	// Deleted are the objects that were deleted. An object whose delete has
	// failed, or whose reply was lost, is not counted.
	Deleted Count
	// Fenced says that the head was swapped to its next revision.
	Fenced bool
	// Err is what ended the work on this aggregate, in the reports of
	// [Collector.CollectAll] alone; nil if nothing did.
	Err error
}

// found is a report, and the commits of several aggregates that have parts in it.
type found struct {
	Report
	parts []changeset.Commit
}

// Collectable are the objects that are, or would be, deleted.
func (r Report) Collectable() Count { return r.Lost.Plus(r.Pending).Plus(r.Erased) }

// fate is what becomes of an object.
type fate int

const (
	undecided fate = iota
	committed      // in the chain
	gone           // deleted by another process
	unknown        // the chain is broken in its range
	unreadable
	young
	ahead
	pending
	lost
	part // of a commit that another chain may have
)

// fateOf says what becomes of an object that the chain of a head does not
// reach, by the revision that it was built on and the head's.
func fateOf(afterRevision, revision uint64) fate {
	switch {
	case afterRevision < revision:
		return lost
	case afterRevision == revision:
		return pending
	default:
		return ahead
	}
}

// partsKept returns the commits that have parts among the suspects.
func (a *collection) partsKept() (all []changeset.Commit) {
	for _, s := range a.suspects {
		for _, m := range s.marks {
			if s.fate == part && !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	return all
}

// tally counts the objects by their fates.
func (a *collection) tally() {
	r := &a.report
	r.Head = a.head
	counts := map[fate]*Count{lost: &r.Lost, pending: &r.Pending, young: &r.Young, ahead: &r.Ahead, unreadable: &r.Unreadable, unknown: &r.Unknown, part: &r.Parts}
	for _, s := range a.suspects {
		if count := counts[s.fate]; count != nil {
			count.add(s.Object)
		}
	}
}
