package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"

	_ "modernc.org/sqlite"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/feed"
	"ropewalk/projection"
)

// openOrders is a read model: the orders that are not shipped yet, by customer. No
// order can answer this question, and the store cannot search. The rows are in a
// database of their own, which can be lost: they are made again from the events.
type openOrders struct {
	db   *sql.DB
	feed *feed.Feed
	log  *slog.Logger
}

// The rows of all versions are in one table, so that a query chooses the live version,
// and a rebuild needs no other table.
const openOrdersTable = `CREATE TABLE IF NOT EXISTS open_orders (
	version  INTEGER NOT NULL, -- of the projection
	id       TEXT NOT NULL,
	customer TEXT NOT NULL,
	items    INTEGER NOT NULL,
	PRIMARY KEY (version, id)
)`

// inMemory as the file of the read model is no file: the rows end with the program.
const inMemory = ":memory:"

// openReadModel opens the file of the read model, and creates it if it is missing.
func openReadModel(ctx context.Context, file string, store *ropewalk.Store, log *slog.Logger) (*openOrders, error) {
	// A transaction that begins with a write lock waits for its turn, and is not refused.
	options := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(5000)", "journal_mode(wal)"}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?"+options.Encode())
	if err != nil {
		return nil, fmt.Errorf("open the read model: %w", err)
	}
	if file == inMemory {
		db.SetMaxOpenConns(1) // another connection would have a database of its own
	}
	m := &openOrders{db, feed.Open(store, &feed.Options{Logger: log}), log}
	for _, statement := range []string{openOrdersTable, m.projection(1).Schema()} {
		if _, err := db.ExecContext(context.WithoutCancel(ctx), statement); err != nil {
			return nil, errors.Join(fmt.Errorf("create the read model in %s: %w", file, err), db.Close())
		}
	}
	return m, nil
}

func (m *openOrders) projection(version int) *projection.Projection {
	return projection.New(m.db, projection.SQLite, "open-orders", version, &projection.Options{Logger: m.log})
}

// handler makes the rows of a version. The events of an order come in their order.
func (m *openOrders) handler(version int) projection.Handler {
	event := func(ctx context.Context, tx *sql.Tx, e aggregate.Delivered[Event]) (err error) {
		switch change := e.Event.(type) {
		case Created:
			_, err = tx.ExecContext(ctx, "INSERT INTO open_orders VALUES (?, ?, ?, 0)", version, e.AggregateID, change.Customer)
		case LineAdded:
			_, err = tx.ExecContext(ctx, "UPDATE open_orders SET items = items + ? WHERE version = ? AND id = ?", change.Quantity, version, e.AggregateID)
		case Shipped:
			err = remove(ctx, tx, version, e.AggregateID)
		}
		return err
	}
	erased := func(ctx context.Context, tx *sql.Tx, id string) error { return remove(ctx, tx, version, id) }
	ofOrder := projection.Handle(orders, event, erased)
	return func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
		if !isOrder(c.AggregateID) {
			return nil
		}
		return ofOrder(ctx, tx, c)
	}
}

func remove(ctx context.Context, tx *sql.Tx, version int, id string) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM open_orders WHERE version = ? AND id = ?", version, id)
	return err
}

// run feeds the read model until the context ends. If that fails for good, the read model
// stands still, and orders are served all the same.
func (m *openOrders) run(ctx context.Context) {
	var group sync.WaitGroup
	for what, work := range map[string]func(context.Context) error{"relay": m.feed.Relay(nil).Run, "read model": m.keep} {
		group.Go(func() {
			if err := work(ctx); err != nil && ctx.Err() == nil {
				m.log.Error(what+" stands still", "error", err)
			}
		})
	}
	group.Wait()
}

// keep keeps the live version up to date until the context ends. If another process
// rebuilds the read model, keep goes on with the new version.
func (m *openOrders) keep(ctx context.Context) error {
	for {
		live, err := m.projection(1).Live(ctx)
		if err == nil {
			version := max(live, 1)
			err = m.projection(version).Run(ctx, m.feed, m.handler(version))
		}
		if !errors.Is(err, projection.ErrReplaced) && !errors.Is(err, projection.ErrOtherVersion) {
			return err
		}
		m.log.Info("another process keeps the read model, or has rebuilt it", "cause", err)
	}
}

// rebuild makes all rows again, as the next version, while the live version is in use.
// It feeds what no other process has fed.
func (m *openOrders) rebuild(ctx context.Context) error {
	if _, err := m.feed.Relay(nil).Once(ctx); err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	live, err := m.projection(1).Live(ctx)
	if err != nil {
		return err
	}
	next := live + 1
	return m.projection(next).Rebuild(ctx, m.feed, m.handler(next), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM open_orders WHERE version <> ?", next)
		return err
	})
}

// customerOrders are the open orders of one customer.
type customerOrders struct {
	Customer string
	Orders   []openOrder
}

type openOrder struct {
	ID    string
	Items int
}

// Path is where the service has the order.
func (o openOrder) Path() string { return "/orders/" + url.PathEscape(o.ID) }

// byCustomer returns the open orders, of one customer or of all, sorted by customer and
// ID. One query reads the version that is live and its rows.
func (m *openOrders) byCustomer(ctx context.Context, customer string) (all []customerOrders, err error) {
	rows, err := m.db.QueryContext(ctx, `SELECT o.customer, o.id, o.items
FROM open_orders o JOIN ropewalk_projections p ON p.name = 'open-orders' AND p.version = o.version AND p.live = 1
WHERE ? IN ('', o.customer) ORDER BY o.customer, o.id`, customer)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		var order openOrder
		if err := rows.Scan(&name, &order.ID, &order.Items); err != nil {
			return nil, err
		}
		if len(all) == 0 || all[len(all)-1].Customer != name {
			all = append(all, customerOrders{Customer: name})
		}
		last := &all[len(all)-1]
		last.Orders = append(last.Orders, order)
	}
	return all, rows.Err()
}
