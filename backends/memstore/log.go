package memstore

import (
	"context"
	"fmt"
	"iter"

	"ropewalk/head"
	"ropewalk/internal/commitlog"
)

// Logged is an entry of the log of commits. Its place in the slice is its row,
// from 1.
type Logged struct {
	// Mark is random.
	Mark [8]byte
	// Advance is what was committed.
	Advance head.Advance
}

// Entries yields the log from a position on, as [head.Log] says. A commit wakes
// its followers at once; they need neither a clock nor a goroutine. Its errors are
// the context's, and one that matches [head.ErrOtherLog].
func (s *Store) Entries(ctx context.Context, from head.LogPosition, follow bool) iter.Seq2[[]head.LogEntry, error] {
	return func(yield func([]head.LogEntry, error) bool) {
		rung, leave := s.bell.Listen()
		defer leave()
		position, begin := from, true
		for {
			page, err := s.page(ctx, position, begin)
			if err != nil {
				yield(nil, err)
				return
			}
			if n := len(page); n > 0 {
				position, begin = page[n-1].Position, false
			} else if !follow {
				return
			}
			if !yield(page, nil) {
				return
			}
			if len(page) == 0 {
				select {
				case <-rung:
				case <-ctx.Done():
				}
			}
		}
	}
}

// page returns the entries after a position, and the entry at the position if
// the page is to begin with it.
func (s *Store) page(ctx context.Context, from head.LogPosition, begin bool) ([]head.LogEntry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.contents.Log
	if from != (head.LogPosition{}) && (from.Row > uint64(len(log)) || from != s.position(from.Row)) {
		return nil, fmt.Errorf("row %d of log %s: %w", from.Row, from.Generation, head.ErrOtherLog)
	}
	row := from.Row + 1
	if begin && from.Row > 0 {
		row = from.Row
	}
	var page []head.LogEntry
	for ; row <= uint64(len(log)) && len(page) < commitlog.Page; row++ {
		page = append(page, head.LogEntry{Position: s.position(row), Advance: log[row-1].Advance})
	}
	return page, nil
}

// position returns the position after a row that exists, or before row 1. It
// needs the lock.
func (s *Store) position(row uint64) head.LogPosition {
	p := head.LogPosition{Generation: s.generation, Row: row}
	if row > 0 {
		p.Mark = s.contents.Log[row-1].Mark
	}
	return p
}

// LogEnd returns the position of the newest entry. Its one possible error is the
// context's.
func (s *Store) LogEnd(ctx context.Context) (head.LogPosition, error) {
	if err := ctx.Err(); err != nil {
		return head.LogPosition{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.position(uint64(len(s.contents.Log))), nil
}

// log writes the entry of a swap, and wakes the followers. It needs the lock.
func (s *Store) log(old, next head.Head) {
	if a, ok := commitlog.Advance(old, next); ok {
		s.contents.Log = append(s.contents.Log, Logged{commitlog.NewMark(), a})
		s.bell.Ring()
	}
}
