package sqlitestore

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	sqlite3 "modernc.org/sqlite/lib"

	"ropewalk/changeset"
	"ropewalk/head"
)

// Damage to the file is a [*changeset.CorruptError], in every method.
var (
	// ErrBusy means that other processes held the database for the whole busy
	// timeout. Nothing was done, and the same call may succeed later.
	ErrBusy = errors.New("the database is busy")
	// ErrNotRopewalk means that a file is not a database of this package.
	ErrNotRopewalk = errors.New("not a ropewalk database")
	// ErrReplaced means that the file, or its -wal or -shm file, was removed or
	// replaced while the store had it open. Nothing was written. The store must
	// be closed; it can be opened again.
	ErrReplaced = errors.New("the file was removed or replaced while it was open")
	// ErrForeignWAL means that the -wal file beside a database belongs to another
	// one: the database was restored, and the -wal file of its predecessor stayed.
	// Nothing was changed. The error is also a [*changeset.CorruptError].
	ErrForeignWAL = errors.New("the -wal file belongs to another database")
	// ErrUnavailable means that the file system refuses the file: it denies
	// access (then the error also matches [fs.ErrPermission]), the disk is full
	// ([syscall.ENOSPC]), or it fails.
	ErrUnavailable = errors.New("the file cannot be used")
)

// sqliteError is an error of SQLite. Its code is the extended result code.
type sqliteError interface {
	error
	Code() int
}

// extendedCode returns SQLite's extended result code, and 0 for other errors.
func extendedCode(err error) int {
	if e, ok := errors.AsType[sqliteError](err); ok {
		return e.Code()
	}
	return 0
}

// code returns SQLite's primary result code, and 0 for other errors.
func code(err error) int { return extendedCode(err) & 0xff }

func isBusy(err error) bool { return code(err) == sqlite3.SQLITE_BUSY }

// isNoDatabase reports whether a file does not even begin as a database does.
func isNoDatabase(err error) bool { return code(err) == sqlite3.SQLITE_NOTADB }

// failure names the file at path, and gives SQLite's errors an identity. closed
// says whether the store was closed.
func failure(path string, closed bool, err error) error {
	switch {
	case err == nil:
		return nil
	case isBusy(err):
		return fmt.Errorf("%s: %w: %w", path, ErrBusy, err)
	case isNoDatabase(err):
		return fmt.Errorf("%w: %w", ErrNotRopewalk, damaged(path, err))
	case isCorrupt(err):
		return err
	case closed:
		return fmt.Errorf("%s: %w (%w)", path, err, fs.ErrClosed)
	case isDamage(err):
		return damaged(path, err)
	default:
		return fmt.Errorf("%s: %w", path, unavailable(err))
	}
}

// unavailable marks the errors of the file system below SQLite.
func unavailable(err error) error {
	switch code(err) {
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return fmt.Errorf("%w: %w: %w", ErrUnavailable, fs.ErrPermission, err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w: %w", ErrUnavailable, syscall.ENOSPC, err)
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOLFS, sqlite3.SQLITE_PROTOCOL:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	default:
		return err
	}
}

// isDamage reports whether an error says that the file is damaged. All
// statements are fixed, so SQLITE_ERROR means that the tables are not ours.
func isDamage(err error) bool {
	switch code(err) {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH:
		return true
	case sqlite3.SQLITE_IOERR:
		return extendedCode(err) == sqlite3.SQLITE_IOERR_CORRUPTFS
	default:
		_, damaged := errors.AsType[logDamage](err)
		return damaged || isScanError(err)
	}
}

// isScanError reports whether a column holds a value of a type that it cannot
// hold. database/sql has no error to match.
func isScanError(err error) bool {
	return err != nil && strings.Contains(err.Error(), "sql: Scan error on column")
}

// isCorrupt reports whether an error already names the damage.
func isCorrupt(err error) bool {
	_, ok := errors.AsType[*changeset.CorruptError](err)
	return ok
}

// damaged returns the error of a file that is damaged as a whole.
func damaged(path string, err error) error {
	return &changeset.CorruptError{Object: "sqlite:" + path, Reason: err.Error()}
}

// objectFailure is failure for an error met while reading one object: damage
// to the file names that object.
func objectFailure(path string, closed bool, ref changeset.Ref, object string, err error) error {
	if isDamage(err) && !isNoDatabase(err) {
		return &changeset.CorruptError{Ref: ref, Object: object, Reason: err.Error()}
	}
	return failure(path, closed, err)
}

// swapFailure is failure for the outcome of a swap: it keeps the kinds of
// [head.Store.Swap].
func swapFailure(path string, closed bool, err error) error {
	if isConflict(err) {
		return err
	}
	if refused, ok := errors.AsType[*head.NotAppliedError](err); ok {
		return &head.NotAppliedError{Retryable: refused.Retryable, Err: failure(path, closed, refused.Err)}
	}
	return failure(path, closed, err)
}

// plainFailure is failure for calls that may always be repeated: it does not
// say whether anything was applied.
func plainFailure(path string, closed bool, err error) error {
	if refused, ok := errors.AsType[*head.NotAppliedError](err); ok {
		err = refused.Err
	}
	return failure(path, closed, err)
}

// isMissing reports whether a query found no row.
func isMissing(err error) bool { return errors.Is(err, sql.ErrNoRows) }
