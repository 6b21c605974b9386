package ropewalk

import (
	"errors"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/head"
)

// What can be matched with errors.Is, next to the errors of contexts and of
// the storage's own client, which every error keeps.
var (
	// ErrNotFound means that the chain, or the version of it, is not there.
	ErrNotFound = changeset.ErrNotFound
	// ErrInvalidAggregateID means that an aggregate ID cannot be used.
	ErrInvalidAggregateID = changeset.ErrInvalidAggregateID
	// ErrInvalidDraft means that a draft breaks a limit. Nothing was sent.
	ErrInvalidDraft = changeset.ErrInvalidDraft
	// ErrUnsupportedFormat means that a newer version of the library wrote
	// what was read.
	ErrUnsupportedFormat = changeset.ErrUnsupportedFormat
	// ErrTooLarge means that content is larger than [Options.MaxContentSize]:
	// a draft, of which nothing was sent, or stored content, which
	// [ErrStoredTooLarge] matches.
	ErrTooLarge = changeset.ErrTooLarge
	// ErrStoredTooLarge means that stored content is larger than
	// [Options.MaxContentSize]. It was not read, or not decompressed.
	ErrStoredTooLarge = changeset.ErrStoredTooLarge
	// ErrHeadLost means that the head is missing or older than one that was
	// read before: the storage was restored or tampered with. It is never a
	// conflict, and repeating does not help: see "Restored heads" in DESIGN.md.
	ErrHeadLost = errors.New("head lost")
	// ErrErased means that the aggregate's history was erased for good.
	ErrErased = errors.New("erased")
)

// CorruptError says that what is stored cannot be what was written, and names
// the object. No read returns data past it.
type CorruptError = changeset.CorruptError

// ConflictError says that an append was refused for good: another one came
// first. Nothing of it is in the chain, and nothing of it ever will be.
type ConflictError struct {
	// Expected is the head that the append was built on; the zero Head where
	// the chain was not to exist yet.
	Expected head.Head
	// Actual is the head that was there instead. It can be read, and appended to.
	Actual head.Head
}

// Error says where the chain is and where it was expected.
func (e *ConflictError) Error() string {
	switch {
	case !e.Expected.Exists():
		return fmt.Sprintf("conflict: %s exists already, at %d", e.Actual.AggregateID, e.Actual.Version)
	case e.Expected.Version == e.Actual.Version:
		return fmt.Sprintf("conflict: %s is at %d.%s, not at %d.%s", e.Actual.AggregateID, e.Actual.Version, e.Actual.ID, e.Expected.Version, e.Expected.ID)
	default:
		return fmt.Sprintf("conflict: %s is at %d, not at %d", e.Actual.AggregateID, e.Actual.Version, e.Expected.Version)
	}
}

// UncertainError says that nobody knows yet whether an append was committed:
// its objects are stored, its swap was sent, and no answer could be had in
// time. Repeating the append could commit it twice; [Chain.Settle] with Ref,
// from any process and at any later time, ends it for good.
type UncertainError struct {
	// Ref is the last changeset of the append.
	Ref changeset.Ref
	// Err is the cause: the context's error if that ended, and the storage's.
	Err error
}

// Error names the reference to settle, and the cause.
func (e *UncertainError) Error() string {
	return fmt.Sprintf("uncertain whether %s was committed: %v", e.Ref, e.Err)
}

// Unwrap returns the cause.
func (e *UncertainError) Unwrap() error { return e.Err }
