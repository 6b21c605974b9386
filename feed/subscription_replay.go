package feed

import (
	"context"
	"errors"

	"ropewalk/head"
)

// errReplay interrupts the reading of the feed.
var errReplay = errors.New("parked aggregates are to be replayed")

// requestReplay lets the dispatcher replay the parked aggregates.
func (p *progress) requestReplay() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replay = true
	if p.interrupt != nil {
		p.interrupt(errReplay)
	}
}

// untilReplay returns a context that ends when a replay is requested, with
// errReplay as its cause.
func (p *progress) untilReplay(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, interrupt := context.WithCancelCause(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.interrupt = interrupt; p.replay {
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
	from, end := r.beginReplay()
	for d, err := range r.sub.feed.deliveries(r.ctx, from, false, wanted) {
		if err != nil {
			return err
		}
		if order, ok := d.Position.Compare(end); !ok || order > 0 {
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
	r.endReplay()
	return nil
}

func (p *progress) replayRequested() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.parked) == 0 {
		p.replay = false
	}
	return p.replay
}

// beginReplay returns the place before the first parked change, and the place up to
// which aggregates are parked.
func (p *progress) beginReplay() (from, end Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from = p.tail
	for _, parking := range p.parked {
		parking.failed, parking.erased = false, false
		if order, _ := parking.Position.Compare(from); order < 0 {
			from = parking.Position
		}
	}
	return from, p.tail
}

// isParkedAt reports whether a change is one of the changes of a parked aggregate
// that are not handled.
func (p *progress) isParkedAt(c Change) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	parking, parked := p.parked[c.AggregateID]
	if !parked {
		return false
	}
	order, _ := c.Position.Compare(parking.Position)
	return order > 0
}

// endReplay ends the parking of all aggregates whose changes were handled.
func (p *progress) endReplay() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replay = false
	for id, parking := range p.parked {
		if !parking.failed {
			delete(p.parked, id)
		}
	}
	p.touch()
}
