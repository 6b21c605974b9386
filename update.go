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

// Update reads, decides and appends as one step: it calls decide with a reader
// at the chain's head (at an empty history where the chain does not exist
// yet), appends the drafts that it returns, and on a conflict does it all
// again, after a jittered pause, on the head as it is then, until it succeeds
// or the context ends. What was read before is not fetched again, within
// [Options.WindowBytes]. Without drafts it appends nothing, and returns the
// head that decide has seen.
//
// decide may run many times, and must have no effect except its result; its own
// error ends Update. The other errors are those of [Chain.Append], except
// [*ConflictError]. An uncertain append is never decided again: its
// [*UncertainError] is returned.
//
// When ctx ends while a swap is under way, Update goes on until the outcome is
// known, as [Chain.Append] does: for [Options.SettleTimeout], 10 seconds by
// default, at most.
func (c *Chain) Update(ctx context.Context, decide func(context.Context, *Reader) ([]changeset.Draft, error)) (head.Head, error) {
	h, err := c.load(ctx)
	if err != nil {
		return head.Head{}, err
	}
	memory := &memory{PassThrough: changeset.NewPassThrough(c.store.changesets), room: c.store.options.WindowBytes, read: map[changeset.Ref]changeset.Changeset{}}
	for pauses := pause.New(); ; {
		drafts, err := decide(ctx, &Reader{c.store, memory, c.id, h})
		if err != nil || len(drafts) == 0 {
			return h, err
		}
		next, err := c.Append(ctx, h, drafts...)
		conflict, ok := errors.AsType[*ConflictError](err)
		if !ok {
			return next, err
		}
		if err := pauses.Wait(ctx); err != nil {
			return head.Head{}, errors.Join(err, conflict)
		}
		// The head that was seen before the pause is old by now where many write,
		// and who decides on it loses again and again.
		if h, err = c.reload(ctx, conflict.Actual); err != nil {
			return head.Head{}, err
		}
	}
}

// memory is a decorator that keeps what it has read: changesets are
// immutable, so that it is never out of date.
type memory struct {
	changeset.PassThrough
	mu   sync.Mutex
	room int64
	read map[changeset.Ref]changeset.Changeset
}

// Get returns what it has read before, or reads it, and keeps it if there is room.
func (m *memory) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	if c, ok := m.find(ref); ok {
		return c, admission.Admit(c.Header)
	}
	c, err := m.PassThrough.Get(ctx, ref, admission)
	if err == nil {
		m.keep(c)
	}
	return c, err
}

// GetMany returns what it has read before, and reads and keeps the rest.
func (m *memory) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
	var all []changeset.Changeset
	var missing []changeset.Ref
	for _, ref := range refs {
		if c, ok := m.find(ref); !ok {
			missing = append(missing, ref)
		} else if admission.Admit(c.Header) == nil {
			all = append(all, c)
		}
	}
	if len(missing) == 0 {
		return all, nil
	}
	rest, err := m.PassThrough.GetMany(ctx, missing, admission)
	if err != nil {
		return nil, err
	}
	for _, c := range rest {
		m.keep(c)
	}
	return append(all, rest...), nil
}

// find returns a copy of what was read before.
func (m *memory) find(ref changeset.Ref) (changeset.Changeset, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.read[ref]
	c.Body = bytes.Clone(c.Body)
	c.Metadata = maps.Clone(c.Metadata)
	return c, ok
}

func (m *memory) keep(c changeset.Changeset) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.room -= c.BodySize; m.room >= 0 {
		c.Body = bytes.Clone(c.Body)
		c.Metadata = maps.Clone(c.Metadata)
		m.read[c.Ref] = c
	}
}
