package faults

import (
	"context"
	"errors"
	"fmt"

	"ropewalk/head"
)

// errLocked is the cause of a swap that meets a step which is under way.
var errLocked = errors.New("another step or swap of the head is under way")

// swapAll lets a step reach the store: at once, or head by head if the fault has a
// Between.
func (s heads) swapAll(ctx context.Context, exchanges []head.Exchange, between func(int)) ([]head.Head, error) {
	ids := make([]string, len(exchanges))
	for i, e := range exchanges {
		ids[i] = e.AggregateID
	}
	if between != nil {
		return s.stepwise(ctx, exchanges, ids, between)
	}
	done, err := s.script.write(ids...)
	if err != nil {
		return nil, err
	}
	defer done()
	return s.PassThrough.SwapAll(ctx, exchanges)
}

// stepwise makes a step as DynamoDB does: it locks all heads, tests all conditions, and
// then replaces and unlocks one head after the other. Once the conditions are tested,
// nothing ends it.
func (s heads) stepwise(ctx context.Context, exchanges []head.Exchange, ids []string, between func(int)) (heads []head.Head, err error) {
	if err := s.script.lock(ids); err != nil {
		return nil, err
	}
	defer func() { s.script.unlock(ids[len(heads):]...) }()
	if err := s.test(ctx, exchanges); err != nil {
		return nil, err
	}
	for i, e := range exchanges {
		if i > 0 {
			between(i)
		}
		h, err := s.exchange(context.WithoutCancel(ctx), e)
		if err != nil {
			return heads, fmt.Errorf("a step that was decided on cannot swap the head of %q: %s", e.AggregateID, err)
		}
		heads = append(heads, h)
		s.script.unlock(e.AggregateID)
	}
	return heads, nil
}

// test returns the error of a step whose conditions do not all hold.
func (s heads) test(ctx context.Context, exchanges []head.Exchange) error {
	winners := map[string]*head.Head{}
	for _, e := range exchanges {
		stored, err := s.PassThrough.Load(ctx, e.AggregateID)
		switch {
		case err != nil:
			return &head.NotAppliedError{Err: err}
		case !e.HoldsFor(stored):
			winners[e.AggregateID] = &stored
		}
	}
	if len(winners) > 0 {
		return &head.ConflictsError{Winners: winners}
	}
	return nil
}

// exchange makes one exchange whose condition holds.
func (s heads) exchange(ctx context.Context, e head.Exchange) (head.Head, error) {
	_, combined := head.As[head.Combined](s.Unwrap())
	switch {
	case e.Next.IsZero():
		return e.Old, nil
	case combined:
		return s.PassThrough.Commit(ctx, e.Changesets, e.Old, e.Next)
	}
	return s.PassThrough.Swap(ctx, e.Old, e.Next)
}

// lock locks heads for a step, unless one of them is locked or being swapped.
func (s *Script) lock(ids []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.locked[id] || s.writes[id] > 0 {
			return &head.NotAppliedError{Retryable: true, Err: fmt.Errorf("%q: %w", id, errLocked)}
		}
	}
	if s.locked == nil {
		s.locked = map[string]bool{}
	}
	for _, id := range ids {
		s.locked[id] = true
	}
	return nil
}

func (s *Script) unlock(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.locked, id)
	}
}

// write notes that heads are being swapped until done is called, unless one of them is
// locked.
func (s *Script) write(ids ...string) (done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.locked[id] {
			return nil, &head.NotAppliedError{Retryable: true, Err: fmt.Errorf("%q: %w", id, errLocked)}
		}
	}
	if s.writes == nil {
		s.writes = map[string]int{}
	}
	for _, id := range ids {
		s.writes[id]++
	}
	return func() { s.written(ids) }, nil
}

func (s *Script) written(ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.writes[id]--
	}
}
