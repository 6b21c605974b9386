package gc

import (
	"context"

	"ropewalk/changeset"
)

// trail finds the committed changesets of versions, which must come in
// ascending order, through the ancestor indexes on the way down from the head.
// It keeps the way to the last one, a few steps, which the next one shares.
type trail struct {
	*collection
	steps []step // from the head down
}

// step is a version whose ancestors are known.
type step struct{ index changeset.Index }

func newTrail(a *collection) *trail {
	return &trail{a, []step{{a.head.Ancestors}}}
}

// nearest returns the index of the lowest version above the given one that the
// trail has been to: at last the head's, which is above all.
func (t *trail) nearest(version uint64) changeset.Index {
	last := len(t.steps) - 1
	for t.steps[last].index.Version() <= version {
		last--
	}
	t.steps = t.steps[:last+1]
	return t.steps[last].index
}

// find returns the ID of a version at or below the head's.
func (t *trail) find(ctx context.Context, version uint64) (changeset.ID, error) {
	for {
		at, id, _ := t.nearest(version).Nearest(version)
		if at == version {
			return id, nil
		}
		if _, err := t.step(ctx, at, id); err != nil {
			return changeset.ID{}, err
		}
	}
}

// step reads the header of a committed changeset, and adds it to the way.
func (t *trail) step(ctx context.Context, version uint64, id changeset.ID) (changeset.Header, error) {
	h, err := t.stat(ctx, changeset.Ref{AggregateID: t.id, Version: version, ID: id})
	if err == nil {
		t.steps = append(t.steps, step{h.Ancestors})
	}
	return h, err
}

// committed is find. If its result decides what is deleted, the child must name
// the same parent: if the two disagree, one of them is corrupt.
func (t *trail) committed(ctx context.Context, version uint64, sure bool) (changeset.ID, error) {
	id, err := t.find(ctx, version)
	if err != nil || !sure || t.nearest(version).Version() == version+1 {
		return id, err // from the child's own index, or the head's
	}
	childID, err := t.find(ctx, version+1)
	if err != nil {
		return id, err
	}
	child, err := t.step(ctx, version+1, childID)
	if err == nil && child.Parent != id {
		err = &changeset.CorruptError{Ref: child.Ref, Reason: "an ancestor index names another parent: " + id.String()}
	}
	return id, err
}
