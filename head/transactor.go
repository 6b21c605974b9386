package head

import (
	"context"
	"errors"
	"fmt"

	"ropewalk/changeset"
)

// MaxTips is the largest size of the tips of all heads that one step of
// [Transactor.SwapAll] stores, in bytes: DynamoDB takes 4 MB for the whole records.
const MaxTips = 3 << 20

// Transactor is what a [Store] implements if it can swap the heads of several aggregates
// in one atomic step.
type Transactor interface {
	// Members must return how many exchanges one step can have at most, always the same
	// number, and 0 if the storage has no such step. It sends nothing.
	Members() int

	// SwapAll must make all exchanges in one atomic step, durably, if and only if the
	// condition of each holds; otherwise it must change nothing. It must first return the
	// error of [CheckExchanges], if there is one. The condition of an exchange with a Next
	// is the condition of [Store.Swap]. The condition of an exchange without one is that
	// the stored head has the content of Old ([Head.SameContent]), whatever its revision,
	// and does not move; a zero Old means that there must be no head with a changeset. A store that is
	// [Combined] must put the changesets of the exchanges in the same step.
	//
	// It must return one head for each exchange, in their order: Next with the token that
	// the following swap needs, or Old as it was given.
	//
	// SwapAll must make one attempt, with the kinds of errors of [Store.Swap]: a
	// [*ConflictsError] in place of a [*ConflictError], a [*NotAppliedError], or any other
	// error if the outcome is unknown.
	SwapAll(ctx context.Context, exchanges []Exchange) ([]Head, error)
}

// Exchange is one member of a step of [Transactor.SwapAll].
type Exchange struct {
	// AggregateID is the aggregate's.
	AggregateID string
	// Old is the head that is to be replaced, or whose content is to be unchanged. The zero
	// Head means that there must be no head.
	Old Head
	// Next replaces Old. If it is the zero Head, nothing is replaced.
	Next Head
	// Changesets are put in the same step by stores that are [Combined]. Other stores pay
	// no attention to them: they are stored already.
	Changesets []changeset.Changeset
}

// HoldsFor reports whether the condition of the exchange holds for the stored head.
func (e Exchange) HoldsFor(stored Head) bool {
	if e.Next.IsZero() {
		return stored.SameContent(e.Old) && stored.Move == Move{}
	}
	return stored.SameRecord(e.Old)
}

// ConflictsError is the error of a step in which the condition of an exchange failed:
// nothing was changed.
type ConflictsError struct {
	// Winners are the stored heads of the exchanges whose conditions failed, by aggregate
	// ID: at least one. A head is the zero Head if no record exists, and nil if the
	// storage did not report it.
	Winners map[string]*Head
}

// Error says how many conditions failed.
func (e *ConflictsError) Error() string {
	for id, winner := range e.Winners {
		if len(e.Winners) == 1 {
			return fmt.Sprintf("%q: %s", id, (&ConflictError{winner}).Error())
		}
	}
	return fmt.Sprintf("%d heads have changed", len(e.Winners))
}

// SameContent reports whether h and other have the same history: fences between the two
// change their revisions alone. The zero Head and void heads have the same, empty history.
func (h Head) SameContent(other Head) bool {
	if !h.Exists() || !other.Exists() {
		return h.Exists() == other.Exists()
	}
	return h.Ref == other.Ref && h.Digest == other.Digest && h.State == other.State
}

// CheckExchanges returns a [*NotAppliedError] if no store can make the exchanges in one
// step: the list is empty or has more than most, an aggregate occurs twice, no head is
// replaced, one cannot follow the head before it ([CheckSwap]), or the tips are larger than
// [MaxTips]. Every implementation of [Transactor.SwapAll] calls it before it sends anything.
func CheckExchanges(exchanges []Exchange, most int) error {
	swaps, tips, seen := 0, 0, map[string]bool{}
	for _, e := range exchanges {
		if seen[e.AggregateID] {
			return &NotAppliedError{Err: fmt.Errorf("swap heads: %q occurs twice", e.AggregateID)}
		}
		seen[e.AggregateID] = true
		if e.Next.IsZero() {
			continue
		}
		swaps++
		tips += len(e.Next.Tip)
		if err := e.check(); err != nil {
			return err
		}
	}
	switch {
	case most == 0:
		return &NotAppliedError{Err: errors.ErrUnsupported}
	case swaps == 0:
		return &NotAppliedError{Err: errors.New("swap heads: no head is replaced")}
	case len(exchanges) > most:
		return &NotAppliedError{Err: fmt.Errorf("swap heads: %d aggregates are more than %d", len(exchanges), most)}
	case tips > MaxTips:
		return &NotAppliedError{Err: fmt.Errorf("swap heads: the tips have %d bytes, more than %d", tips, MaxTips)}
	}
	return nil
}

func (e Exchange) check() error {
	if e.Next.AggregateID != e.AggregateID {
		return &NotAppliedError{Err: fmt.Errorf("swap heads: the head of %q cannot follow the head of %q", e.Next.AggregateID, e.AggregateID)}
	}
	return CheckSwap(e.Old, e.Next)
}
