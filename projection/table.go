package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"ropewalk/feed"
)

// Dialect is a dialect of SQL.
type Dialect int

// The dialects. MySQL is also the dialect of MariaDB.
const (
	PostgreSQL Dialect = iota + 1
	SQLite
	MySQL
)

// String returns the name of the dialect, empty if there is no such dialect.
func (d Dialect) String() string {
	return map[Dialect]string{PostgreSQL: "PostgreSQL", SQLite: "SQLite", MySQL: "MySQL"}[d]
}

// bind returns a statement with the placeholders of the dialect in place of ?.
func (d Dialect) bind(statement string) string {
	if d != PostgreSQL {
		return statement
	}
	parts := strings.Split(statement, "?")
	var b strings.Builder
	for i, part := range parts[:len(parts)-1] {
		b.WriteString(part + "$" + strconv.Itoa(i+1))
	}
	return b.String() + parts[len(parts)-1]
}

// row is the checkpoint of one version of a projection.
type row struct {
	version  int
	position feed.Position
	fence    uint64 // counts the owners
	owner    string // a random text for each run; empty if no run owns the version
	beat     uint64 // counts the updates of the row, so that a living owner can be seen
	live     bool   // at most one version of a name is live
}

func (r row) isLive() bool { return r.live }

// table is the table of the checkpoints. Each update of a row counts its beat, so an
// update that takes effect always changes the row. Drivers of MySQL count only
// rows that change.
type table struct {
	dialect Dialect
	name    string
}

// querier is a database or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// create returns the statement that creates the table. That at most one version of a
// name is live is a constraint: live is 1 or NULL, and NULLs are distinct. Texts
// are compared byte by byte in all dialects.
func (t table) create() string {
	options := ""
	if t.dialect == MySQL {
		options = " CHARACTER SET ascii COLLATE ascii_bin"
	}
	return `CREATE TABLE IF NOT EXISTS ` + t.name + ` (
	name VARCHAR(64) NOT NULL,
	version INTEGER NOT NULL,
	position VARCHAR(120) NOT NULL,
	fence BIGINT NOT NULL,
	owner VARCHAR(32) NOT NULL,
	beat BIGINT NOT NULL,
	live SMALLINT,
	PRIMARY KEY (name, version),
	UNIQUE (name, live)
)` + options
}

// load returns the rows of a name, sorted by version.
func (t table) load(ctx context.Context, q querier, name string) (all []row, err error) {
	rows, err := q.QueryContext(ctx, t.dialect.bind(`SELECT version, position, fence, owner, beat, live FROM `+t.name+` WHERE name = ? ORDER BY version`), name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r row
		var position string
		var live sql.NullInt64
		if err := rows.Scan(&r.version, &position, &r.fence, &r.owner, &r.beat, &live); err != nil {
			return nil, err
		}
		if r.position, err = feed.ParsePosition(position); err != nil {
			return nil, fmt.Errorf("table %s: %w", t.name, err)
		}
		r.live = live.Valid
		all = append(all, r)
	}
	return all, rows.Err()
}

// insert makes the row of a version that begins at the beginning of the feed.
func (t table) insert(ctx context.Context, q querier, name string, version int, live bool) error {
	return t.exec(ctx, q, `INSERT INTO `+t.name+` (name, version, position, fence, owner, beat, live) VALUES (?, ?, '', 0, '', 0, ?)`,
		name, version, sql.NullInt64{Int64: 1, Valid: live})
}

// claim makes a run the owner of a version, if its row is as it was seen.
func (t table) claim(ctx context.Context, q querier, name string, seen row, owner string) error {
	return t.exec(ctx, q, `UPDATE `+t.name+` SET owner = ?, fence = fence + 1, beat = beat + 1
WHERE name = ? AND version = ? AND fence = ? AND beat = ?`, owner, name, seen.version, seen.fence, seen.beat)
}

// advance moves the position of a version, if it is still where its owner has seen it,
// and the owner is still the owner.
func (t table) advance(ctx context.Context, q querier, name string, seen row, to feed.Position) error {
	return t.exec(ctx, q, `UPDATE `+t.name+` SET position = ?, beat = beat + 1
WHERE name = ? AND version = ? AND position = ? AND fence = ?`, to.String(), name, seen.version, seen.position.String(), seen.fence)
}

// release gives the ownership of a version up.
func (t table) release(ctx context.Context, q querier, name string, seen row) error {
	return t.exec(ctx, q, `UPDATE `+t.name+` SET owner = '', beat = beat + 1
WHERE name = ? AND version = ? AND fence = ?`, name, seen.version, seen.fence)
}

// demote ends the life of a version and the ownership of its owner.
func (t table) demote(ctx context.Context, q querier, name string, version int) error {
	return t.exec(ctx, q, `UPDATE `+t.name+` SET live = NULL, owner = '', fence = fence + 1, beat = beat + 1
WHERE name = ? AND version = ? AND live = 1`, name, version)
}

// promote makes a version live.
func (t table) promote(ctx context.Context, q querier, name string, seen row) error {
	return t.exec(ctx, q, `UPDATE `+t.name+` SET live = 1, beat = beat + 1
WHERE name = ? AND version = ? AND fence = ?`, name, seen.version, seen.fence)
}

// remove deletes the row of a version that is not live.
func (t table) remove(ctx context.Context, q querier, name string, version int) error {
	return t.exec(ctx, q, `DELETE FROM `+t.name+` WHERE name = ? AND version = ? AND live IS NULL`, name, version)
}

// exec executes a statement that concerns one row. Its error is errMoved if there is no
// such row.
func (t table) exec(ctx context.Context, q querier, statement string, args ...any) error {
	result, err := q.ExecContext(ctx, t.dialect.bind(statement), args...)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n != 1 {
		err = errMoved
	}
	return err
}
