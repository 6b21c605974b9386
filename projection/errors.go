package projection

import (
	"errors"
	"fmt"

	"ropewalk"
	"ropewalk/feed"
)

// The errors of projections, besides the errors of package feed.
var (
	// ErrReplaced means that the projection has another owner: another process claimed
	// it after this one was not heard of for [Options.Standby], another version has
	// become live, or the version was dropped. Nothing of this process can be committed
	// any longer.
	ErrReplaced = errors.New("the projection has another owner")
	// ErrOtherVersion means that the version of the code is not live. The read model of
	// another version is never continued: rebuild the projection as this version.
	ErrOtherVersion = errors.New("the version is not live")
	// ErrTransactionEnded means that a handler has committed or rolled back the
	// transaction that it was given. What it committed can be incomplete.
	ErrTransactionEnded = errors.New("the handler ended the transaction, which it must not")
)

// HandlerError says that a change was not handled, and that the projection has
// stopped. The position in the database is before the change.
type HandlerError struct {
	// Projection is the name of the projection, with its version.
	Projection string
	// Ref is the changeset, or the last changeset of an aggregate that was erased.
	Ref ropewalk.Ref
	// Position is the place after the change.
	Position feed.Position
	// Attempts is how often the change was handed over alone.
	Attempts int
	// Err is the last error: of the handler, such as a [*feed.PanicError], or of COMMIT if
	// the database refused the transaction.
	Err error
}

// Error names the change and the cause.
func (e *HandlerError) Error() string {
	return fmt.Sprintf("projection %q stopped at %s, position %s, after %d attempts: %v", e.Projection, e.Ref, e.Position, e.Attempts, e.Err)
}

// Unwrap returns the cause.
func (e *HandlerError) Unwrap() error { return e.Err }

// The reasons why a run goes on at the position that the database has.
var (
	errMoved = errors.New("the position in the database is not where it was")
	errOwned = errors.New("another process owns the projection")
	errEnded = errors.New("the feed has ended")
	errDone  = errors.New("there is nothing more to do")
	errLive  = errors.New("the version is live")
)

// unhandled is the error of a transaction that was not committed because of its
// changes.
type unhandled struct{ err error }

func (e *unhandled) Error() string { return e.err.Error() }

func (e *unhandled) Unwrap() error { return e.err }

// lasting reports whether an error will not go away with time.
func lasting(err error) bool {
	for _, reason := range []error{
		errDone, ErrReplaced, ErrOtherVersion, ErrTransactionEnded, feed.ErrOtherHistory, feed.ErrFeedReplaced, ropewalk.ErrUnsupportedFormat,
	} {
		if errors.Is(err, reason) {
			return true
		}
	}
	_, stopped := errors.AsType[*HandlerError](err)
	_, corrupt := errors.AsType[*ropewalk.CorruptError](err)
	return stopped || corrupt
}

// withAdvice adds the name of the projection to an error, and what to do.
func (p *Projection) withAdvice(err error) error {
	if _, named := errors.AsType[*HandlerError](err); named {
		return err
	}
	if errors.Is(err, feed.ErrOtherHistory) {
		return fmt.Errorf("projection %q: %w; its position and its read model stay as they are: rebuild it as another version", p, err)
	}
	return fmt.Errorf("projection %q: %w", p, err)
}
