package projection

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ropewalk/feed"
	"ropewalk/internal/pause"
)

// run is one run of a projection by its owner. It is not safe for concurrent use.
type run struct {
	p       *Projection
	feed    *feed.Feed
	handler Handler
	goal    *goal
	trouble *pause.Patience

	seen    row           // as this run knows it to be
	reached feed.Position // seen.position, or after it if the changes between are not selected
	beatAt  time.Time     // when the row was updated or read
}

// work works until the context, an error or the goal ends it. After an error that may
// go away it goes on at the position that the database then has.
func (r *run) work(ctx context.Context) error {
	for {
		for err := r.follow(ctx); err != nil; err = r.reload(ctx) {
			if errors.Is(err, errDone) {
				return err
			}
			if err := r.trouble.Wait(ctx, err); err != nil {
				return err
			}
		}
	}
}

// reload reads the row again. Its error matches [ErrReplaced] if this run is no longer
// the owner.
func (r *run) reload(ctx context.Context) error {
	rows, err := r.p.load(ctx)
	if err != nil {
		return err
	}
	now, exists := find(rows, func(now row) bool { return now.version == r.p.version })
	switch {
	case !exists:
		return fmt.Errorf("%w: the version was dropped", ErrReplaced)
	case now.fence != r.seen.fence:
		return fmt.Errorf("%w: %q with fence %d", ErrReplaced, now.owner, now.fence)
	}
	r.at(now.position)
	return nil
}

// at notes a position that the database has.
func (r *run) at(position feed.Position) {
	r.seen.position, r.reached, r.beatAt = position, position, time.Now()
}

// batch is what is handled by one transaction.
type batch struct {
	changes  []feed.Change
	to       feed.Position // the place after all changes, selected or not; zero if there were no steps
	caughtUp bool
	err      error // of the feed, after the changes
}

// step is a step of the feed, or its error.
type step struct {
	feed.Step
	err error
}

// follow handles the changes after the position, until an error or the goal ends it.
func (r *run) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer cancel()
	steps := make(chan step, r.p.options.Batch)
	from := r.reached
	reader.Go(func() { r.read(ctx, from, steps) })
	for {
		b, err := r.next(ctx, steps)
		if err == nil && len(b.changes) > 0 {
			err = r.apply(ctx, b)
		}
		if err != nil {
			return err
		}
		if !b.to.IsZero() {
			r.reached = b.to
		}
		if b.err != nil {
			return b.err
		}
		if b.caughtUp {
			if err := r.caughtUp(ctx); err != nil {
				return err
			}
		}
	}
}

// read sends the steps of the feed after a position.
func (r *run) read(ctx context.Context, from feed.Position, steps chan<- step) {
	defer close(steps)
	selection := feed.Selection{Prefix: r.p.options.Prefix, Types: r.p.options.Types}
	for s, err := range r.feed.Steps(ctx, from, selection) {
		select {
		case steps <- step{s, err}:
		case <-ctx.Done():
			return
		}
	}
}

// next waits for a step, and returns it with the steps that have come meanwhile, as far as
// they belong in one transaction.
func (r *run) next(ctx context.Context, steps <-chan step) (b batch, err error) {
	s, ok, err := r.first(ctx, steps)
	if err != nil {
		return b, err
	}
	for more := b.add(s, ok); more && len(b.changes) < r.p.options.Batch && r.untilBeat() > 0; {
		select {
		case s, ok = <-steps:
			more = b.add(s, ok)
		default:
			more = false
		}
	}
	return b, nil
}

// first waits for a step. It updates the row whenever that is due.
func (r *run) first(ctx context.Context, steps <-chan step) (s step, ok bool, err error) {
	for {
		if r.untilBeat() <= 0 {
			if err := r.beat(ctx); err != nil {
				return s, ok, err
			}
		}
		timer := time.NewTimer(r.untilBeat())
		select {
		case s, ok = <-steps:
			timer.Stop()
			return s, ok, nil
		case <-ctx.Done():
			timer.Stop()
			return s, ok, context.Cause(ctx)
		case <-timer.C:
		}
	}
}

func (r *run) untilBeat() time.Duration { return time.Until(r.beatAt.Add(r.p.options.Standby / beats)) }

