package ropewalk

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"sync"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/pause"
)

// Update reads, decides and appends as one step. It calls decide with a reader
// at the chain's head (at an empty history if the chain does not exist yet), and
// appends the drafts that decide returns. After a first conflict it decides again at
// once, at the head that has won. After each later conflict it pauses, with jitter, and
// starts again at the present head, until it succeeds or the context ends.
// Changesets that were read before are not fetched again, within
// [Options.WindowBytes]. If decide returns no drafts, Update appends nothing, and
// returns the head that decide saw.
//
// decide may run many times, and must have no effect except its result. An error
// of decide ends Update. The other errors are the errors of [Chain.Append],
// except [*ConflictError]. An uncertain append is never decided again: Update
// returns its [*UncertainError].
//
// When ctx ends while a swap is under way, Update goes on until the outcome is
// known, as [Chain.Append] does: for at most [Options.SettleTimeout], 10 seconds
// by default.
func (c *Chain) Update(ctx context.Context, decide func(context.Context, *Reader) ([]changeset.Draft, error)) (got head.Head, err error) {
	err = errUnfinished
	ctx, end := c.store.start(ctx, OperationUpdate, c.id)
	defer func() { end(Result{0, err}) }()
	return c.update(ctx, decide)
}

// update is Update without the observer.
func (c *Chain) update(ctx context.Context, decide func(context.Context, *Reader) ([]changeset.Draft, error)) (head.Head, error) {
	h, err := c.load(ctx)
	if err != nil {
		return head.Head{}, err
	}
	known := c.store.newReadCache()
	pauses := pause.New()
	for first := true; ; first = false {
		drafts, err := decide(ctx, &Reader{store: c.store, changesets: known, id: c.id, head: h})
		if err != nil || len(drafts) == 0 {
			return h, err
		}
		next, err := c.Append(ctx, h, drafts...)
		conflict, ok := errors.AsType[*ConflictError](err)
		if !ok {
			return next, err
		}
		if h = conflict.Actual; first {
			continue
		}
		if err := pauses.Wait(ctx); err != nil {
			return head.Head{}, errors.Join(err, conflict)
		}
		// With many writers the head from before the pause is old by now, and a
		// decision on it would lose again and again.
		if h, err = c.reload(ctx, h); err != nil {
			return head.Head{}, err
		}
	}
}

// readCache is a decorator that keeps the changesets that it has read. They are
// immutable, so it is never out of date.
type readCache struct {
	changeset.PassThrough
	mu   sync.Mutex
	room int64
	read map[changeset.Ref]changeset.Changeset
}

func (s *Store) newReadCache() *readCache {
	return &readCache{PassThrough: changeset.NewPassThrough(s.changesets), room: s.options.WindowBytes, read: map[changeset.Ref]changeset.Changeset{}}
}

// Get returns a kept changeset, or reads it, and keeps it if there is room.
func (r *readCache) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	if c, ok := r.find(ref); ok {
		return c, admission.Admit(c.Header)
	}
	c, err := r.PassThrough.Get(ctx, ref, admission)
	if err == nil {
		r.keep(c)
	}
	return c, err
}

// GetMany returns the kept changesets, and reads and keeps the others.
func (r *readCache) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
	var all []changeset.Changeset
	var missing []changeset.Ref
	for _, ref := range refs {
		if c, ok := r.find(ref); !ok {
			missing = append(missing, ref)
		} else if admission.Admit(c.Header) == nil {
			all = append(all, c)
		}
	}
	if len(missing) == 0 {
		return all, nil
	}
	rest, err := r.PassThrough.GetMany(ctx, missing, admission)
	if err != nil {
		return nil, err
	}
	for _, c := range rest {
		r.keep(c)
	}
	return append(all, rest...), nil
}

// find returns a copy of a kept changeset.
func (r *readCache) find(ref changeset.Ref) (changeset.Changeset, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.read[ref]
	c.Body = bytes.Clone(c.Body)
	c.Metadata = maps.Clone(c.Metadata)
	return c, ok
}

func (r *readCache) keep(c changeset.Changeset) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.room -= c.BodySize; r.room >= 0 {
		c.Body = bytes.Clone(c.Body)
		c.Metadata = maps.Clone(c.Metadata)
		r.read[c.Ref] = c
	}
}
