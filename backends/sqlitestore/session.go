package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"ropewalk/head"
)

// session is the one connection that writes, with its statements. Only the
// group commit uses it, one transaction at a time. Its work is detached from
// any caller's context: a transaction that has begun is brought to its end.
type session struct {
	conn  connection
	files files

	begun, changes, version, end  *sql.Stmt
	insert, insertText, remove    *sql.Stmt
	load, loadAll, create, update *sql.Stmt

	log   logWriter
	bases bases
	// seen is SQLite's count of the commits of other connections, as of the last
	// transaction.
	seen int
}

// openSession opens the connection that writes, and makes sure that the
// database is ours; it creates the tables unless they must exist.
func openSession(path string, busy time.Duration, mustExist bool) (*session, error) {
	ctx := context.Background()
	conn, err := connect(ctx, path, busy, fullSync, checkpoints, walLimit)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, seen: -1} // a number that SQLite does not count
	if err := s.setUp(ctx, busy, mustExist); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *session) setUp(ctx context.Context, busy time.Duration, mustExist bool) error {
	identify := func() error { _, err := verify(ctx, s.conn); return err }
	err := retry(ctx, busy, identify)
	if err == nil || errors.Is(err, errBlank) && !mustExist {
		err = provision(ctx, s.conn, busy)
	}
	if err != nil {
		return err
	}
	if err := prepare(s.conn, s.queries()); err != nil {
		return err
	}
	// The first read in WAL mode opens the files beside the database.
	return retry(ctx, busy, identify)
}

// queries returns the text of each statement.
func (s *session) queries() map[**sql.Stmt]string {
	all := map[**sql.Stmt]string{
		&s.begun:      beginImmediate,
		&s.changes:    selectChanges,
		&s.version:    selectVersion,
		&s.end:        commitWork,
		&s.insert:     insertChangeset,
		&s.insertText: insertText,
		&s.remove:     deleteChangeset,
		&s.load:       selectHead,
		&s.loadAll:    selectHeadsOf,
		&s.create:     insertHead,
		&s.update:     updateHead,
	}
	maps.Copy(all, s.log.queries())
	maps.Copy(all, s.bases.queries())
	return all
}

// prepare fills in the statements.
func prepare(c interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}, queries map[**sql.Stmt]string,
) error {
	for stmt, query := range queries {
		prepared, err := c.PrepareContext(context.Background(), query)
		if err != nil {
			return err
		}
		*stmt = prepared
	}
	return nil
}

// begin opens a transaction that holds the write lock, unless another version
// has changed the schema in the meantime. Its errors are [*head.NotAppliedError].
func (s *session) begin() error {
	if _, err := s.begun.Exec(); err != nil {
		return &head.NotAppliedError{Retryable: isBusy(err), Err: err}
	}
	if err := s.lookAround(); err != nil {
		s.rollback()
		return &head.NotAppliedError{Retryable: isBusy(err), Err: err}
	}
	return nil
}

// lookAround checks the version of the schema, and forgets what it has read, if
// another connection has committed since the last transaction.
func (s *session) lookAround() error {
	var changes, version int
	if err := s.changes.QueryRow().Scan(&changes); err != nil || changes == s.seen {
		return err
	}
	if err := s.version.QueryRow().Scan(&version); err != nil {
		return err
	}
	if err := checkCurrent(version); err != nil {
		return err
	}
	s.forget()
	s.seen = changes
	return nil
}

// commit ends the transaction, unless the file is no longer the file at the
// store's path. A [*head.NotAppliedError] error means that nothing was committed;
// after any other error the outcome is unknown.
func (s *session) commit() error {
	if err := s.files.check(); err != nil {
		s.rollback()
		return &head.NotAppliedError{Err: err}
	}
	_, err := s.end.Exec()
	if err == nil {
		return nil
	}
	return outcomeOfCommit(err, s.rollback()) // which forgets the end of the log, whatever the outcome
}

// outcomeOfCommit returns the error of a COMMIT that failed with err. open says
// whether the transaction was still open afterwards, so that it could be rolled
// back: then nothing was written.
func outcomeOfCommit(err error, open bool) error {
	if open || isDefinite(err) {
		return &head.NotAppliedError{Retryable: isBusy(err), Err: err}
	}
	return fmt.Errorf("commit: %w", err)
}

// isDefinite reports whether a COMMIT that failed with err, and after which
// SQLite rolled back, wrote no commit record to the WAL. A full disk refuses
// the record, or a page before it. After an I/O error the record may have
// reached the disk, where a recovery would find it.
func isDefinite(err error) bool {
	return code(err) == sqlite3.SQLITE_FULL || code(err) == sqlite3.SQLITE_READONLY
}

// rollback undoes the transaction. It reports whether a transaction was open:
// some errors have ended it already.
func (s *session) rollback() (open bool) {
	s.forget()
	_, err := s.conn.ExecContext(context.Background(), rollbackWork)
	return err == nil
}

// forget drops what is known of the stored rows.
func (s *session) forget() {
	s.log.tail = nil
	s.bases.forget()
}

// close closes the statements too: database/sql leaves the statements of a
// single connection open, and with them the file. It reports if the file was
// replaced. SQLite then folds nothing into it, and removes no -wal file, which
// may belong to the file that now has the name.
func (s *session) close() error {
	errs := []error{s.files.check()}
	for stmt := range s.queries() {
		if *stmt != nil {
			errs = append(errs, (*stmt).Close())
		}
	}
	return errors.Join(append(errs, s.conn.Close())...)
}
