package gc

import (
	"context"

	"ropewalk/changeset"
)

// trail finds the chain's objects with given versions, which must come in ascending
// order, through the indexes on the way down from the head. It keeps the way to the
// last one, a few steps, which the next one shares.
type trail struct {
	*collection
	steps []step // from the head down
}

// step is an object of the chain, or the head, and what it names of the objects before it.
type step struct {
	first     uint64                // the first version of the object, or the first one that is not in objects
	objects   changeset.ObjectIndex // of format 2
	ancestors changeset.Index       // of format 1
	parent    changeset.Ref         // of format 1, before the first object of format 2
}

func newTrail(a *collection) *trail {
	return &trail{a, []step{{first: a.stored(), objects: a.head.Index, ancestors: a.head.Ancestors}}}
}

func stepOf(h changeset.Header) step {
	s := step{first: h.First(), ancestors: h.Ancestors}
	if h.Pack != nil {
		s.objects, s.parent = h.Pack.Index, h.ParentOf().Ref
	}
	return s
}

// nearest returns the lowest object that the step names which ends at the version or
// above. It returns false if there is no such object, as for every version from first on.
func (s step) nearest(aggregateID string, version uint64) (changeset.Ref, bool) {
	if _, e, ok := s.objects.Nearest(version); ok {
		return e.Ref(aggregateID), true
	}
	if at, id, ok := s.ancestors.Nearest(version); ok {
		return changeset.Ref{AggregateID: aggregateID, Version: at, ID: id}, true
	}
	return s.parent, s.objects.Objects() == 0 && !s.parent.ID.IsZero() && version <= s.parent.Version
}

// above returns the lowest step above a version that the trail has been to: at last
// the head, which is above all.
func (t *trail) above(version uint64) step {
	last := len(t.steps) - 1
	for t.steps[last].first <= version {
		last--
	}
	t.steps = t.steps[:last+1]
	return t.steps[last]
}

// find returns the chain's object with a version below the head's first step.
func (t *trail) find(ctx context.Context, version uint64) (changeset.Ref, error) {
	for {
		ref, ok := t.above(version).nearest(t.id, version)
		if !ok {
			return ref, t.corrupt(version)
		}
		if ref.First() <= version {
			return ref, nil
		}
		if _, err := t.step(ctx, ref); err != nil {
			return ref, err
		}
	}
}

func (t *trail) corrupt(version uint64) error {
	at := changeset.Ref{AggregateID: t.id, Version: version}
	return &changeset.CorruptError{Ref: at, Reason: "no index leads to it"}
}

// step reads the header of an object of the chain, and adds it to the way.
func (t *trail) step(ctx context.Context, ref changeset.Ref) (step, error) {
	h, err := t.stat(ctx, ref)
	if err != nil {
		return step{}, err
	}
	s := stepOf(h)
	t.steps = append(t.steps, s)
	return s, nil
}

// committed is find. If its result decides what is deleted, the next object must name
// the same one: if the two disagree, one of them is corrupt.
func (t *trail) committed(ctx context.Context, version uint64, sure bool) (changeset.Ref, error) {
	ref, err := t.find(ctx, version)
	if err != nil || !sure || t.above(version).first == ref.Version+1 {
		return ref, err // named by the next object itself, or by the head
	}
	next, err := t.find(ctx, ref.Version+1)
	if err != nil {
		return ref, err
	}
	s, err := t.step(ctx, next)
	if err != nil {
		return ref, err
	}
	if named, ok := s.nearest(t.id, ref.Version); !ok || named != ref {
		err = &changeset.CorruptError{Ref: next, Reason: "an index names another object before it: " + ref.String()}
	}
	return ref, err
}
