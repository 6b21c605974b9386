package feed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ropewalk/head"
	"ropewalk/internal/pause"
)

// run is one run of a subscription by its owner. The dispatcher reads the feed and
// gives the changes to lanes, the lanes hand them to the handler, and the keeper
// saves the checkpoint.
type run struct {
	*ledger
	sub    *Subscription
	tenure *tenure // of the keeper
	fence  uint64
	handle BatchHandler
	size   int // the largest batch
	lanes  lanes

	// ctx is the context of the dispatcher and the lanes. Its cause is why the run
	// ends. The context of the handlers outlives it by the time of grace.
	ctx      context.Context
	end      context.CancelCauseFunc
	handlers context.Context
	abort    context.CancelFunc
}

func (s *Subscription) run(ctx context.Context, size int, handle BatchHandler) error {
	if err := s.check(); err != nil {
		return err
	}
	t, err := s.claim(ctx)
	if err != nil && ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	return newRun(ctx, t, size, handle).work(ctx)
}

func newRun(ctx context.Context, t *tenure, size int, handle BatchHandler) *run {
	options := &t.sub.options
	limit := options.Window
	if options.Parallel > 1 {
		limit = maxInFlight
	}
	r := &run{ledger: newLedger(options, limit, t.record, t.since), sub: t.sub, tenure: t, fence: t.record.fence, handle: handle, size: size}
	r.lanes.start(options.Parallel)
	r.ctx, r.end = context.WithCancelCause(ctx)
	r.handlers, r.abort = context.WithCancel(context.WithoutCancel(ctx))
	return r
}

// work runs until the context or an error ends the run. Then it waits for the
// handlers, saves the checkpoint, and gives up the ownership.
func (r *run) work(ctx context.Context) error {
	defer r.abort()
	context.AfterFunc(r.ctx, r.grace)
	background, stopKeeper := context.WithCancel(context.WithoutCancel(ctx))
	defer stopKeeper()
	var keeper sync.WaitGroup
	var lost error
	keeper.Go(func() {
		if lost = r.keep(background); lost != nil {
			r.end(lost)
			r.abort()
		}
	})
	r.end(r.dispatch())
	r.lanes.wait()
	stopKeeper()
	keeper.Wait()
	if lost != nil {
		return lost
	}
	cause := context.Cause(r.ctx)
	if ctx.Err() != nil && errors.Is(cause, context.Cause(ctx)) {
		cause = nil
	}
	return errors.Join(cause, r.save(context.WithoutCancel(ctx), ""))
}

// grace ends the context of the handlers some time after the run has ended.
func (r *run) grace() {
	timer := time.NewTimer(r.options.Grace)
	defer timer.Stop()
	select {
	case <-timer.C:
		r.abort()
	case <-r.handlers.Done():
	}
}

// keep saves the checkpoint whenever a save is due.
func (r *run) keep(ctx context.Context) error {
	for {
		timer := time.NewTimer(r.untilSave())
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-r.first:
			timer.Stop()
			continue
		case <-r.urgent:
			timer.Stop()
		case <-timer.C:
		}
		if err := r.save(context.WithoutCancel(ctx), r.tenure.record.owner); err != nil {
			return err
		}
	}
}

func (r *run) save(ctx context.Context, owner string) error {
	var began time.Time
	var handed int
	err := r.tenure.save(ctx, owner, r.requestReplay, func() (c checkpoint) {
		began = time.Now()
		c, handed = r.saving()
		return c
	})
	if err == nil {
		r.savedAt(began, handed)
	}
	return err
}

// dispatch reads the feed and gives its changes to the lanes.
func (r *run) dispatch() error {
	for trouble := r.sub.patience(); ; {
		err := r.replayParked()
		if err == nil {
			err = r.follow(trouble)
		}
		if errors.Is(err, errReplay) {
			continue
		}
		if err = trouble.Wait(r.ctx, err); err != nil {
			return r.sub.withAdvice(err)
		}
	}
}

// withAdvice adds the name of the subscription to an error of the feed, and what to
// do.
func (s *Subscription) withAdvice(err error) error {
	if errors.Is(err, ErrOtherHistory) {
		return fmt.Errorf("subscription %q: %w; its checkpoint stays as it is: decide where it goes on, and reset it", s.key(), err)
	}
	return fmt.Errorf("subscription %q: %w", s.key(), err)
}

var errFeedEnded = errors.New("the feed has ended")

// follow dispatches the changes of the feed after the last one that was begun. Its
// error is errReplay if parked aggregates are to be replayed first.
func (r *run) follow(trouble *pause.Patience) error {
	ctx, cancel := r.untilReplay(r.ctx)
	defer cancel()
	wanted := func(a head.Advance) bool { return r.options.wants(a) && !r.isParked(a.AggregateID) }
	for d, err := range r.sub.feed.deliveries(ctx, r.tail, true, wanted) {
		if err == nil {
			err = r.pass(ctx, d)
		}
		if errors.Is(context.Cause(ctx), errReplay) {
			return errReplay
		}
		if err != nil {
			return err
		}
		trouble.Over()
	}
	return errFeedEnded
}

// pass begins one step of the feed.
func (r *run) pass(ctx context.Context, d delivery) error {
	switch {
	case d.kind == caughtUp:
		return nil
	case d.kind == skipped || !r.options.delivers(d.Change):
		r.skip(d.Position)
		return nil
	}
	j, err := r.begin(ctx, d.Change, d.Position, false)
	if err == nil {
		r.add(j)
	}
	return err
}
