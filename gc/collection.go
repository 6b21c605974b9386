package gc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
)

// collection is the work on one aggregate.
type collection struct {
	*Collector
	id       string
	began    time.Time
	delete   bool
	grace    time.Duration
	patience time.Duration // how long an object may be ahead of the head
	head     head.Head
	suspects []suspect             // in the order of their versions
	parts    bool                  // parts of commits are orphans like others
	refused  map[changeset.ID]bool // commits of several aggregates that no chain has
	counting sync.Mutex            // guards report.Deleted
	report   Report
}

// suspect is a stored object that the chain may not reach: an object that overlaps
// another one, or that ends above the newest object of the chain.
type suspect struct {
	changeset.Object
	age   time.Duration
	fate  fate
	off   bool // the chain has other objects in its place, by the head as it was last asked
	read  bool // after is known
	after uint64

	lines  bool               // it has several changesets, whose marks are in its lines
	opened bool               // marks is known
	marks  []changeset.Commit // of commits of several aggregates
}

func (c *Collector) newCollection(aggregateID string) *collection {
	return &collection{
		Collector: c, id: aggregateID, began: time.Now(), delete: c.options.Delete, grace: c.options.Grace, patience: aheadTolerance, parts: c.options.Parts,
		report: Report{AggregateID: aggregateID},
	}
}

// run does it all. The head is loaded before the objects are listed: all that
// it reaches is in the listing.
func (a *collection) run(ctx context.Context) error {
	var err error
	if a.head, err = a.load(ctx, a.id); err != nil {
		return err
	}
	return a.collect(ctx)
}

