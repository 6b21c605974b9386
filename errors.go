package ropewalk

import (
	"errors"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/head"
)

// Errors to match with errors.Is. Every error also keeps its cause: the error of
// the context, or of the storage's own client.
var (
	// ErrNotFound means that the chain, or a version of it, does not exist.
	ErrNotFound = changeset.ErrNotFound
	// ErrInvalidAggregateID means that an aggregate ID cannot be used.
	ErrInvalidAggregateID = changeset.ErrInvalidAggregateID
	// ErrInvalidDraft means that a draft breaks a limit. Nothing was sent.
	ErrInvalidDraft = changeset.ErrInvalidDraft
	// ErrUnsupportedFormat means that a newer version of the library wrote the
	// stored record or object.
	ErrUnsupportedFormat = changeset.ErrUnsupportedFormat
	// ErrTooLarge means that content is larger than [Options.MaxContentSize]:
	// the content of a draft, and then nothing was sent, or stored content, and
	// then the error matches [ErrStoredTooLarge] too.
	ErrTooLarge = changeset.ErrTooLarge
	// ErrStoredTooLarge means that stored content is larger than
	// [Options.MaxContentSize]. It was not read, or not decompressed.
	ErrStoredTooLarge = changeset.ErrStoredTooLarge
	// ErrArchived means that an object is in an archive tier of the storage, to which a
	// rule for the lifecycle has moved it. It can be read after it was restored.
	ErrArchived = changeset.ErrArchived
	// ErrHeadLost means that the head is missing or older than one that was
	// read before: the storage was restored or tampered with. It is never a
	// conflict, and repeating does not help: see "Restored heads" in DESIGN.md.
	ErrHeadLost = errors.New("head lost")
	// ErrErased means that the aggregate's history was erased for good.
	ErrErased = errors.New("erased")
	// ErrMoved matches every [*MovedError].
	ErrMoved = head.ErrMoved
	// ErrConflict matches every [*ConflictError].
	ErrConflict = errors.New("conflict")
	// ErrUncertain matches every [*UncertainError].
	ErrUncertain = errors.New("uncertain")
)

// CorruptError says that a stored object or record cannot be as it was written,
// and names it. No read returns data past it.
type CorruptError = changeset.CorruptError

// MovedError says that an aggregate moves, or has moved, to another storage: nothing was
// committed, and nothing ever will be.
type MovedError = head.MovedError

// ConflictError says that an append was refused for good: another append came
// first, or [Chain.Settle] has made sure that it never takes effect. No changeset
// of the append is in the chain, and none ever will be.
type ConflictError struct {
	// Expected is the head that the append was built on. It is the zero Head, or a
	// void head ([head.Void]), if the chain was expected not to exist. It is the zero
	// Head in the error of [Chain.Settle].
	Expected head.Head
	// Actual is the present head. It can be read at, and appended to. In the error of
	// [Chain.Settle] it may be a void head.
	Actual head.Head
	// Settled is the changeset that [Chain.Settle] was asked about; zero in the
	// error of an append.
	Settled changeset.Ref
}

// Error names the present and the expected version.
func (e *ConflictError) Error() string {
	switch {
	case e.Settled != changeset.Ref{} && !e.Actual.Exists():
		return fmt.Sprintf("conflict: %s is refused for good: %s has no changesets, and is fenced at revision %d",
			e.Settled, e.Actual.AggregateID, e.Actual.Revision)
	case e.Settled != changeset.Ref{}:
		return fmt.Sprintf("conflict: %s is refused for good: it is not in the history of %s, which is at %d, revision %d",
			e.Settled, e.Actual.AggregateID, e.Actual.Version, e.Actual.Revision)
	case !e.Expected.Exists():
		return fmt.Sprintf("conflict: %s exists already, at %d", e.Actual.AggregateID, e.Actual.Version)
	case e.Expected.Version == e.Actual.Version:
		return fmt.Sprintf("conflict: %s is at %d.%s, not at %d.%s", e.Actual.AggregateID, e.Actual.Version, e.Actual.ID, e.Expected.Version, e.Expected.ID)
	default:
		return fmt.Sprintf("conflict: %s is at %d, not at %d", e.Actual.AggregateID, e.Actual.Version, e.Expected.Version)
	}
}

// Is reports whether target is [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// UncertainError says that it is unknown whether an append was committed: its
// swap was sent, and no answer came in time. Appending the same drafts again
// could commit them twice. [Chain.Settle] with Ref and AfterRevision finds out
// the outcome, from any process and at any later time.
type UncertainError struct {
	// Ref is the last changeset of the append.
	Ref changeset.Ref
	// AfterRevision is the revision of the head that the append was built on; 0
	// if the chain did not exist.
	AfterRevision uint64
	// Others are the last changesets that a commit of several aggregates appends to the
	// other aggregates. To settle any of them settles the commit; they are for the case
	// that the history of Ref is erased.
	Others []Unsettled
	// Err is the cause: the error of the context, if it ended, and of the storage.
	Err error
}

// Unsettled is what [Chain.Settle] needs to find out the outcome of an append.
type Unsettled struct {
	// Ref is the last changeset of the append.
	Ref changeset.Ref
	// AfterRevision is the revision of the head that the append was built on.
	AfterRevision uint64
}

// Error names what Settle needs, and the cause.
func (e *UncertainError) Error() string {
	return fmt.Sprintf("uncertain whether %s was committed after revision %d: %v", e.Ref, e.AfterRevision, e.Err)
}

// Is reports whether target is [ErrUncertain].
func (e *UncertainError) Is(target error) bool { return target == ErrUncertain }

// Unwrap returns the cause.
func (e *UncertainError) Unwrap() error { return e.Err }

// is reports whether an error is, or wraps, an error of type T.
func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}
