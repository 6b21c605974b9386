package gc

import (
	"context"
	"fmt"
	"iter"

	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/headlist"
	"ropewalk/internal/link"
	"ropewalk/internal/parallel"
	"ropewalk/internal/pause"
)

// Flushed is what a flush did about one aggregate.
type Flushed struct {
	// AggregateID is the aggregate's.
	AggregateID string
	// Head is the head as it was last seen; the zero Head if it does not decode.
	Head head.Head
	// Changesets is how many changesets this flush moved from the tip of the head into
	// objects, and Objects are those objects. Both are 0 if there was nothing to move, or
	// if an append has moved them meanwhile.
	Changesets int64
	Objects    Count
	// Err is what ended the work on this aggregate, in the reports of
	// [Collector.FlushAll] alone; nil if nothing did.
	Err error
}

// Flush moves the changesets in the tip of a packed chain's head into objects, even
// without [Options.Delete]: it puts the objects, and swaps the head to the same
// changeset at the next revision, with an empty tip. Afterwards every changeset that
// was committed before the call is in an object. A writer meets a flush as a fence, and
// builds its append again.
//
// A chain without a tip is left as it is. If another swap comes first, the flush begins
// again with new objects, unless that swap has moved the tip. The objects of a flush that
// lost or failed are orphans, which [Collector.Collect] deletes.
//
// Its error matches [changeset.ErrNotFound] if there is no head, and ropewalk.ErrErased
// if the aggregate is erased. Otherwise it returns the errors of [Collector.Collect].
// Repeating is safe after any error.
func (c *Collector) Flush(ctx context.Context, aggregateID string) (Flushed, error) {
	f := Flushed{AggregateID: aggregateID}
	if err := checkID(ctx, aggregateID); err != nil {
		return f, err
	}
	h, err := c.load(ctx, aggregateID)
	switch f.Head = h; {
	case err != nil:
	case !h.Exists():
		err = changeset.ErrNotFound
	case h.State == head.Erased:
		err = ropewalk.ErrErased
	default:
		f, err = c.flush(ctx, h)
	}
	if err != nil {
		err = fmt.Errorf("flush %q: %w", aggregateID, err)
	}
	return f, err
}

// FlushAll is [Collector.Flush] for every head that has a tip, several at once. It
// lists all heads, and yields the reports in the order of the storage. The library's own
// chains are among them. A run that was ended may begin again: it finds the heads that
// still have a tip.
//
// An error of one aggregate is in its report, and does not end the rest, nor does a head
// that does not decode; a listing that fails, or the context's end, does, with the one
// error. Breaking the loop stops all work.
func (c *Collector) FlushAll(ctx context.Context) iter.Seq2[Flushed, error] {
	return parallel.Map(ctx, c.options.Parallel, c.tips, c.flushOne)
}

// tips yields the heads with a tip, and those that do not decode.
func (c *Collector) tips(ctx context.Context) iter.Seq2[headlist.Entry, error] {
	return func(yield func(headlist.Entry, error) bool) {
		for e, err := range headlist.All(ctx, c.heads, "") {
			if skip := err == nil && e.Fault == nil && e.Head.Tip == ""; !skip && !yield(e, err) {
				return
			}
		}
	}
}

// flushOne is Flush with all errors in the report.
func (c *Collector) flushOne(ctx context.Context, e headlist.Entry) (Flushed, error) {
	f, err := Flushed{AggregateID: e.AggregateID, Head: e.Head}, e.Fault
	if err == nil {
		if err = e.Head.CheckWritable(); err == nil {
			f, err = c.flush(ctx, e.Head)
		}
	}
	if err != nil {
		f.Err = fmt.Errorf("flush %q: %w", e.AggregateID, err)
	}
	return f, nil
}

// flush moves the tip of a head, until what it had is in objects, by this or another
// process.
func (c *Collector) flush(ctx context.Context, h head.Head) (Flushed, error) {
	f := Flushed{AggregateID: h.AggregateID, Head: h}
	target, pauses := h.Version, pause.New()
	for try := 0; f.Head.Tip != "" && f.Head.Index.Next() <= target; try++ {
		if try == maxStalls {
			return f, fmt.Errorf("%d times another swap came first", try)
		}
		if try > 0 {
			if err := pauses.Wait(ctx); err != nil {
				return f, err
			}
		}
		if err := c.flushOnce(ctx, &f); err != nil {
			return f, err
		}
	}
	return f, nil
}

// flushOnce puts the tip of the head as new objects, and swaps the head. It sets the
// head that this, or another swap, has left.
func (c *Collector) flushOnce(ctx context.Context, f *Flushed) error {
	from := f.Head
	objects, next, err := link.Flush(from, c.options.Compress)
	if err != nil {
		return err
	}
	if err := c.putAll(ctx, objects); err != nil {
		return err
	}
	swapTo := func(head.Head) head.Head { return next }
	moved := func(h head.Head) bool { return !h.SameRecord(from) }
	h, _, err := c.advance(ctx, from, swapTo, moved)
	if err != nil {
		return err
	}
	if f.Head = h; h.Index == next.Index {
		f.Changesets = int64(next.Index.Next() - from.Index.Next())
		for _, o := range objects {
			f.Objects = f.Objects.Plus(Count{1, o.BodySize})
		}
		c.options.Logger.InfoContext(ctx, "tip was moved into objects", "aggregate", h.AggregateID, "revision", next.Revision, "changesets", f.Changesets)
	}
	return nil
}

// putAll puts objects, all at once. If a put fails, no head will name any of them.
func (c *Collector) putAll(ctx context.Context, objects []changeset.Changeset) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, o := range objects {
		group.Go(func() error {
			_, err := request(ctx, c, func() (struct{}, error) { return struct{}{}, c.changesets.Put(ctx, o) })
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("put the tip: %w", err)
	}
	return nil
}
