package soak

import (
	"context"
	"errors"
	"time"

	"ropewalk/changeset"
	"ropewalk/gc"
	"ropewalk/head"
)

// collector returns a collector under faults, without a courtesy period.
func (w *world) collector(delete bool) *gc.Collector {
	changesets := w.script.Changesets(w.place.Changesets).(gc.Changesets)
	return gc.New(changesets, w.script.Heads(w.place.Heads), &gc.Options{Grace: -1, Delete: delete})
}

// collectAgain n times collects orphans, or looks which it would collect. Now and then it
// moves the tip of the head into objects.
func (c *client) collectAgain(ctx context.Context, n int) {
	for range n {
		c.pause(1.3)
		c.collect(ctx, c.rand.IntN(5) > 0)
		if c.rand.IntN(4) == 0 {
			c.flush(ctx)
		}
	}
}

func (c *client) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 3*c.place.Unit)
	defer cancel()
	_, err := c.collector(false).Flush(ctx, c.chain.AggregateID())
	c.unexpected(ctx, "flush", err)
}

func (c *client) collect(ctx context.Context, delete bool) {
	ctx, cancel := context.WithTimeout(ctx, 3*c.place.Unit)
	defer cancel()
	report, err := c.collector(delete).Collect(ctx, c.chain.AggregateID())
	c.unexpected(ctx, "collect", err)
	if report.Unreadable.Objects+report.Unknown.Objects > 0 {
		c.unexpected(ctx, "collect", &changeset.CorruptError{Reason: "nobody can tell what is committed"})
	}
	c.noted(report)
}

func (w *world) noted(report gc.Report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Collected += int(report.Deleted.Objects)
	if report.Fenced {
		w.Fences++
	}
}

// eraseOnce erases the aggregate while the others are at work, and tries a few
// times while the outcome is unknown.
func (c *client) eraseOnce(ctx context.Context) {
	time.Sleep(2 * c.place.Unit)
	for range 5 {
		c.pause(3)
		if c.erase(ctx) {
			return
		}
	}
}

// erase reports whether it is known to be done.
func (c *client) erase(ctx context.Context) bool {
	op := &Operation{Client: c.number, Kind: Erase, Call: time.Now().UnixNano()}
	ctx, cancel := context.WithTimeout(ctx, 6*c.place.Unit)
	defer cancel()
	report, err := c.collector(true).Erase(ctx, c.chain.AggregateID())
	c.unexpected(ctx, "erase", err)
	c.noted(report)
	op.Return, op.Err = time.Now().UnixNano(), err
	switch {
	case report.Head.State == head.Erased: // whatever became of the sweep
		op.Outcome = Done
	case errors.Is(err, changeset.ErrNotFound):
		op.Kind, op.Outcome = Read, Done // it has seen that there is no chain
	default:
		op.Outcome, op.Return = Unknown, forever
	}
	c.record(op)
	return op.Kind == Erase && op.Outcome == Done
}

// sweep collects, without faults, what is left, and proves that nothing else
// was touched and nothing remains.
func (w *world) sweep(ctx context.Context, before []changeset.Changeset) {
	collector := gc.New(w.place.Changesets, w.place.Heads, &gc.Options{Grace: -1, Delete: true})
	report, err := collector.Collect(ctx, w.chain.AggregateID())
	if err != nil {
		w.violated("the last collection: %v", err)
		return
	}
	w.noted(report)
	after, ok := w.verify(ctx)
	if left := after.Lost + after.Pending; ok && after.Head.Exists() && left > 0 {
		w.violated("%d orphans are left by the last collection", left)
	}
	if after.Committed != len(before) {
		w.violated("the chain had %d changesets, and has %d after the last collection", len(before), after.Committed)
	}
}
