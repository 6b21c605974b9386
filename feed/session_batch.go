package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"ropewalk"
	"ropewalk/internal/parallel"
)

// flush judges what waits, and appends what has advanced.
func (s *session) flush(ctx context.Context) error {
	verdicts, err := ropewalk.Collect(parallel.Map(ctx, s.options.Parallel, s.waiting, s.judge))
	if err != nil {
		return err
	}
	var advances []advance
	for _, v := range verdicts {
		if s.note(ctx, v); v.kind == advanced {
			advances = append(advances, v.advance)
		}
	}
	if len(s.unread) > maxUnread {
		return fmt.Errorf("%d heads do not decode, more than %d: %w", len(s.unread), maxUnread, errTooManyUnread)
	}
	if s.mode == look && len(advances) > 0 {
		return errNews
	}
	if s.mode != look {
		if err := s.appendAll(ctx, advances); err != nil {
			return err
		}
	}
	clear(s.pending)
	s.order, s.tips = nil, 0
	return nil
}

// note takes account of a verdict.
func (s *session) note(ctx context.Context, v verdict) {
	id := v.AggregateID
	since := s.pending[id].Since
	delete(s.unread, id)
	switch v.kind {
	case nothing:
		if f, known := s.progress.get(keyOf(id)); known && v.tag != 0 {
			f.tag = v.tag // a fence has changed it
			s.progress.set(keyOf(id), f)
		}
	case advanced:
		if since.IsZero() {
			since = v.head.UpdatedAt
		}
		if s.oldest.IsZero() || since.Before(s.oldest) {
			s.oldest = since
		}
	case restored:
		s.feed.options.Logger.WarnContext(ctx, "head is not in the history that was fed: it was restored, and is left alone", "aggregate", id, "head", v.head.Ref)
		s.report.restored(id)
	case unread:
		s.unread[id] = true
		s.feed.options.Logger.WarnContext(ctx, "head does not decode, it is tried again later", "aggregate", id)
	}
}

// appendAll appends the advances. Only the last batch has the new cursor: what the
// cursor has passed must be in the feed.
func (s *session) appendAll(ctx context.Context, advances []advance) error {
	for len(advances) > maxAdvances {
		before := preamble{Source: s.newest.Source, Cursor: s.newest.Cursor, Unread: s.newest.Unread, Snapshot: s.snapshot}
		if err := s.appendBatch(ctx, batch{before, advances[:maxAdvances]}); err != nil {
			return err
		}
		advances = advances[maxAdvances:]
	}
	if len(advances) == 0 && !s.owed() {
		return nil
	}
	p := preamble{Source: s.source.name(), Cursor: s.cursor, Unread: slices.Sorted(maps.Keys(s.unread)), Snapshot: s.snapshot}
	if s.sweeping {
		p.Cursor = nil
	}
	if err := s.appendBatch(ctx, batch{p, advances}); err != nil {
		return err
	}
	s.consumed, s.lost = false, s.lost && s.sweeping
	return nil
}

func (s *session) appendBatch(ctx context.Context, b batch) error {
	if err := s.relay(ctx, b); err != nil {
		return err
	}
	s.report.Batches++
	s.report.Advances += len(b.advances)
	s.options.Progress(len(b.advances))
	s.batchAt = time.Now()
	return s.snapshotIfDue(ctx)
}

// relay appends a batch to the feed, as an operation that is observed.
func (s *session) relay(ctx context.Context, b batch) (err error) {
	ctx, end := s.feed.store.Options().Start(ctx, ropewalk.Operation{Name: ropewalk.OperationRelay})
	defer func() { end(ropewalk.Result{Count: len(b.advances), Err: err}) }()
	return s.append(ctx, b)
}

// cursorAge is how old the newest batch must be before a cursor alone is worth
// a batch: half of the time for which the shortest-lived source keeps its hints
// would be too late for a relay that is down for long.
const cursorAge = 6 * time.Hour

// owed reports whether a batch is worth its cost although nothing has advanced: a
// sweep has ended, the list of unread heads has changed, or hints were consumed and
// the cursor in the feed is old.
func (s *session) owed() bool {
	if s.mode == look {
		return false
	}
	swept := !s.sweeping && s.cursor != nil && (s.lost || s.newest.cursorOf(s.source.name()) == nil)
	changed := !slices.Equal(slices.Sorted(maps.Keys(s.unread)), s.newest.Unread)
	return swept || changed || s.consumed && time.Since(s.fedAt) >= cursorAge
}

// waiting yields what waits to be judged.
func (s *session) waiting(context.Context) iter.Seq2[pending, error] {
	return func(yield func(pending, error) bool) {
		for _, id := range s.order {
			if !yield(s.pending[id], nil) {
				return
			}
		}
	}
}

// maxUnread is the largest number of heads that may not decode.
const maxUnread = 100

var errTooManyUnread = errors.New("repair them, then start the relay again")
