package feed

import (
	"context"
	"errors"

	"ropewalk/head"
)

// errReplay interrupts the reading of the feed.
var errReplay = errors.New("parked aggregates are to be replayed")

// requestReplay lets the dispatcher replay the parked aggregates.
func (l *ledger) requestReplay() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replay = true
	if l.interrupt != nil {
		l.interrupt(errReplay)
	}
}

// untilReplay returns a context that ends when a replay is requested, with
// errReplay as its cause.
func (l *ledger) untilReplay(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, interrupt := context.WithCancelCause(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.interrupt = interrupt; l.replay {
		interrupt(errReplay)
	}
	return ctx, func() { interrupt(nil) }
}

// replayParked hands over the changes of the parked aggregates, if a replay was
// requested, and ends the parking of the aggregates that could be replayed.
//
// It begins when nothing is under way, so that all changes up to one place in the
// feed are either handled or parked. It reads the feed again, from the first parked
// change up to that place, and new changes wait for its end: the changes of each
// aggregate stay in order, and none is left out. If it is interrupted, each
// aggregate is parked from the first change on that was not handled yet.
func (r *run) replayParked() error {
	if !r.replayRequested() {
		return nil
	}
	r.lanes.wait()
	if err := r.ctx.Err(); err != nil {
		return err
	}
	wanted := func(a head.Advance) bool { return r.options.wants(a) && r.isParked(a.AggregateID) }
	from, end, err := r.beginReplay()
	if err != nil {
		return err
	}
	reached := false
	for d, err := range r.sub.feed.deliveries(r.ctx, from, false, wanted) {
		if err != nil {
			return err
		}
		order, _ := d.Position.Compare(end)
		if reached = order >= 0; order > 0 {
			break
		}
		if d.kind == skipped || !r.options.delivers(d.Change) || !r.isParkedAt(d.Change) {
			continue
		}
		j, err := r.begin(r.ctx, d.Change, end, true)
		if err != nil {
			return err
		}
		r.add(j)
	}
	r.lanes.wait()
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if !reached {
		return errFeedEnded
	}
	r.endReplay()
	return nil
}

func (l *ledger) replayRequested() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.parked) == 0 {
		l.replay = false
	}
	return l.replay
}

// beginReplay returns the place before the first parked change, and the place up to
// which aggregates are parked.
func (l *ledger) beginReplay() (from, end Position, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from = l.tail
	for _, parking := range l.parked {
		parking.failed, parking.erased = false, false
		order, known := parking.Position.Compare(from)
		if !known {
			return from, l.tail, otherHistory(parking.Position, l.tail)
		}
		if order < 0 {
			from = parking.Position
		}
	}
	return from, l.tail, nil
}

// isParkedAt reports whether a change is one of the changes of a parked aggregate
// that are not handled.
func (l *ledger) isParkedAt(c Change) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	parking, parked := l.parked[c.AggregateID]
	if !parked {
		return false
	}
	order, _ := c.Position.Compare(parking.Position)
	return order > 0
}

// endReplay ends the parking of all aggregates whose changes were handled.
func (l *ledger) endReplay() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replay = false
	for id, parking := range l.parked {
		if !parking.failed {
			delete(l.parked, id)
		}
	}
	l.touch()
}
