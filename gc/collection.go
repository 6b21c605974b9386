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
	head     head.Head
	suspects []suspect  // in the order of their versions
	counting sync.Mutex // guards report.Deleted
	report   Report
}

// suspect is a stored object that the chain may not reach: one of several at
// its version, or one above the head.
type suspect struct {
	changeset.Object
	age   time.Duration
	fate  fate
	off   bool // known not to be in the chain of a head that has its version
	read  bool // after is known
	after uint64
}

func (c *Collector) newCollection(aggregateID string) *collection {
	return &collection{
		Collector: c, id: aggregateID, began: time.Now(), delete: c.options.Delete,
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

// gather lists the objects and keeps those that the chain may not reach; none
// where there is no head, since all of them may still become a chain.
func (a *collection) gather(ctx context.Context) error {
	var last changeset.Object
	kept := true // last is among the suspects, or no object was listed yet
	for o, err := range a.changesets.Objects(ctx, a.id) {
		if err != nil {
			return fmt.Errorf("list changesets: %w", err)
		}
		a.report.Seen.add(o)
		a.progressed(1)
		fork := a.report.Seen.Objects > 1 && o.Version == last.Version
		if fork && !kept {
			a.suspect(last)
		}
		if kept = fork || o.Version > a.head.Version; kept {
			a.suspect(o)
		}
		last = o
	}
	if !a.head.Exists() && a.report.Seen.Objects == 0 {
		return changeset.ErrNotFound
	}
	return nil
}

func (a *collection) suspect(o changeset.Object) {
	if !a.head.Exists() {
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
	for i := range a.suspects {
		if s := &a.suspects[i]; s.open() {
			s.fate = a.fate(s)
		}
	}
	return nil
}

// open reports whether a later head may make a difference.
func (s *suspect) open() bool {
	return s.fate == undecided || s.fate == young || s.fate == pending || s.fate == ahead
}

func (a *collection) fate(s *suspect) fate {
	if !s.read {
		return young
	}
	f := a.rule(s.after, a.head.Revision)
	if f != ahead && !a.pastGrace(s.age) {
		return young
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
	return a.options.Grace < 0 || age >= a.options.Grace
}

// locate finds out which of the suspects are committed: of each version at or
// below the head's, one is, and the others are off the chain.
func (a *collection) locate(ctx context.Context) error {
	way := newTrail(a)
	for i := 0; i < len(a.suspects); {
		version, first := a.suspects[i].Version, i
		for i < len(a.suspects) && a.suspects[i].Version == version {
			i++
		}
		if version > a.head.Version {
			return nil
		}
		if err := a.locateOne(ctx, way, a.suspects[first:i]); err != nil {
			return err
		}
	}
	return nil
}

// locateOne locates what is committed at the version of some suspects. It must
// be stored: where it is not, the chain is broken, and nothing there may go.
func (a *collection) locateOne(ctx context.Context, way *trail, at []suspect) error {
	if !slices.ContainsFunc(at, func(s suspect) bool { return s.open() && !s.off }) {
		return nil
	}
	id, err := way.committed(ctx, at[0].Version, a.pastGrace(oldest(at)))
	if err == nil && !slices.ContainsFunc(at, func(s suspect) bool { return s.ID == id }) {
		_, err = a.stat(ctx, changeset.Ref{AggregateID: a.id, Version: at[0].Version, ID: id})
	}
	broken := errors.Is(err, changeset.ErrNotFound) || damaged(err)
	if err != nil && !broken {
		return fmt.Errorf("locate version %d: %w", at[0].Version, err)
	}
	if broken {
		a.options.Logger.WarnContext(ctx, "chain is broken, its objects there are left alone", "aggregate", a.id, "version", at[0].Version, "cause", err)
	}
	for i := range at {
		switch {
		case broken:
			at[i].fate = unknown
		case at[i].ID == id:
			at[i].fate = committed
		default:
			at[i].off = true
		}
	}
	return nil
}

func oldest(at []suspect) (age time.Duration) {
	for _, s := range at {
		age = max(age, s.age)
	}
	return age
}

// readHeaders learns what suspects were built on. It reads only suspects that
// may have to go, or may show that the head was rolled back.
func (a *collection) readHeaders(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(a.options.Parallel)
	for i := range a.suspects {
		s := &a.suspects[i]
		if s.fate == undecided || s.fate == young {
			if !s.read && (a.pastGrace(s.age) || s.age >= aheadTolerance && !s.off) {
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
		if s.fate == ahead && s.age >= aheadTolerance {
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
