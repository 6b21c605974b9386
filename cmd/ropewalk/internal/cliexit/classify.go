package cliexit

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"syscall"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/feed"
	"ropewalk/internal/finding"
)

// Classify returns the class of an error: the first that it matches. An
// uncertain append comes before everything else, since the caller must settle
// it. The context is the command's.
func Classify(ctx context.Context, err error) Class {
	e := first(err, func(e *cliError) bool { return e.class != nil })
	switch {
	case errors.Is(err, ropewalk.ErrUncertain):
		return Uncertain
	case IsOutput(err) && errors.Is(err, syscall.EPIPE):
		return ClosedPipe
	case e != nil:
		return *e.class
	case errors.Is(err, context.Canceled):
		return Interrupted
	case ofFeed(err) != nil:
		return *ofFeed(err)
	case errors.Is(err, ropewalk.ErrConflict):
		return Conflict
	case errors.Is(err, ropewalk.ErrMoved):
		return Moved
	case errors.Is(err, ropewalk.ErrErased):
		return Erased
	case is[*ropewalk.CorruptError](err):
		return Corrupt
	case errors.Is(err, ropewalk.ErrStoredTooLarge):
		return Oversized
	case errors.Is(err, ropewalk.ErrArchived):
		return Archived
	case errors.Is(err, ropewalk.ErrHeadLost):
		return HeadLost
	case errors.Is(err, ropewalk.ErrUnsupportedFormat):
		return UnknownFormat
	case ctx.Err() != nil: // however the storage words it
		return Interrupted
	case Unavailable(err):
		return Storage
	case errors.Is(err, ropewalk.ErrNotFound):
		return NotFound
	case errors.Is(err, ropewalk.ErrInvalidAggregateID):
		return InvalidID
	case errors.Is(err, ropewalk.ErrInvalidDraft):
		return InvalidDraft
	case errors.Is(err, ropewalk.ErrTooLarge):
		return TooLarge
	default:
		return Failed
	}
}

// ofFeed returns the class of an error of package feed; nil for any other error.
func ofFeed(err error) *Class {
	for _, known := range []struct {
		err   error
		class *Class
	}{
		{feed.ErrFeedReplaced, &FeedReplaced}, {feed.ErrOtherHistory, &OtherHistory}, {feed.ErrNoFeed, &NoFeed},
	} {
		if errors.Is(err, known.err) {
			return known.class
		}
	}
	return nil
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// Unavailable reports whether an error says that the storage is missing,
// denied, unreachable or busy.
func Unavailable(err error) bool {
	return is[*finding.SetupError](err) || is[*net.OpError](err) || silent(err) || denied(err) ||
		errors.Is(err, sqlitestore.ErrBusy) || errors.Is(err, sqlitestore.ErrNotRopewalk) ||
		errors.Is(err, sqlitestore.ErrReplaced) || errors.Is(err, sqlitestore.ErrUnavailable)
}

// denied reports whether the system denied access to the store's file.
func denied(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

// silent reports whether a connection gave no answer in time.
func silent(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
