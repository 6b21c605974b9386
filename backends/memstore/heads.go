package memstore

import (
	"bytes"
	"context"

	"ropewalk/changeset"
	"ropewalk/head"
)

// Load returns the aggregate's head, or the zero Head if no head exists. Heads
// have no token here: the condition of a swap is tested on the record itself.
// It returns the context's error and [head.DecodeJSON]'s.
func (s *Store) Load(ctx context.Context, aggregateID string) (head.Head, error) {
	if err := ctx.Err(); err != nil {
		return head.Head{}, err
	}
	return s.decode(aggregateID, s.record(aggregateID))
}

func (s *Store) record(aggregateID string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.contents.Heads[head.ObjectName(aggregateID)])
}

// decode reads a stored record; no record is the zero Head.
func (s *Store) decode(aggregateID string, record []byte) (head.Head, error) {
	if record == nil {
		return head.Head{}, nil
	}
	return head.DecodeJSON(aggregateID, s.LocateHead(aggregateID), record)
}

// Swap replaces the stored record old by next. All its errors are a
// [*head.ConflictError] with its winner, or a [*head.NotAppliedError] that keeps the
// cause, such as the context's error or a stored record that is corrupt.
func (s *Store) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	return s.Commit(ctx, nil, old, next)
}

// Commit puts the changesets and swaps the head, both or neither, with the
// errors of [Store.Swap].
func (s *Store) Commit(ctx context.Context, changesets []changeset.Changeset, old, next head.Head) (head.Head, error) {
	if err := head.CheckSwap(old, next); err != nil {
		return head.Head{}, err
	}
	if err := ctx.Err(); err != nil {
		return head.Head{}, &head.NotAppliedError{Err: err}
	}
	objects := make([]*Object, len(changesets))
	for i, c := range changesets {
		var err error
		if objects[i], err = encode(c); err != nil {
			return head.Head{}, &head.NotAppliedError{Err: err}
		}
	}
	record, err := head.EncodeJSON(next)
	if err != nil {
		return head.Head{}, &head.NotAppliedError{Err: err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(old, next.AggregateID); err != nil {
		return head.Head{}, err
	}
	for i, c := range changesets {
		s.create(c.Ref, objects[i])
	}
	s.contents.Heads[head.ObjectName(next.AggregateID)] = record
	s.log(old, next)
	return next.WithToken(""), nil
}

// check tests the condition of a swap. It needs the lock.
func (s *Store) check(old head.Head, aggregateID string) error {
	stored, err := s.decode(aggregateID, s.contents.Heads[head.ObjectName(aggregateID)])
	if err != nil {
		return &head.NotAppliedError{Err: err}
	}
	if !stored.SameRecord(old) {
		return &head.ConflictError{Winner: &stored}
	}
	return nil
}

// Holds reports whether the given store is this one.
func (s *Store) Holds(changesets changeset.Store) bool { return changesets == changeset.Store(s) }
