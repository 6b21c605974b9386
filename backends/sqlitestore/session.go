package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// session is the one connection that writes, with its statements. Only the
// writer's loop uses it. Its work runs detached from any caller's context:
// once a transaction has begun it is brought to its end.
type session struct {
	conn connection

	begin, version, end                  *sql.Stmt
	insert, remove, load, create, update *sql.Stmt
}

// checkpoints folds the WAL into the file when it has 16 MiB, four times as
// many as SQLite would let it have: what many appends touch is copied once, and
// fewer syncs of the file hold up the writers.
const checkpoints = "wal_autocheckpoint(4000)"

// openWriter opens the connection; setUp must follow.
func openWriter(path string, busy time.Duration) (*writer, error) {
	conn, err := connect(context.Background(), path, busy, "synchronous(full)", checkpoints, "journal_size_limit(67108864)")
	if err != nil {
		return nil, err
	}
	return &writer{session: &session{conn: conn}, busy: busy}, nil
}

// setUp makes sure that the database is ours, and creates it unless it must exist.
func (w *writer) setUp(mustExist bool) error {
	ctx, conn := context.Background(), w.session.conn
	err := retry(ctx, w.busy, func() error { return verify(ctx, conn) })
	if err == nil || errors.Is(err, errBlank) && !mustExist {
		err = provision(ctx, conn, w.busy)
	}
	if err != nil {
		return err
	}
	return prepare(conn, w.session.queries())
}

// queries returns the text of each statement.
func (s *session) queries() map[**sql.Stmt]string {
	return map[**sql.Stmt]string{
		&s.begin:   "BEGIN IMMEDIATE",
		&s.version: "PRAGMA user_version",
		&s.end:     "COMMIT",
		&s.insert: `INSERT INTO changesets (aggregate_id, object, ` + headerColumns + `, last_modified, content)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		&s.remove: "DELETE FROM changesets WHERE aggregate_id = ? AND object = ?",
		&s.load:   selectHead,
		&s.create: "INSERT INTO heads (record, ancestors, digest, aggregate_id) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
		&s.update: "UPDATE heads SET record = ?, ancestors = ?, digest = ? WHERE aggregate_id = ? AND record = ? AND digest = ?",
	}
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

// beginWrite opens a transaction that holds the write lock, unless a newer
// version has changed the schema meanwhile.
func (s *session) beginWrite() error {
	if _, err := s.begin.Exec(); err != nil {
		return err
	}
	var version int
	err := s.version.QueryRow().Scan(&version)
	if err == nil {
		err = checkVersion(version)
	}
	if err != nil {
		s.rollback()
	}
	return err
}

// replace writes the row of a head where the expected one is stored, to the
// letter; none where there is no head to replace. It reports whether it did.
func (s *session) replace(r *replacement) (bool, error) {
	stmt, args := s.update, []any{r.row.Record, r.row.Ancestors, r.row.Digest, r.key, r.expected, r.old.Digest[:]}
	if !r.old.Exists() {
		stmt, args = s.create, args[:4]
	}
	result, err := stmt.Exec(args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

func (s *session) commit() error {
	_, err := s.end.Exec()
	return err
}

// rollback ends the transaction; it fails if SQLite has already done so.
func (s *session) rollback() { _, _ = s.conn.ExecContext(context.Background(), "ROLLBACK") }

// close closes the statements too: database/sql leaves those of a single
// connection open, and with them the file.
func (s *session) close() error {
	var errs []error
	for stmt := range s.queries() {
		if *stmt != nil {
			errs = append(errs, (*stmt).Close())
		}
	}
	return errors.Join(append(errs, s.conn.Close())...)
}