// collect deletes the orphans. The head is loaded.
func (a *collection) collect(ctx context.Context) error {
	steps := []func(context.Context) error{a.gather, a.decide, a.catchUp, a.fence, a.deleteLost}
	for _, step := range steps {
		if a.head.State == head.Erased {
			return a.sweep(ctx)
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// gather lists the objects, which come in the order of their first versions, and keeps
// those that the chain may not reach; none where there is no head to fence and none may be
// made, since all of them may still become a chain. An object that overlaps no other and ends below the first version
// that is not in objects is the chain's own, or else the chain is broken there.
func (a *collection) gather(ctx context.Context) error {
	var last changeset.Object
	end := uint64(0) // the last version of the objects so far
	kept := true     // last is among the suspects, or no object was listed yet
	for o, err := range a.changesets.Objects(ctx, a.id) {
		if err != nil {
			return fmt.Errorf("list changesets: %w", err)
		}
		overlaps := a.report.Seen.Objects > 0 && o.First() <= end
		a.report.Seen.add(o)
		a.progressed(1)
		if overlaps && !kept {
			a.suspect(last)
		}
		if kept = overlaps || o.Version >= a.stored(); kept {
			a.suspect(o)
		}
		last, end = o, max(end, o.Version)
	}
	if a.head.IsZero() && a.report.Seen.Objects == 0 {
		return changeset.ErrNotFound
	}
	return nil
}

// stored returns the first version that the chain does not have in objects: what is
// above is in the tip of the head, or is not in the chain.
func (a *collection) stored() uint64 {
	if a.head.IsPacked() {
		return a.head.Index.Next()
	}
	return a.head.Len()
}

func (a *collection) suspect(o changeset.Object) {
	if a.head.IsZero() && !a.options.Void {
		return
	}
	a.suspects = append(a.suspects, suspect{Object: o, age: a.age(o)})
}

// decide finds out the fate of each suspect under the head as it is known. An
// object that was found lost under an earlier head stays lost.
func (a *collection) decide(ctx context.Context) error {
	if a.head.State == head.Erased {
		return nil
	}
	if err := a.locate(ctx); err != nil {
		return err
	}
	if err := a.readHeaders(ctx); err != nil {
		return err
	}
	if err := a.readMarks(ctx); err != nil {
		return err
	}
	for i := range a.suspects {
		if s := &a.suspects[i]; s.open() {
			s.fate = a.fate(s)
		}
	}
	return nil
}

// open reports whether a later head may make a difference.
func (s *suspect) open() bool {
	return s.fate == undecided || s.fate == young || s.fate == pending || s.fate == ahead || s.fate == part
}

func (a *collection) fate(s *suspect) fate {
	if !s.read {
		return young
	}
	f := a.rule(s.after, a.head.Revision)
	switch {
	case f == ahead:
	case !a.pastGrace(s.age):
		return young
	case a.parted(s):
		return part
	}
	return f
}

// age returns the age of an object. An object whose time the storage does not
// say is new: it must not be deleted before its grace period is known to be over.
func (a *collection) age(o changeset.Object) time.Duration {
	if o.LastModified.IsZero() {
		return 0
	}
	return a.began.Sub(o.LastModified)
}

// pastGrace reports whether an object is older than the grace period.
func (a *collection) pastGrace(age time.Duration) bool {
	return a.grace < 0 || age >= a.grace
}

// locate finds out which of the suspects are committed: of the objects that overlap one
// another, and end below the first version that is not in objects, the chain's own are,
// and the others are off the chain.
func (a *collection) locate(ctx context.Context) error {
	way := newTrail(a)
	for rest := a.suspects; len(rest) > 0; {
		n := overlapping(rest)
		if err := a.locateRange(ctx, way, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// overlapping returns how many suspects form the first range: each overlaps one before it.
func overlapping(suspects []suspect) (n int) {
	end := suspects[0].Version
	for n = 1; n < len(suspects) && suspects[n].First() <= end; n++ {
		end = max(end, suspects[n].Version)
	}
	return n
}

// locateRange locates the chain's own objects among some suspects that overlap. They
// must be stored. Where one is not, or where the chain is not sure of it, the chain is
// broken, and nothing there may go.
func (a *collection) locateRange(ctx context.Context, way *trail, at []suspect) error {
	below := make([]*suspect, 0, len(at))
	for i := range at {
		if s := &at[i]; s.Version < a.stored() {
			below = append(below, s)
		}
	}
	if !slices.ContainsFunc(below, (*suspect).unlocated) {
		return nil
	}
	own, err := a.locateOwn(ctx, way, below)
	broken := errors.Is(err, changeset.ErrNotFound) || damaged(err)
	if err != nil && !broken {
		return fmt.Errorf("locate version %d: %w", below[0].First(), err)
	}
	if broken {
		a.options.Logger.WarnContext(ctx, "chain is broken, its objects there are left alone", "aggregate", a.id, "version", below[0].First(), "cause", err)
	}
	for _, s := range below {
		switch {
		case broken:
			s.fate = unknown
		case own[s.Ref]:
			s.fate = committed
		default:
			s.off = true
		}
	}
	return nil
}

// unlocated reports whether the chain may have the suspect, as far as is known. The
// chain may still get an object that is pending or ahead, also one that is to replace
// objects of the chain.
func (s *suspect) unlocated() bool {
	return s.open() && (!s.off || s.fate == pending || s.fate == ahead || s.fate == part)
}

// locateOwn returns the chain's own objects in the range of some suspects.
func (a *collection) locateOwn(ctx context.Context, way *trail, below []*suspect) (map[changeset.Ref]bool, error) {
	own, listed := map[changeset.Ref]bool{}, map[changeset.Ref]bool{}
	last, age := uint64(0), time.Duration(0)
	for _, s := range below {
		listed[s.Ref] = true
		last, age = max(last, s.Version), max(age, s.age)
	}
	for version := below[0].First(); version <= last; {
		ref, err := way.committed(ctx, version, a.pastGrace(age))
		if err == nil && !listed[ref] {
			_, err = a.stat(ctx, ref)
		}
		if err != nil {
			return nil, err
		}
		own[ref], version = true, ref.Version+1
	}
	return own, nil
}

// readHeaders learns what suspects were built on. It reads only suspects that
// may have to go, or may show that the head was rolled back.
func (a *collection) readHeaders(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(a.options.Parallel)
	for i := range a.suspects {
		s := &a.suspects[i]
		if s.fate == undecided || s.fate == young {
			if !s.read && (a.pastGrace(s.age) || s.age >= a.patience && !s.off) {
				group.Go(func() error { return a.readHeader(ctx, s) })
			}
		}
	}
	return group.Wait()
}

func (a *collection) readHeader(ctx context.Context, s *suspect) error {
	h, err := a.stat(ctx, s.Ref)
	switch {
	case errors.Is(err, changeset.ErrNotFound):
		s.fate = gone
	case damaged(err):
		s.fate = unreadable
		a.options.Logger.WarnContext(ctx, "object does not decode, left alone", "ref", s.Ref, "cause", err)
	case err != nil:
		return fmt.Errorf("read %s: %w", s.Ref, err)
	default:
		s.read, s.after = true, h.AfterRevision
		s.lines = h.Pack != nil && h.Pack.Lines
		if mark := h.Commit(); !s.lines && !mark.IsZero() {
			s.marks = []changeset.Commit{mark}
		}
	}
	return nil
}

func (a *collection) has(f fate) bool {
	return slices.ContainsFunc(a.suspects, func(s suspect) bool { return s.fate == f })
}

// catchUp deals with objects that are ahead of the head: the listing is newer
// than the head, so the head is loaded again. An object that is still ahead, and
// has been for long, shows that the head was rolled back. Then nothing is
// deleted at all.
func (a *collection) catchUp(ctx context.Context) error {
	if !a.has(ahead) {
		return nil
	}
	if err := a.reload(ctx); err != nil {
		return err
	}
	if err := a.decide(ctx); err != nil || a.head.State == head.Erased {
		return err
	}
	for _, s := range a.suspects {
		if s.fate == ahead && s.age >= a.patience {
			return fmt.Errorf("%w: it is at revision %d, and %s was built on revision %d, %s ago: it was restored to an earlier moment, or tampered with; "+
				"nothing was deleted: see what is there with verify, and what to do about it with rebuild-head",
				ropewalk.ErrHeadLost, a.head.Revision, s.Ref, s.after, s.age.Round(time.Second))
		}
	}
	return nil
}

// reload loads the head again, which can only have moved on.
func (a *collection) reload(ctx context.Context) error {
	h, err := a.load(ctx, a.id)
	if err != nil {
		return err
	}
	return a.moveTo(h)
}

func (a *collection) moveTo(h head.Head) error {
	if h.Revision < a.head.Revision {
		return fmt.Errorf("%w: it was at revision %d, and is at %d", ropewalk.ErrHeadLost, a.head.Revision, h.Revision)
	}
	a.head = h
	return nil
}
