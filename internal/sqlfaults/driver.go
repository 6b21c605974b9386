package sqlfaults

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// Open opens a database whose steps a script decides about.
func Open(driverName, dsn string, script *Script) (*sql.DB, error) {
	plain, err := sql.Open(driverName, dsn)
	if err != nil {
		return nil, err
	}
	d := plain.Driver()
	if err := plain.Close(); err != nil {
		return nil, err
	}
	var inner driver.Connector = opener{d, dsn}
	if c, ok := d.(driver.DriverContext); ok {
		if inner, err = c.OpenConnector(dsn); err != nil {
			return nil, err
		}
	}
	return sql.OpenDB(connector{inner, script}), nil
}

// opener is the connector of a driver that has no connectors.
type opener struct {
	driver driver.Driver
	dsn    string
}

func (o opener) Connect(context.Context) (driver.Conn, error) { return o.driver.Open(o.dsn) }

func (o opener) Driver() driver.Driver { return o.driver }

type connector struct {
	driver.Connector
	script *Script
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	if c.script.Dead() {
		return nil, errDead
	}
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: inner, script: c.script}, nil
}

// conn is a connection. An optional interface that the driver's own connection does not
// have is passed over by driver.ErrSkip.
type conn struct {
	driver.Conn
	script    *Script
	tx        *tx
	abandoned bool // a late COMMIT needs the connection
}

func (c *conn) Close() error {
	if c.abandoned {
		return nil
	}
	return c.Conn.Close()
}

func (c *conn) IsValid() bool {
	v, ok := c.Conn.(driver.Validator)
	return !c.abandoned && (!ok || v.IsValid())
}

func (c *conn) ResetSession(ctx context.Context) error {
	if r, ok := c.Conn.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *conn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	ctx = context.WithoutCancel(ctx) // pgx keeps it for COMMIT, which can be late
	var begun driver.Tx
	err := c.script.step(Begin, "", func() (err error) {
		if b, ok := c.Conn.(driver.ConnBeginTx); ok {
			begun, err = b.BeginTx(ctx, options)
		} else {
			//lint:ignore SA1019 an older driver has nothing else
			begun, err = c.Conn.Begin()
		}
		return err
	})
	if err != nil {
		if begun != nil {
			_ = begun.Rollback()
		}
		return nil, err
	}
	c.tx = &tx{Tx: begun, conn: c}
	return c.tx, nil
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (result driver.Result, err error) {
	e, ok := c.Conn.(driver.ExecerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	effect := func() (err error) {
		result, err = e.ExecContext(ctx, c.script.rewritten(query), args)
		return err
	}
	if c.tx != nil && c.script.postpone(query) {
		c.tx.postponed = append(c.tx.postponed, func() (int64, error) {
			if err := effect(); err != nil {
				return 0, err
			}
			return result.RowsAffected()
		})
		return driver.RowsAffected(1), nil
	}
	if err := c.script.step(Exec, query, effect); err != nil {
		return nil, err
	}
	return result, nil
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (rows driver.Rows, err error) {
	q, ok := c.Conn.(driver.QueryerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	return queried(c.script, query, func() (driver.Rows, error) { return q.QueryContext(ctx, c.script.rewritten(query), args) })
}

// queried does a query as a step.
func queried(script *Script, query string, effect func() (driver.Rows, error)) (rows driver.Rows, err error) {
	err = script.step(Query, query, func() (err error) {
		rows, err = effect()
		return err
	})
	if err != nil && rows != nil {
		_ = rows.Close()
		rows = nil
	}
	return rows, err
}

func (c *conn) PrepareContext(ctx context.Context, query string) (inner driver.Stmt, err error) {
	rewritten := c.script.rewritten(query)
	if p, ok := c.Conn.(driver.ConnPrepareContext); ok {
		inner, err = p.PrepareContext(ctx, rewritten)
	} else {
		inner, err = c.Conn.Prepare(rewritten)
	}
	if err != nil {
		return nil, err
	}
	return &stmt{inner, c, query}, nil
}

// tx is a transaction.
type tx struct {
	driver.Tx
	conn      *conn
	postponed []func() (int64, error)
}

func (t *tx) Commit() error {
	t.conn.tx = nil
	if err := t.doPostponed(); err != nil {
		_ = t.Tx.Rollback()
		return err
	}
	done := false
	err := t.conn.script.step(Commit, "", func() error {
		done = true
		return t.Tx.Commit()
	})
	switch {
	case errors.Is(err, errLate):
		t.conn.abandoned = true
		t.conn.script.later(t.land)
	case !done:
		_ = t.Tx.Rollback()
	}
	return err
}

// land commits late.
func (t *tx) land() error { return errors.Join(t.Tx.Commit(), t.conn.Conn.Close()) }

var errNoRow = errors.New("sqlfaults: a postponed statement has changed no row")

func (t *tx) doPostponed() error {
	for _, effect := range t.postponed {
		n, err := effect()
		if err != nil {
			return err
		}
		if n == 0 {
			return errNoRow
		}
	}
	return nil
}

func (t *tx) Rollback() error {
	t.conn.tx = nil
	return t.Tx.Rollback()
}

// stmt is a prepared statement.
type stmt struct {
	driver.Stmt
	conn  *conn
	query string
}

func (s *stmt) CheckNamedValue(v *driver.NamedValue) (err error) {
	if checker, ok := s.Stmt.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	//lint:ignore SA1019 an older driver has nothing else
	if c, ok := s.Stmt.(driver.ColumnConverter); ok {
		v.Value, err = c.ColumnConverter(v.Ordinal - 1).ConvertValue(v.Value)
		return err
	}
	return s.conn.CheckNamedValue(v)
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (result driver.Result, err error) {
	err = s.conn.script.step(Exec, s.query, func() (err error) {
		if e, ok := s.Stmt.(driver.StmtExecContext); ok {
			result, err = e.ExecContext(ctx, args)
		} else {
			result, err = s.Exec(values(args))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return queried(s.conn.script, s.query, func() (driver.Rows, error) {
		if q, ok := s.Stmt.(driver.StmtQueryContext); ok {
			return q.QueryContext(ctx, args)
		}
		return s.Query(values(args))
	})
}

func values(args []driver.NamedValue) []driver.Value {
	all := make([]driver.Value, len(args))
	for i, a := range args {
		all[i] = a.Value
	}
	return all
}
