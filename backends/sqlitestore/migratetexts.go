package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"maps"

	"ropewalk/changeset"
)

// migrateTexts gives each changeset of a database of schemaOfTexts its binary form, within
// a transaction. A row that has no such form, or does not decode, keeps its columns. A
// database of schemaWithoutLog may have the new table already: its log was dropped for a new log.
func migrateTexts(ctx context.Context, conn connection) error {
	var done bool
	if err := conn.QueryRowContext(ctx, hasHeaders).Scan(&done); done || err != nil {
		return err
	}
	for _, statement := range []string{renameTexts, createChangesets} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	m := &textMigration{}
	err := prepare(conn, m.queries())
	if err == nil {
		err = m.copyRows(ctx)
	}
	if err := errors.Join(err, m.close()); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, dropTexts)
	return err
}

// textMigration copies rows. The contents stay within SQLite.
type textMigration struct {
	rows, binary, text *sql.Stmt
	bases              bases
}

func (m *textMigration) queries() map[**sql.Stmt]string {
	all := map[**sql.Stmt]string{&m.rows: selectTexts, &m.binary: copyBinary, &m.text: copyText}
	maps.Copy(all, m.bases.queries())
	return all
}

// copyRows copies the rows in the order of their objects, so that a base comes before
// the rows that share its upper wheels.
func (m *textMigration) copyRows(ctx context.Context) error {
	rows, err := m.rows.QueryContext(ctx)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		var rowID, size int64
		var modified any
		if err := rows.Scan(append([]any{&rowID, &r.aggregateID, &r.object}, append(r.text(), &modified, &size)...)...); err != nil {
			return err
		}
		if err := m.copyRow(ctx, rowID, r, modified, size); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (m *textMigration) copyRow(ctx context.Context, rowID int64, r row, modified any, size int64) error {
	header, err := m.binaryOf(r, size)
	if err != nil {
		return err
	}
	if header == nil {
		_, err = m.text.ExecContext(ctx, rowID)
		return err
	}
	if t, err := parseModified(modified); err == nil && timeOf(t.UnixNano()).Equal(t) {
		modified = t.UnixNano()
	}
	_, err = m.binary.ExecContext(ctx, header, modified, rowID)
	return err
}

// binaryOf returns the binary form of a row, nil if the row must keep the text form.
func (m *textMigration) binaryOf(r row, size int64) ([]byte, error) {
	ref, ok := refOf(r.aggregateID, r.object)
	if !ok {
		return nil, nil
	}
	h, err := changeset.DecodeRow(changeset.Stored{Ref: ref, ContentType: r.contentType, Size: size}, r.Row)
	if err != nil {
		return nil, nil
	}
	header, ok := changeset.EncodeBinary(h, false)
	if !ok {
		return nil, nil
	}
	return m.bases.share(header, h)
}

func (m *textMigration) close() error {
	var errs []error
	for stmt := range m.queries() {
		if *stmt != nil {
			errs = append(errs, (*stmt).Close())
		}
	}
	return errors.Join(errs...)
}
