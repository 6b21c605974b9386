package memstore

import (
	"bytes"
	"context"
	"errors"

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
	s.mu.RLock()
	defer s.mu.RUnlock()
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
	e := head.Exchange{AggregateID: next.AggregateID, Old: old, Next: next, Changesets: changesets}
	swaps, err := prepare(ctx, []head.Exchange{e})
	if err != nil {
		return head.Head{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(e); err != nil {
		return head.Head{}, err
	}
	return s.apply(swaps[0]), nil
}

// maxMembers is how many heads one step swaps at most, as many as in DynamoDB. Memory has
// no limit of its own.
const maxMembers = 100

// Members returns 100.
func (s *Store) Members() int { return maxMembers }

// SwapAll swaps several heads and puts their changesets, all or nothing. All its errors
// are a [*head.ConflictsError] with its winners, or a [*head.NotAppliedError] that keeps
// the cause.
func (s *Store) SwapAll(ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
	if err := head.CheckExchanges(exchanges, maxMembers); err != nil {
		return nil, err
	}
	swaps, err := prepare(ctx, exchanges)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	winners := map[string]*head.Head{}
	for _, e := range exchanges {
		err := s.check(e)
		conflict, ok := errors.AsType[*head.ConflictError](err)
		if err != nil && !ok {
			return nil, err
		}
		if ok {
			winners[e.AggregateID] = conflict.Winner
		}
	}
	if len(winners) > 0 {
		return nil, &head.ConflictsError{Winners: winners}
	}
	heads := make([]head.Head, len(swaps))
	for i, swap := range swaps {
		heads[i] = s.apply(swap)
	}
	return heads, nil
}

// swap is an exchange, encoded.
type swap struct {
	head.Exchange
	objects []*Object
	record  []byte // nil if the head is to be unchanged
}

func prepare(ctx context.Context, exchanges []head.Exchange) ([]swap, error) {
	if err := ctx.Err(); err != nil {
		return nil, &head.NotAppliedError{Err: err}
	}
	swaps := make([]swap, len(exchanges))
	for i, e := range exchanges {
		swaps[i] = swap{Exchange: e}
		if err := swaps[i].encode(); err != nil {
			return nil, &head.NotAppliedError{Err: err}
		}
	}
	return swaps, nil
}

func (w *swap) encode() (err error) {
	for _, c := range w.Changesets {
		o, err := encode(c)
		if err != nil {
			return err
		}
		w.objects = append(w.objects, o)
	}
	if !w.Next.IsZero() {
		w.record, err = head.EncodeJSON(w.Next)
	}
	return err
}

// apply puts the changesets and replaces the head of an exchange whose condition holds. It
// needs the lock.
func (s *Store) apply(w swap) head.Head {
	if w.Next.IsZero() {
		return w.Old
	}
	for i, c := range w.Changesets {
		s.create(c.Ref, w.objects[i])
	}
	s.contents.Heads[head.ObjectName(w.AggregateID)] = w.record
	s.log(w.Old, w.Next)
	return w.Next.WithToken("")
}

// check tests the condition of an exchange. It needs the lock.
func (s *Store) check(e head.Exchange) error {
	stored, err := s.decode(e.AggregateID, s.contents.Heads[head.ObjectName(e.AggregateID)])
	switch {
	case err != nil:
		return &head.NotAppliedError{Err: err}
	case !e.HoldsFor(stored):
		return &head.ConflictError{Winner: &stored}
	}
	return nil
}

// Holds reports whether the given store is this one.
func (s *Store) Holds(changesets changeset.Store) bool { return changesets == changeset.Store(s) }
