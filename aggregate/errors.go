package aggregate

import (
	"errors"
	"fmt"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
)

// ErrInvalidKey means that the key of [Once] is empty, or cannot be a command
// ID: it takes more than [changeset.MaxCommandID] bytes once percent-encoded,
// or is not UTF-8. It also means that a [Commit] has two keys, or the key of an
// earlier save of one aggregate alone. Nothing was sent.
var ErrInvalidKey = errors.New("invalid command key")

// UnknownEventError says that a stored event has a name which is neither in
// [Events] nor the From of an [Upcaster]: a newer program wrote it, or the
// name was changed. See [Type.Unknown].
type UnknownEventError struct {
	// Ref is the changeset; the zero Ref if content was decoded on its own.
	Ref changeset.Ref
	// Position is the event's place; its Version is Ref's version.
	Position Position
	// Type is the unknown name.
	Type string
}

// Error names the event and its place.
func (e *UnknownEventError) Error() string {
	return fmt.Sprintf("event %d%s has the unknown type %q", e.Position.Index, of(e.Ref), e.Type)
}

// DecodeError says that a stored event cannot be decoded.
type DecodeError struct {
	// Ref is the changeset; the zero Ref if content was decoded on its own.
	Ref changeset.Ref
	// Position is the event's place; its Version is Ref's version.
	Position Position
	// Type is the event's name, empty where not even that can be read.
	Type string
	// Err is the cause, such as one of encoding/json or of an upcaster.
	Err error
}

// Error names the event, its place and the cause.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("decode event %d%s, %q: %v", e.Position.Index, of(e.Ref), e.Type, e.Err)
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

func of(ref changeset.Ref) string {
	if ref == (changeset.Ref{}) {
		return ""
	}
	return " of " + ref.String()
}

// located adds the changeset to an error of decoding.
func located(err error, ref changeset.Ref) error {
	if unknown, ok := errors.AsType[*UnknownEventError](err); ok {
		unknown.Ref, unknown.Position.Version = ref, ref.Version
	} else if decode, ok := errors.AsType[*DecodeError](err); ok {
		decode.Ref, decode.Position.Version = ref, ref.Version
	}
	return err
}

// PreconditionError says that the aggregate is not at a head that [IfMatch]
// admits: HTTP's 412. Nothing was sent. It is a *ropewalk.ConflictError, too.
type PreconditionError struct {
	// IfMatch is the value that was asked for.
	IfMatch string
	// Actual is the present head; the zero Head if the aggregate has no head.
	Actual head.Head
}

// Error says what was asked for and what is there.
func (e *PreconditionError) Error() string {
	if !e.Actual.Exists() {
		return fmt.Sprintf("If-Match %s: there is no such aggregate", e.IfMatch)
	}
	return fmt.Sprintf("If-Match %s: %s is at %s", e.IfMatch, e.Actual.AggregateID, e.Actual.ETag())
}

// Unwrap returns the conflict that this is.
func (e *PreconditionError) Unwrap() error { return &ropewalk.ConflictError{Actual: e.Actual} }
