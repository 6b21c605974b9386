package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/transfer"
)

// followingEvery is the time between two reports of where a copy that follows stands.
const followingEvery = 10 * time.Second

// followingJSON says where a copy that follows stands, with --json.
type followingJSON struct {
	ui.Kind
	CaughtUp   bool    `json:"caught_up"`
	LagSeconds float64 `json:"lag_seconds"`
	Aggregates int64   `json:"aggregates"`
	Changesets int64   `json:"changesets"`
	Failed     int64   `json:"failed"`
}

// pursuit is a copy that follows its source.
type pursuit struct {
	*copying
	cancel   context.CancelCauseFunc
	reached  atomic.Bool // it has caught up once
	caughtUp bool
	lag      time.Duration
	reported time.Time                  // when a report of where it stands was printed
	said     bool                       // whether that report said that it had caught up
	refused  map[string]transfer.Report // by aggregate: as of its newest change
}

// retry reports a failure of a storage. Before the copy has caught up once, a storage that
// is unavailable ends it.
func (p *pursuit) retry(id string, err error) {
	if !p.reached.Load() && cliexit.Unavailable(err) {
		p.cancel(err)
		return
	}
	_, _ = fmt.Fprintf(p.AboveProgress(), "warning: %s; it is tried again\n", p.Message(err))
}

// run follows until the context ends, which is its regular end.
func (p *pursuit) run(ctx context.Context, steps iter.Seq2[transfer.Step, error]) error {
	for step, err := range steps {
		if err != nil {
			return p.ended(ctx, err)
		}
		if step.CaughtUp {
			p.caughtUp, p.lag = true, 0
			p.reached.Store(true)
		} else if err := p.step(step); err != nil {
			return err
		}
		if err := p.show(); err != nil {
			return err
		}
	}
	return nil
}

// ended returns the error of a copy that was ended by an error: nil after an interrupt, if
// it had caught up before.
func (p *pursuit) ended(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case cause == nil:
		return err
	case errors.Is(cause, context.Canceled) && p.reached.Load():
		return nil
	default:
		return cause
	}
}

// step takes the report of an aggregate. A later report takes the place of a refusal.
func (p *pursuit) step(s transfer.Step) error {
	if s.Outcome == transfer.Copied || s.Outcome == transfer.Moved {
		p.caughtUp, p.lag = false, s.Lag
	}
	delete(p.refused, s.AggregateID)
	if s.Err != nil {
		p.refused[s.AggregateID] = s.Report
		p.Warn("%v", s.Err)
	}
	err := p.take(s.Report)
	p.failed = nil
	p.total.Failed = int64(len(p.refused))
	return err
}

// show says where the copy stands.
func (p *pursuit) show() error {
	switch {
	case !p.reached.Load():
	case p.caughtUp:
		p.bar.Note("caught up")
	default:
		p.bar.Note(fmt.Sprintf("%s behind", p.lag.Round(time.Second)))
	}
	every := followingEvery
	if p.caughtUp && !p.said {
		every = time.Second
	}
	if !p.JSON || !p.reached.Load() || time.Since(p.reported) < every {
		return nil
	}
	p.reported, p.said = time.Now(), p.caughtUp
	t := p.total
	return p.Emit(followingJSON{ui.KindOf("following"), p.caughtUp, p.lag.Seconds(), t.Aggregates, t.Changesets, t.Failed})
}

// rest puts what was refused, and was not copied since, among the failures.
func (p *pursuit) rest() {
	for _, r := range p.refused {
		p.failed = append(p.failed, r)
	}
}
