package transfer

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"ropewalk"
	"ropewalk/head"
	"ropewalk/internal/headlist"
	"ropewalk/internal/link"
	"ropewalk/internal/parallel"
	"ropewalk/internal/pause"
)

// Move copies one aggregate, and makes the source refuse all appends to it from then on,
// with a [*ropewalk.MovedError] that names [Options.MoveTo]. Every append that the source
// has acknowledged is in the destination, and no later append is acknowledged there.
//
// The head of the source says how far the move has come: first that the aggregate is moving,
// which shuts out appends, and when the destination has all of it, that it has moved. So
// a move may be interrupted at every step, and repeated. Writers must not append to the
// destination before that, although nothing hinders them: their appends would fork the
// history, and the move would end with ropewalk.ErrConflict.
//
// Moving an aggregate back is the same in the other direction: the former source then accepts
// appends again. This takes the same two names, in exchanged places.
//
// The outcome is [Moved] if this call has completed the move. An aggregate that has moved
// before is [Equal] or [Newer], and the tombstone of an erased aggregate is copied and not
// fenced. The errors are the errors of [Copier.Copy], and a [*ropewalk.MovedError] if the
// aggregate moves, or the destination's copy of it has moved, to another storage.
func (c *Copier) Move(ctx context.Context, aggregateID string) (Report, error) {
	return c.perform(ctx, aggregateID, "move", (*work).move)
}

// MoveAll is [Copier.Move] for every aggregate that [Copier.CopyAll] copies, and reports as it
// does. Aggregates that are created in the meantime may be left out: repeat it until it
// moves nothing.
func (c *Copier) MoveAll(ctx context.Context) iter.Seq2[Report, error] {
	return parallel.Map(ctx, c.options.Parallel, c.aggregates, func(ctx context.Context, e headlist.Entry) (Report, error) {
		return reported(ctx, e, "move", c.Move), nil
	})
}

// move takes one step after the other, as the head of the source demands.
func (w *work) move(ctx context.Context) error {
	if n := len(w.options.MoveTo); n == 0 || n > head.MaxMoveTo {
		return fmt.Errorf("the name of the destination has %d bytes: want 1 to %d", n, head.MaxMoveTo)
	}
	var total Report
	pauses := pause.New()
	for try := 0; ; try++ {
		w.readyFor = nil
		if err := w.run(ctx); err != nil {
			return err
		}
		w.sum(&total)
		done, err := w.moveStep(ctx, &total)
		if done || try == maxTries || final(err) || errors.Is(err, ropewalk.ErrMoved) {
			w.report.Outcome = total.Outcome
			return err
		}
		if err == nil {
			continue
		}
		if waited := pauses.Wait(ctx); waited != nil {
			return errors.Join(waited, err)
		}
	}
}

// sum adds up what the copies of a move have done. The move is what its first copy was, unless
// a later one has copied something.
func (w *work) sum(total *Report) {
	if total.Outcome == Failed || w.report.Outcome == Copied {
		total.Outcome = w.report.Outcome
	}
	w.report.Changesets += total.Changesets
	total.Changesets = w.report.Changesets
}

// moveStep makes the next step after the destination has the history up to the head of the
// source that was loaded. It reports whether nothing is left to be done.
func (w *work) moveStep(ctx context.Context, total *Report) (done bool, _ error) {
	s, to := w.report.Source, w.options.MoveTo
	switch {
	case s.State == head.Erased:
		return true, nil
	case s.Move == head.Move{}:
		return false, w.fence(ctx)
	case s.Move.To != to:
		return true, s.CheckAppendable()
	case s.Move.Done:
		return true, nil
	}
	if err := w.open(ctx); err != nil {
		return false, err
	}
	_, err := w.from.Heads.Swap(ctx, s, link.Move(s, head.Move{To: to, Done: true}))
	if err == nil {
		total.Outcome = Moved
	}
	return err == nil, err
}

// fence makes the source refuse appends. Whatever its outcome is, the head that is loaded
// next says what is to be done.
func (w *work) fence(ctx context.Context) error {
	h, moving := w.report.Source, head.Move{To: w.options.MoveTo}
	for try := 0; ; try++ {
		_, err := w.from.Heads.Swap(ctx, h, link.Move(h, moving))
		if _, conflict := errors.AsType[*head.ConflictError](err); !conflict || try == maxTries {
			return err
		}
		// A busy writer was faster: try at once, since the rest is copied after the fence.
		if h, err = w.from.Heads.Load(ctx, h.AggregateID); err != nil {
			return fmt.Errorf("load the head of the source: %w", err)
		}
		if h.State != head.Live || h.Move != (head.Move{}) {
			return nil
		}
	}
}

// open makes a destination that had moved to the source accept appends again. The source is
// fenced, and the destination has all of it.
func (w *work) open(ctx context.Context) error {
	d := w.report.Destination
	switch {
	case d.Move == head.Move{}:
		return nil
	case d.Move.To != w.options.MoveFrom:
		return fmt.Errorf("at the destination: %w", d.CheckAppendable())
	}
	_, err := w.to.Heads.Swap(ctx, d, link.Stay(d))
	return err
}
