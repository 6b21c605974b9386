//go:build integration

package integration_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/aggregate"
	"ropewalk/projection"
)

// permitModel is the read model "open permits by department": a table of permits, and
// a table of departments that is kept in step with it. Each version has tables of its
// own.
type permitModel struct {
	database
	Version int
	Batch   int // changes in a transaction
}

// modelStandby is how long an instance of the read model waits for a silent owner.
const modelStandby = time.Second

var dialects = map[string]projection.Dialect{"sqlite": projection.SQLite, "pgx": projection.PostgreSQL, "mysql": projection.MySQL}

// sql returns a statement with the names of the tables and the placeholders of the
// dialect.
func (m permitModel) sql(statement string) string {
	statement = strings.NewReplacer("PERMITS", fmt.Sprintf("permits_%d", m.Version), "DEPARTMENTS", fmt.Sprintf("departments_%d", m.Version)).Replace(statement)
	for n := 1; m.Driver == "pgx" && strings.Contains(statement, "?"); n++ {
		statement = strings.Replace(statement, "?", fmt.Sprintf("$%d", n), 1)
	}
	return statement
}

func (m permitModel) create(t testing.TB, db *sql.DB) {
	for _, statement := range []string{
		"CREATE TABLE PERMITS (id VARCHAR(64) PRIMARY KEY, department VARCHAR(64) NOT NULL, is_open SMALLINT NOT NULL)",
		"CREATE TABLE DEPARTMENTS (name VARCHAR(64) PRIMARY KEY, permits BIGINT NOT NULL, events BIGINT NOT NULL)",
	} {
		_, err := db.Exec(m.sql(statement))
		require.NoError(t, err)
	}
}

// projection returns the projection over a database.
func (m permitModel) projection(db *sql.DB) *projection.Projection {
	return projection.New(db, dialects[m.Driver], "open-permits", m.Version, &projection.Options{Standby: modelStandby, Batch: m.Batch})
}

func (m permitModel) handler(permits aggregate.Type[struct{}, permitStep]) projection.Handler {
	return projection.Handle(permits, m.step, nil)
}

// step moves a permit, and counts it where it is.
func (m permitModel) step(ctx context.Context, tx *sql.Tx, e aggregate.Delivered[permitStep]) error {
	var before string
	var open int
	err := tx.QueryRowContext(ctx, m.sql("SELECT department, is_open FROM PERMITS WHERE id = ?"), e.AggregateID).Scan(&before, &open)
	switch {
	case err == sql.ErrNoRows:
		err = m.exec(ctx, tx, "INSERT INTO PERMITS (department, is_open, id) VALUES (?, ?, ?)", e.Event.Department, e.Event.open(), e.AggregateID)
	case err == nil:
		err = m.exec(ctx, tx, "UPDATE PERMITS SET department = ?, is_open = ? WHERE id = ?", e.Event.Department, e.Event.open(), e.AggregateID)
	}
	if err != nil {
		return err
	}
	if err := m.count(ctx, tx, before, -open, 0); err != nil {
		return err
	}
	return m.count(ctx, tx, e.Event.Department, e.Event.open(), 1)
}

// count adds to the row of a department, which it makes if it is missing.
func (m permitModel) count(ctx context.Context, tx *sql.Tx, name string, permits, events int) error {
	if permits == 0 && events == 0 {
		return nil
	}
	result, err := tx.ExecContext(ctx, m.sql("UPDATE DEPARTMENTS SET permits = permits + ?, events = events + ? WHERE name = ?"), permits, events, name)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); n > 0 || err != nil {
		return err
	}
	return m.exec(ctx, tx, "INSERT INTO DEPARTMENTS (name, permits, events) VALUES (?, ?, ?)", name, permits, events)
}

func (m permitModel) exec(ctx context.Context, tx *sql.Tx, statement string, args ...any) error {
	_, err := tx.ExecContext(ctx, m.sql(statement), args...)
	return err
}

// departments returns the read model, and the number of events in it.
func (m permitModel) departments(t testing.TB, db *sql.DB) (all map[string]department, events int) {
	rows, err := db.Query(m.sql("SELECT name, permits, events FROM DEPARTMENTS"))
	require.NoError(t, err)
	defer rows.Close()
	all = map[string]department{}
	for rows.Next() {
		var name string
		var d department
		require.NoError(t, rows.Scan(&name, &d.Open, &d.Events))
		all[name], events = d, events+d.Events
	}
	require.NoError(t, rows.Err())
	return all, events
}
