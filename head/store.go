package head

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"

	"ropewalk/changeset"
)

// Store is the interface of the storage of heads. Package backendtest holds an
// implementation to every sentence of it.
//
// A store may implement more: [Refresher], [Combined], [Transactor], [Log], [Source],
// [Tagger], [Tipper] and [Locator]. Callers find out by [As], which looks through decorators.
//
// An implementation must be linearizable across processes, and safe for
// concurrent use. A call whose context has already ended must send nothing.
// Every error must keep the cause, so that errors.Is finds a context's error.
type Store interface {
	// Load must return the aggregate's head as the latest swap left it, never a
	// stale one, with the token that a swap needs. If the aggregate has no head,
	// it must return the zero Head and no error. If the record does not decode,
	// the error must be one of the errors of [DecodeJSON].
	Load(ctx context.Context, aggregateID string) (Head, error)

	// Swap must replace the record old by next in one atomic step, durably, if
	// and only if the stored record is still old; a zero old means that no record
	// must exist. It must first return the error of [CheckSwap], if there is one.
	// If old has no token, it may read the record to learn the token. It must
	// return next with the token that the following swap needs.
	//
	// Swap must make one attempt, with the retries of the service's own client
	// off: such a retry meets its own first attempt and reports a conflict that
	// did not happen. Its error must say what is known about the attempt:
	//   - [*ConflictError]: the record was not old, and nothing was changed;
	//   - [*NotAppliedError]: the attempt was refused before it took effect, or was
	//     never sent, and cannot take effect later;
	//   - any other error: the outcome is unknown; the swap may even be applied
	//     later.
	// In all doubtful cases an implementation must return the third.
	Swap(ctx context.Context, old, next Head) (Head, error)

	// List must yield every head, each once, in an order of the store's own. The
	// heads need not be of the same moment. If after is not empty, it must begin
	// after that aggregate ID in the store's own order: it is the ID of a head
	// that an earlier List yielded, or that its error named ([Damaged]). At most
	// one error ends it.
	List(ctx context.Context, after string) iter.Seq2[Head, error]
}

// Refresher is what a [Store] implements if it can report that a record is
// unchanged without sending it.
type Refresher interface {
	// Refresh must return what Load returns for seen's aggregate, never stale,
	// by one request. If the token of seen still names the stored record, it must
	// return seen itself. If seen has no token, it must do what Load does.
	Refresh(ctx context.Context, seen Head) (Head, error)
}

// Combined is what a [Store] implements if it can also keep changesets, and put
// them and swap the head in one atomic step.
type Combined interface {
	// Commit must put the changesets and swap the head, both or neither, with
	// the contracts of [changeset.Store.Put] and [Store.Swap]: one attempt, and
	// Swap's kinds of errors.
	Commit(ctx context.Context, changesets []changeset.Changeset, old, next Head) (Head, error)

	// Holds must report whether Commit puts changesets where the given store
	// finds them. It need not look through decorators: the caller asks again
	// for the store that a [changeset.Decorator] wraps.
	Holds(changesets changeset.Store) bool
}

// Tipper is what a [Store] implements if the heads of packed chains should have tips.
type Tipper interface {
	// TipSize must return how many bytes the tip of a head should have at most, 0 if
	// heads should have no tip. It sends nothing, and is at most [MaxTip].
	TipSize() int
}

// Locator is what a [Store] implements if it can name the records for people.
type Locator interface {
	// LocateHead must return the record's own name in its storage, without any
	// request. It must not hold credentials.
	LocateHead(aggregateID string) string
}

// ConflictError is the error of a swap whose condition failed: nothing was changed.
type ConflictError struct {
	// Winner is the stored record, the zero Head if no record exists. It is nil
	// if the storage did not report it.
	Winner *Head
}

// Error names the stored record.
func (e *ConflictError) Error() string {
	switch {
	case e.Winner == nil:
		return "the head has changed"
	case e.Winner.IsZero():
		return "the head does not exist"
	case e.Winner.State == Void:
		return fmt.Sprintf("the head of %q is void, at revision %d", e.Winner.AggregateID, e.Winner.Revision)
	default:
		return fmt.Sprintf("the head is %s at revision %d", e.Winner.Ref, e.Winner.Revision)
	}
}

// NotAppliedError is the error of a swap that was refused before it took effect,
// such as one that is denied, invalid or throttled: nothing was changed.
type NotAppliedError struct {
	// Retryable says whether the same swap may succeed a little later.
	Retryable bool
	// Err is the cause.
	Err error
}

// Error returns the cause's text.
func (e *NotAppliedError) Error() string { return "head not swapped: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *NotAppliedError) Unwrap() error { return e.Err }

// CheckSwap returns a [*NotAppliedError] if next cannot follow old in any store:
// it is of another aggregate, its revision is not above the revision of old, its
// version is lower, the chain is erased, a head without a changeset would follow a
// head with one, or this version must not replace the record. An append, a fence and an
// erasure add 1 to the revision; a head that is rebuilt from its objects may add more.
// Every implementation of [Store.Swap] calls it before it sends anything.
func CheckSwap(old, next Head) error {
	err := next.Validate()
	switch {
	case err != nil:
	case next.Revision <= old.Revision:
		err = fmt.Errorf("revision %d does not follow %d", next.Revision, old.Revision)
	case !old.IsZero() && old.AggregateID != next.AggregateID:
		err = fmt.Errorf("the head of %q cannot follow the head of %q", next.AggregateID, old.AggregateID)
	case old.Exists() && next.State == Void:
		err = errors.New("a void head cannot follow a head with changesets")
	case old.Exists() && next.Version < old.Version:
		err = fmt.Errorf("version %d cannot follow %d", next.Version, old.Version)
	case old.State == Erased:
		err = errors.New("the chain is erased")
	case old.point:
		err = errors.New("a point of the history cannot be swapped")
	default:
		err = cmp.Or(old.CheckWritable(), next.CheckWritable())
	}
	if err != nil {
		return &NotAppliedError{Err: fmt.Errorf("swap head of %q: %w", next.AggregateID, err)}
	}
	return nil
}
