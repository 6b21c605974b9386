package gc

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/headlist"
	"ropewalk/internal/parallel"
	"ropewalk/internal/reserved"
)

// CollectAll is [Collector.Collect] for every aggregate that has an object,
// several at once, yielded in the order of their percent-encoded IDs. The
// library's own chains, under reserved IDs, are among them. If after is not
// empty, it begins after that aggregate ID: to continue a run that was ended,
// pass the ID of the last report before the end. Erased aggregates with nothing
// but snapshots come last, in no order.
//
// An error of one aggregate is in its report, and does not end the rest; a
// listing that fails, or the context's end, does, with the one error. Aggregates with
// parts of commits of several aggregates come last, in their order, because only then
// all parts were met; what is known of them is kept until then. When the
// context ends, the reports of the aggregates under way come before that error:
// they count the work done, and an unfinished one has an Err that matches the
// context's error. Breaking the loop stops all work. Memory is bounded by what
// is known of [Options.Parallel] aggregates.
func (c *Collector) CollectAll(ctx context.Context, after string) iter.Seq2[Report, error] {
	ctx = reserved.Open(ctx)
	ids := func(ctx context.Context) iter.Seq2[string, error] { return c.aggregates(ctx, after) }
	return func(yield func(Report, error) bool) {
		k := &kept{met: map[changeset.ID]int{}, refused: map[changeset.ID]bool{}}
		work := func(ctx context.Context, id string) (found, error) { return c.collectOne(ctx, id, nil) }
		for r, err := range parallel.Map(ctx, c.options.Parallel, ids, work) {
			if err != nil {
				k.end(yield, err)
				return
			}
			if skip := r.AggregateID == "" || k.take(r); !skip && !yield(r.Report, nil) {
				return
			}
		}
		k.collect(ctx, c)(yield)
	}
}

// collectOne is Collect with all errors in the report, given the commits of several
// aggregates that no chain has.
func (c *Collector) collectOne(ctx context.Context, aggregateID string, refused map[changeset.ID]bool) (found, error) {
	r, err := found{Report: Report{AggregateID: aggregateID}}, checkID(ctx, aggregateID)
	if err == nil {
		r, err = c.collect(ctx, aggregateID, refused)
	}
	if errors.Is(err, changeset.ErrNotFound) && r.Seen.Objects == 0 && !r.Head.Exists() {
		return found{}, nil // gone since it was listed
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("collect %q: %w", aggregateID, ctx.Err())
	}
	r.Err = err
	return r, nil
}

// aggregates yields the aggregates that have a chain and objects, and then the
// erased aggregates that have nothing but snapshots.
func (c *Collector) aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for id, err := range c.changesets.Aggregates(ctx, after) {
			if err != nil {
				err = fmt.Errorf("list aggregates: %w", err)
			}
			if skip := err == nil && !reserved.HasChain(id); !skip && (!yield(id, err) || err != nil) {
				return
			}
		}
		c.leftBehind(ctx)(yield)
	}
}

// leftBehind yields the erased aggregates that have snapshots and nothing else:
// only their heads show which aggregates these are. If there can be no such
// snapshots, no head is read.
func (c *Collector) leftBehind(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		some, err := c.anySnapshots(ctx)
		if err != nil || !some {
			if err != nil {
				yield("", err)
			}
			return
		}
		for e, err := range headlist.All(ctx, c.heads, "") {
			left := false
			if err == nil {
				left, err = c.isLeftBehind(ctx, e)
			}
			if (err != nil || left) && (!yield(e.AggregateID, err) || err != nil) {
				return
			}
		}
	}
}

// anySnapshots reports whether there are snapshots other than the snapshots of the
// library's own chains that have objects. Reserved IDs come after "$", and before
// all other IDs. The IDs of feeds, the only ones of these chains that have
// snapshots, come before the IDs of snapshots.
func (c *Collector) anySnapshots(ctx context.Context) (bool, error) {
	known := map[string]bool{}
	for id, err := range c.changesets.Aggregates(ctx, "$") {
		switch {
		case err != nil:
			return false, fmt.Errorf("list aggregates: %w", err)
		case reserved.IsSnapshots(id) && !known[id]:
			return true, nil
		case !reserved.Is(id):
			return false, nil
		}
		known[reserved.Snapshots(id)] = true
	}
	return false, nil
}

// isLeftBehind reports whether an aggregate has snapshots and no other objects,
// and may be erased: its head says so, or does not decode.
func (c *Collector) isLeftBehind(ctx context.Context, e headlist.Entry) (bool, error) {
	if e.Fault == nil && e.Head.State != head.Erased || !reserved.HasChain(e.AggregateID) {
		return false, nil
	}
	own, err := c.hasObjects(ctx, e.AggregateID)
	if err != nil || own {
		return false, err
	}
	return c.hasObjects(ctx, reserved.Snapshots(e.AggregateID))
}

func (c *Collector) hasObjects(ctx context.Context, id string) (bool, error) {
	for _, err := range c.changesets.Objects(ctx, id) {
		if err != nil {
			return false, fmt.Errorf("list changesets of %q: %w", id, err)
		}
		return true, nil
	}
	return false, nil
}
