package aggregate

import (
	"context"
	"errors"
	"fmt"

	"ropewalk"
	"ropewalk/head"
	"ropewalk/internal/pause"
)

// Update loads an aggregate, which must exist, lets decide make events of its
// state, and saves them; on a conflict it does it all again, after a jittered
// pause, on the state as it is then, reading only what is new, until it
// succeeds or the context ends. Without events it saves nothing, and returns
// the aggregate that decide has seen.
//
// decide may run many times, and must have no effect except its result; its own
// error ends Update. With [Once] it is not called for a command that was
// processed before. Otherwise Update returns the errors of [Repository.Load]
// and [Repository.Save], except a conflict. An uncertain save is never decided
// again: its *ropewalk.UncertainError is returned.
//
// When ctx ends while a save is under way, Update goes on until the outcome is
// known, as [Repository.Save] does: for ropewalk.Options.SettleTimeout, 10
// seconds by default, at most.
func (r *Repository[S, E]) Update(ctx context.Context, id string, decide func(S) ([]E, error), options ...Option) (Loaded[S], error) {
	return r.update(ctx, id, r.Load, decide, options)
}

// Upsert is [Repository.Update] of an aggregate that need not exist: decide
// then gets the zero state.
func (r *Repository[S, E]) Upsert(ctx context.Context, id string, decide func(S) ([]E, error), options ...Option) (Loaded[S], error) {
	load := func(ctx context.Context, id string) (Loaded[S], error) {
		l, err := r.Load(ctx, id)
		if errors.Is(err, ropewalk.ErrNotFound) {
			return Loaded[S]{ID: id}, nil
		}
		return l, err
	}
	return r.update(ctx, id, load, decide, options)
}

func (r *Repository[S, E]) update(ctx context.Context, id string, load func(context.Context, string) (Loaded[S], error), decide func(S) ([]E, error), options []Option) (Loaded[S], error) {
	c, err := r.options.call(ctx, options)
	if err != nil {
		return Loaded[S]{ID: id}, err
	}
	l, err := load(ctx, id)
	if err != nil {
		return l, err
	}
	for pauses := pause.New(); ; {
		if repeated, err := c.admit(&l.Repeated, l.commands, l.Head); repeated || err != nil {
			return l, err
		}
		events, err := decide(l.State)
		if err != nil {
			return l, err
		}
		now, err := r.save(ctx, l, events, c)
		conflict, ok := errors.AsType[*ropewalk.ConflictError](err)
		if !ok {
			return now, err
		}
		if err := pauses.Wait(ctx); err != nil {
			return l, errors.Join(err, conflict)
		}
		if l, err = r.reload(ctx, now, conflict.Actual); err != nil {
			return l, err
		}
	}
}

// reload returns the aggregate as it is now, after a pause. With many writers,
// a caller that decides on the head that won before loses again and again.
func (r *Repository[S, E]) reload(ctx context.Context, l Loaded[S], seen head.Head) (Loaded[S], error) {
	h, err := r.store.Chain(l.ID).Head(ctx)
	if errors.Is(err, ropewalk.ErrNotFound) || err == nil && h.Revision < seen.Revision {
		return l, fmt.Errorf("aggregate %q: %w: it was at revision %d, and is at %d", l.ID, ropewalk.ErrHeadLost, seen.Revision, h.Revision)
	}
	if err != nil {
		return l, err
	}
	return r.catchUp(ctx, l, h)
}
