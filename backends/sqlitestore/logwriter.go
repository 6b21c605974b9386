package sqlitestore

import (
	"database/sql"
	"errors"
	"fmt"

	"ropewalk/head"
)

// logWriter writes rows of the log, within transactions of its connection.
type logWriter struct {
	newest, insert *sql.Stmt
	// tail is the newest row, nil if it is not known: other connections have written,
	// or a transaction was rolled back.
	tail *logRow
}

func (w *logWriter) queries() map[**sql.Stmt]string {
	return map[**sql.Stmt]string{&w.newest: selectLogEnd, &w.insert: insertLog}
}

// append writes the row of an advance after the newest row.
func (w *logWriter) append(a head.Advance) error {
	if w.tail == nil {
		newest, err := newestRow(w.newest.QueryRow())
		if err != nil {
			return err
		}
		w.tail = &newest
	}
	return w.write(w.tail.next(a))
}

// newestRow reads the row that selectLogEnd found. Every log has row 0.
func newestRow(row *sql.Row) (logRow, error) {
	r, err := scanLogRow(row)
	if isMissing(err) {
		err = errNoRow
	}
	if err != nil {
		return logRow{}, fmt.Errorf("newest row of the log: %w", err)
	}
	return r, nil
}

func (w *logWriter) write(r logRow) error {
	_, err := w.insert.Exec(r.values()...)
	w.tail = &r
	return err
}

func (w *logWriter) close() error {
	var errs []error
	for stmt := range w.queries() {
		if *stmt != nil {
			errs = append(errs, (*stmt).Close())
		}
	}
	return errors.Join(errs...)
}
