package changeset

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound means that a changeset, or an aggregate, does not exist.
	ErrNotFound = errors.New("not found")
	// ErrInvalidAggregateID means that an aggregate ID cannot be used; the
	// error that wraps it says why.
	ErrInvalidAggregateID = errors.New("invalid aggregate ID")
	// ErrInvalidDraft means that a draft breaks a limit; the error that wraps
	// it says which.
	ErrInvalidDraft = errors.New("invalid draft")
	// ErrUnsupportedFormat means that a newer version of the library wrote the
	// stored record or object; the error that wraps it names the format.
	ErrUnsupportedFormat = errors.New("unsupported format")
	// ErrTooLarge means that content is larger than the limit that applies;
	// the error that wraps it gives both sizes.
	ErrTooLarge = errors.New("content too large")
	// ErrStoredTooLarge means that content in the storage is larger than the
	// limit for reads. It matches [ErrTooLarge] as well.
	ErrStoredTooLarge = fmt.Errorf("stored %w", ErrTooLarge)
	// ErrArchived means that the object is in an archive tier of the storage, and must
	// be restored before it can be read.
	ErrArchived = errors.New("the object is in an archive tier")
)

// CorruptError says that a stored object or record cannot be as it was written:
// it does not decode, does not match its digest, or is missing although it is in a
// chain.
type CorruptError struct {
	// Ref names the changeset. Its ID is zero if the error is about a head. Ref is
	// zero if the error is about the whole storage, such as a database file.
	Ref Ref
	// Object is the object's own name in its storage, if it is known.
	Object string
	// Reason says what does not match.
	Reason string
}

// Error returns "corrupt: REF: REASON (OBJECT)".
func (e *CorruptError) Error() string {
	what := e.Ref.String() + ": "
	switch {
	case e.Ref == Ref{}:
		what = ""
	case e.Ref.ID.IsZero():
		what = "head of " + e.Ref.AggregateID + ": "
	}
	if e.Object == "" {
		return fmt.Sprintf("corrupt: %s%s", what, e.Reason)
	}
	return fmt.Sprintf("corrupt: %s%s (%s)", what, e.Reason, e.Object)
}
