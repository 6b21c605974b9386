package feed

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"ropewalk/internal/reserved"
)

// mode is what a session is for.
type mode int

const (
	forever mode = iota // feeds until the context ends
	once                // feeds until the source has nothing more
	look                // feeds nothing, and ends with errNews at the first thing to feed
)

var (
	errNews        = errors.New("there is something to feed")
	errSourceEnded = errors.New("the source has ended")
	errBadCursor   = fmt.Errorf("a cursor must be a JSON value of at most %d bytes", maxCursor)
)

// maxCursor is the largest size of a cursor in bytes.
const maxCursor = 64 << 10

// maxTips is about how many bytes of tips the hints that wait may have. Only tests change
// it.
var maxTips = 32 << 20

// session is the work of a relay from one look at the feed to the next. It takes
// hints in from the cursor of the newest batch on, judges them, and appends what
// has advanced as one batch, together with the new cursor. A session ends with its
// first error, and forgets all hints: the next session begins at the cursor that the
// feed then has, so no hint is lost.
type session struct {
	*state
	source  source
	options RelayOptions
	mode    mode
	report  *RelayReport

	hints, heads <-chan page // heads is nil unless a sweep is under way
	endSweep     func()
	startSweep   func()

	pending  map[string]pending
	order    []string // the aggregates of pending, in the order of their first hints
	tips     int      // bytes of the tips of the heads in pending
	unread   map[string]bool
	cursor   json.RawMessage
	sweeping bool
	caughtUp bool
	consumed bool      // hints came since the newest batch
	lost     bool      // the source has lost hints since the newest batch
	batchAt  time.Time // when this session appended its newest batch
	oldest   time.Time // when the oldest change happened that the feed lacks
}

// run works in the session's mode. Without an error there is nothing more to do.
func (s *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	s.begin(ctx, &running)
	for !s.finished() {
		if err := s.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) begin(ctx context.Context, running *sync.WaitGroup) {
	s.pending, s.unread, s.endSweep = map[string]pending{}, map[string]bool{}, func() {}
	s.cursor = s.newest.cursorOf(s.source.name())
	s.hints = stream(ctx, running, s.source.hints(ctx, s.cursor))
	s.startSweep = func() {
		s.endSweep()
		var sweepCtx context.Context
		sweepCtx, s.endSweep = context.WithCancel(ctx)
		s.heads = stream(sweepCtx, running, sweep(sweepCtx, s.feed.heads))
	}
	for _, h := range unreadHints(s.newest.Unread) {
		s.add(h)
	}
	if s.sweeping {
		s.startSweep()
	}
}

// cursorOf returns the cursor if it is for the source, nil otherwise and during a
// sweep.
func (p preamble) cursorOf(source string) json.RawMessage {
	if p.Source != source || string(p.Cursor) == "null" {
		return nil
	}
	return p.Cursor
}

// finished reports whether the session has nothing more to do.
func (s *session) finished() bool {
	if s.mode == forever || !s.caughtUp || s.sweeping || len(s.pending) > 0 {
		return false
	}
	return !s.owed()
}

// step waits for the next page or the time of the next batch.
func (s *session) step(ctx context.Context) error {
	if len(s.pending) >= maxAdvances || s.tips >= maxTips {
		return s.flush(ctx)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case p, ok := <-s.hints:
		if !ok {
			p.err = cmp.Or(ctx.Err(), errSourceEnded)
		}
		return s.take(p)
	case p := <-s.heads:
		return s.takeSwept(p)
	case <-s.due():
		return s.flush(ctx)
	}
}

// due returns a channel that reports when the next batch is due: never if there is
// nothing to put into it.
func (s *session) due() <-chan time.Time {
	complete := s.caughtUp && !s.sweeping
	if len(s.pending) == 0 && !s.owed() || s.mode == once && !complete {
		return nil
	}
	return time.After(s.options.BatchEvery - time.Since(s.batchAt))
}

// take takes a page of the source in.
func (s *session) take(p page) error {
	if p.err != nil {
		return &sourceError{s.source.name(), p.err}
	}
	if !json.Valid(p.cursor) || string(p.cursor) == "null" || len(p.cursor) > maxCursor {
		return &sourceError{s.source.name(), fmt.Errorf("%w: its cursor is %.100q", errBadCursor, p.cursor)}
	}
	s.report.pages++
	for _, h := range p.hints {
		if s.add(h) {
			s.consumed = true
		}
	}
	s.cursor, s.caughtUp = p.cursor, p.caughtUp
	if !p.lost {
		return nil
	}
	if s.mode == look {
		return errNews
	}
	s.sweeping, s.lost = true, true
	s.startSweep() // what was lost before this page is found from here on
	return nil
}

// takeSwept takes a page of a sweep in.
func (s *session) takeSwept(p page) error {
	if p.err != nil {
		return fmt.Errorf("sweep: %w", p.err)
	}
	for _, h := range p.hints {
		s.add(h)
	}
	if p.caughtUp {
		s.endSweep()
		s.heads, s.sweeping = nil, false
	}
	return nil
}

// add lets a hint wait to be judged. It reports false if the hint says nothing new.
func (s *session) add(h pending) bool {
	f, _ := s.progress.get(keyOf(h.AggregateID))
	if reserved.Is(h.AggregateID) || h.tag != 0 && h.tag == f.tag {
		return false
	}
	known, waits := s.pending[h.AggregateID]
	if !waits {
		s.order = append(s.order, h.AggregateID)
	} else if known.Head.Revision > h.Head.Revision && h.Head.Exists() || !known.Head.Exists() {
		h.Head = known.Head // a hint without a record lets the head be loaded
	}
	s.tips += len(h.Head.Tip) - len(known.Head.Tip)
	s.pending[h.AggregateID] = h
	return true
}

// sourceError is the error of a source.
type sourceError struct {
	source string
	err    error
}

func (e *sourceError) Error() string { return "source " + e.source + ": " + e.err.Error() }

func (e *sourceError) Unwrap() error { return e.err }
