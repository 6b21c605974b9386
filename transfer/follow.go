package transfer

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/feed"
	"ropewalk/head"
	"ropewalk/internal/headlist"
	"ropewalk/internal/parallel"
	"ropewalk/internal/pause"
)

// longestPause is the longest pause before another try of an aggregate, before jitter.
const longestPause = 15 * time.Second

// Step is one step of [Copier.Follow].
type Step struct {
	// Report is what was done about an aggregate; the zero Report if CaughtUp is set.
	Report
	// CaughtUp means that everything that the source has reported was looked at.
	CaughtUp bool
	// Lag is how long ago the newest changeset of the aggregate was recorded, by the clocks
	// of its writer and of this process, when the destination got it. It is zero for
	// aggregates that were not copied.
	Lag time.Duration
}

// Follow copies what [Copier.CopyAll] copies, and then what changes, until the context ends
// or an error ends it. It follows the feed of the source: its log, or the feed that a relay
// makes. If the source has no feed when Follow begins, Follow lists all heads again and
// again, as often as [Options.Poll] says, and copies what has changed; it then keeps a short
// text for each aggregate in memory.
//
// An aggregate that cannot be copied because a storage fails is tried again until it is
// copied: [Options.Retry] learns of each failure. An aggregate that is refused, or damaged,
// is in a step with its error, and again after its next change. Follow keeps nothing: when
// it is begun again, it looks at every head, and goes on. It does not use [Options.Since]
// and [Options.At].
func (c *Copier) Follow(ctx context.Context) iter.Seq2[Step, error] {
	return func(yield func(Step, error) bool) {
		for page, err := range c.news(ctx) {
			if err == nil && len(page) == 0 && !yield(Step{CaughtUp: true}, nil) {
				return
			}
			if err == nil {
				var more bool
				if more, err = c.followPage(ctx, page, yield); !more {
					return
				}
			}
			if err != nil {
				yield(Step{}, err)
				return
			}
		}
	}
}

// followPage copies the aggregates of a page. It reports false if the loop has ended.
func (c *Copier) followPage(ctx context.Context, page []string, yield func(Step, error) bool) (more bool, _ error) {
	ids := func(context.Context) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for _, id := range page {
				if !yield(id, nil) {
					return
				}
			}
		}
	}
	for r, err := range parallel.Map(ctx, c.options.Parallel, ids, c.persist) {
		if err != nil {
			return true, err
		}
		if r.Outcome == Absent {
			continue
		}
		step := Step{Report: r}
		if r.Outcome == Copied || r.Outcome == Moved {
			step.Lag = max(0, time.Since(r.Source.UpdatedAt))
		}
		if !yield(step, nil) {
			return false, nil
		}
	}
	return true, nil
}

// persist copies an aggregate, and tries again while a storage fails.
func (c *Copier) persist(ctx context.Context, id string) (Report, error) {
	do := c.Copy
	if c.options.MoveTo != "" {
		do = c.Move
	}
	for pauses := pause.New(pause.Max(longestPause)); ; {
		r, err := do(ctx, id)
		if errors.Is(err, errNoHead) {
			r.Outcome, err = Absent, nil
		}
		if r.Err = err; err == nil || refused(err) {
			return r, nil
		}
		if c.options.Retry != nil && ctx.Err() == nil {
			c.options.Retry(id, err)
		}
		if err := pauses.Wait(ctx); err != nil {
			return r, err
		}
	}
}

// refused reports whether another try would find the same.
func refused(err error) bool {
	_, corrupt := errors.AsType[*changeset.CorruptError](err)
	return corrupt || slices.ContainsFunc([]error{
		ropewalk.ErrConflict, ropewalk.ErrErased, ropewalk.ErrMoved, changeset.ErrUnsupportedFormat,
		changeset.ErrInvalidAggregateID, changeset.ErrTooLarge, changeset.ErrStoredTooLarge,
	}, func(target error) bool { return errors.Is(err, target) })
}

// news yields pages of the aggregates that may have changed: first all of them. An empty
// page means that there is nothing more for now.
func (c *Copier) news(ctx context.Context) iter.Seq2[[]string, error] {
	f := feed.Open(ropewalk.New(c.from.Changesets, c.from.Heads, nil), &feed.Options{Only: c.named})
	return func(yield func([]string, error) bool) {
		end, err := f.End(ctx) // before the heads are listed: what changes later is after it
		if errors.Is(err, feed.ErrNoFeed) {
			c.listings(ctx)(yield)
			return
		}
		if err != nil {
			yield(nil, err)
			return
		}
		for page, err := range c.changed(ctx, map[string]string{}) {
			if !yield(page, err) || err != nil {
				return
			}
		}
		for page, err := range f.Advances(ctx, end) {
			if !yield(distinct(page), err) || err != nil {
				return
			}
		}
	}
}

// distinct returns the aggregates of a page, each once.
func distinct(page []feed.Advance) (ids []string) {
	seen := map[string]bool{}
	for _, a := range page {
		if !seen[a.AggregateID] {
			seen[a.AggregateID] = true
			ids = append(ids, a.AggregateID)
		}
	}
	return ids
}

// listings lists the heads again and again.
func (c *Copier) listings(ctx context.Context) iter.Seq2[[]string, error] {
	seen := map[string]string{}
	return func(yield func([]string, error) bool) {
		for {
			for page, err := range c.changed(ctx, seen) {
				if !yield(page, err) || err != nil {
					return
				}
			}
			if !yield(nil, nil) {
				return
			}
			if err := pause.Sleep(ctx, c.options.Poll); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// pageSize is the number of aggregates that a listing hands over at once.
const pageSize = 1000

// changed yields the aggregates whose tags have changed since they were seen, in pages.
func (c *Copier) changed(ctx context.Context, seen map[string]string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		var page []string
		for t, err := range c.tags(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !c.named(t.AggregateID) || seen[t.AggregateID] == t.Tag {
				continue
			}
			seen[t.AggregateID] = t.Tag
			if page = append(page, t.AggregateID); len(page) == pageSize {
				if !yield(page, nil) {
					return
				}
				page = nil
			}
		}
		if len(page) > 0 {
			yield(page, nil)
		}
	}
}

// tags yields a text for each head, which changes with its swaps.
func (c *Copier) tags(ctx context.Context) iter.Seq2[head.Tag, error] {
	if tagger, ok := head.As[head.Tagger](c.from.Heads); ok {
		return tagger.Tags(ctx, "")
	}
	return func(yield func(head.Tag, error) bool) {
		for e, err := range headlist.All(ctx, c.from.Heads, "") {
			if err == nil && e.Fault == nil && !e.Head.Exists() {
				continue
			}
			tag := cmp.Or(e.Head.Digest.String()+string(e.Head.State), "damaged")
			if !yield(head.Tag{AggregateID: e.AggregateID, Tag: tag}, err) {
				return
			}
		}
	}
}