// add adds a step. It reports whether another step can follow in the batch.
func (b *batch) add(s step, ok bool) bool {
	switch {
	case !ok:
		b.err = errEnded
	case s.err != nil:
		b.err = s.err
	case s.CaughtUp:
		b.caughtUp = true
	case s.Skipped:
		b.to = s.Position
	default:
		b.changes, b.to = append(b.changes, s.Change), s.Position
	}
	return b.err == nil && !b.caughtUp
}

// caughtUp takes account of having handled everything that the feed has. Its error is
// errDone if this was the goal.
func (r *run) caughtUp(ctx context.Context) error {
	if r.goal.caughtUp == nil {
		r.trouble.Over()
		return nil
	}
	if r.reached != r.seen.position {
		if err := r.beat(ctx); err != nil {
			return err
		}
	}
	done, err := r.goal.caughtUp(ctx, r)
	if err != nil {
		return err
	}
	r.trouble.Over()
	if done {
		return errDone
	}
	return nil
}

// beat saves how far the run has come without changes that are selected, and shows
// other processes that the owner is alive.
func (r *run) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.p.options.Standby/beats)
	defer cancel()
	if err := r.p.table.advance(ctx, r.p.db, r.p.name, r.seen, r.reached); err != nil {
		return fmt.Errorf("save the position: %w", err)
	}
	r.at(r.reached)
	return nil
}

// apply handles a batch in one transaction. If that fails because of its changes, it
// hands them over one by one, so that all changes before the one that fails have
// their effect.
func (r *run) apply(ctx context.Context, b batch) error {
	err := r.commit(ctx, b.changes, b.to)
	failed, ok := errors.AsType[*unhandled](err)
	switch {
	case !ok || ctx.Err() != nil:
		return err
	case len(b.changes) == 1:
		return r.again(ctx, b, failed)
	}
	r.p.options.Logger.WarnContext(ctx, "batch was not handled, handing over its changes one by one", "projection", r.p.String(), "changes", len(b.changes), "cause", err)
	for _, c := range b.changes {
		if err := r.apply(ctx, batch{changes: []feed.Change{c}, to: c.Position}); err != nil {
			return err
		}
	}
	return nil
}

// again hands a change that was not handled over again, with growing pauses.
func (r *run) again(ctx context.Context, b batch, failed *unhandled) error {
	o, c := &r.p.options, b.changes[0]
	pauses := pause.New(pause.First(firstRetry), pause.Max(o.RetryPause))
	for attempts := 1; ; attempts++ {
		if o.Retries >= 0 && attempts > o.Retries {
			return &HandlerError{r.p.String(), c.Ref, c.Position, attempts, failed.err}
		}
		o.Logger.WarnContext(ctx, "change was not handled, trying again", "projection", r.p.String(), "ref", c.Ref, "cause", failed.err)
		if pauses.Wait(ctx) != nil {
			return context.Cause(ctx)
		}
		if err := r.beatBefore(ctx); err != nil {
			return err
		}
		err := r.commit(ctx, b.changes, b.to)
		var ok bool
		if failed, ok = errors.AsType[*unhandled](err); !ok || ctx.Err() != nil {
			return err
		}
	}
}

// beatBefore shows that the owner is alive while a change fails. It does not move the
// position.
func (r *run) beatBefore(ctx context.Context) error {
	r.reached = r.seen.position
	return r.beat(ctx)
}

// releases is how often an owner tries to give up the ownership.
const releases = 3

// release gives the ownership up, so that another process takes over at once. The
// statement is sent again after an error: another process may have locked the database
// for a moment.
func (r *run) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.p.options.Standby/beats)
	defer cancel()
	if r.reached != r.seen.position {
		if err := r.beat(ctx); err != nil {
			r.p.options.Logger.WarnContext(ctx, "position not saved", "projection", r.p.String(), "cause", err)
		}
	}
	pauses := pause.New()
	for attempts := 1; ; attempts++ {
		err := r.p.table.release(ctx, r.p.db, r.p.name, r.seen)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errMoved) && attempts == 1:
			return ErrReplaced
		case errors.Is(err, errMoved):
			return nil // an earlier attempt may have taken effect
		case attempts == releases || pauses.Wait(ctx) != nil:
			return fmt.Errorf("give the ownership up: %w", err)
		}
	}
}
