package sqlitestore

import (
	"errors"
	"fmt"
	"io/fs"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"ropewalk/changeset"
	"ropewalk/head"
)

var (
	// ErrBusy means that other processes have kept the database to themselves
	// for as long as the busy timeout: nothing was done, and the same call may
	// succeed later.
	ErrBusy = errors.New("the database is busy")
	// ErrNotRopewalk means that a file is not a database of this package.
	ErrNotRopewalk = errors.New("not a ropewalk database")
)

// code returns SQLite's primary result code, 0 for errors that are not SQLite's.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

func isBusy(err error) bool { return code(err) == sqlite3.SQLITE_BUSY }

// failure names the file, and gives SQLite's errors an identity.
func (s *Store) failure(err error) error {
	switch {
	case err == nil:
		return nil
	case isBusy(err):
		return fmt.Errorf("%s: %w: %w", s.path, ErrBusy, err)
	case code(err) == sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%s: %w: %w", s.path, ErrNotRopewalk, err)
	case s.closed.Load():
		return fmt.Errorf("%s: %w (%w)", s.path, err, fs.ErrClosed)
	default:
		return fmt.Errorf("%s: %w", s.path, err)
	}
}

// objectFailure is failure for what was met on the way to one object: damage
// to the file is a [*changeset.CorruptError].
func (s *Store) objectFailure(ref changeset.Ref, object string, err error) error {
	if code(err) == sqlite3.SQLITE_CORRUPT {
		return &changeset.CorruptError{Ref: ref, Object: object, Reason: err.Error()}
	}
	return s.failure(err)
}

// swapFailure adds what failure adds, and leaves alone what [head.Store.Swap] tells.
func (s *Store) swapFailure(err error) error {
	var conflict *head.SwapConflict
	var notApplied *head.NotApplied
	switch {
	case errors.As(err, &conflict):
		return conflict
	case errors.As(err, &notApplied):
		return &head.NotApplied{Retryable: notApplied.Retryable, Err: s.failure(notApplied.Err)}
	default:
		return s.failure(err)
	}
}

// plainFailure is swapFailure for calls that may always be repeated: whether
// anything was applied does not matter to them.
func (s *Store) plainFailure(err error) error {
	var notApplied *head.NotApplied
	if errors.As(err, &notApplied) {
		err = notApplied.Err
	}
	return s.failure(err)
}
