package sqlitestore

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	sqlite3 "modernc.org/sqlite/lib"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/commitlog"
)

// logReader reads the log in pages, and checks each row against the row before.
// No statement is open between two calls.
type logReader struct {
	query      *sql.Stmt // selectLog
	file       string    // for people
	generation string
	last       logRow // the row before the next page
}

// openLog returns a reader whose first page begins with the row at from, or with
// row 1.
func openLog(ctx context.Context, query *sql.Stmt, file string, from head.LogPosition) (*logReader, error) {
	r := &logReader{query: query, file: file}
	rows, err := r.rows(ctx, 0, 1)
	if err == nil && len(rows) == 0 {
		err = errNoRow
	}
	if err == nil {
		err = rows[0].checkFirst()
	}
	if err != nil {
		return nil, r.failure(0, err)
	}
	r.last, r.generation = rows[0], commitlog.Generation(rows[0].mark)
	if from == (head.LogPosition{}) || from == r.last.at(r.generation) {
		return r, nil
	}
	return r, r.seek(ctx, from)
}

// seek goes to the row before the row at from.
func (r *logReader) seek(ctx context.Context, from head.LogPosition) error {
	other := fmt.Errorf("row %d of log %s: %w", from.Row, from.Generation, head.ErrOtherLog)
	if from.Generation != r.generation || from.Row == 0 || from.Row > math.MaxInt64 {
		return other
	}
	rows, err := r.rows(ctx, from.Row-1, 2)
	if err != nil {
		return err
	}
	if len(rows) < 2 || rows[1].at(r.generation) != from {
		return other
	}
	r.last = rows[0]
	return r.failure(from.Row, rows[1].checkAfter(rows[0]))
}

// page returns the rows after the last page, at most commitlog.Page.
func (r *logReader) page(ctx context.Context) ([]head.LogEntry, error) {
	rows, err := r.rows(ctx, r.last.position, 1+commitlog.Page)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || rows[0] != r.last {
		return nil, fmt.Errorf("row %d of log %s is no longer there: %w", r.last.position, r.generation, head.ErrOtherLog)
	}
	var page []head.LogEntry
	for _, row := range rows[1:] {
		entry, err := row.entry(r.generation)
		if damage := row.checkAfter(r.last); damage != nil {
			err = damage
		}
		if err != nil {
			return nil, r.failure(r.last.position+1, err)
		}
		page, r.last = append(page, entry), row
	}
	return page, nil
}

// rows returns rows from a position on. Its errors name the row.
func (r *logReader) rows(ctx context.Context, from uint64, limit int) (all []logRow, err error) {
	rows, err := r.query.QueryContext(ctx, int64(from), limit)
	if err != nil {
		return nil, r.failure(from, err)
	}
	defer rows.Close()
	for rows.Next() {
		row, err := scanLogRow(rows)
		if err != nil {
			return nil, r.failure(from+uint64(len(all)), err)
		}
		all = append(all, row)
	}
	return all, r.failure(from+uint64(len(all)), rows.Err())
}

// failure returns a [*changeset.CorruptError] that names the row at a position, if
// err says that it is damaged. The error of a statement that SQLite does not take names no row.
func (r *logReader) failure(position uint64, err error) error {
	if isDamage(err) && !isNoDatabase(err) && code(err) != sqlite3.SQLITE_ERROR {
		return &changeset.CorruptError{Object: locate(r.file, fmt.Sprintf("log/%d", position)), Reason: err.Error()}
	}
	return err
}
