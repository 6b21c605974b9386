package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ropewalk/aggregate"
	"ropewalk/aggregate/aggregatetest"
	"ropewalk/feed"
	"ropewalk/gc"
)

// board is a read model beside its orders, with a page.
type board struct {
	*openOrders
	file    string
	page    client
	storage *aggregatetest.Storage
	repo    *aggregate.Repository[Order, Event]
}

func startBoard(t *testing.T, file string) board {
	storage := aggregatetest.NewStorage(nil)
	b := openBoard(t, file, storage)
	server := httptest.NewServer(newServer(newService(storage.Store, nameKey, b.log), b.openOrders).Handler)
	t.Cleanup(server.Close)
	b.page = client{t, server.URL}
	return b
}

// openBoard opens the read model as another process does.
func openBoard(t *testing.T, file string, storage *aggregatetest.Storage) board {
	m, err := openReadModel(t.Context(), file, storage.Direct, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.db.Close()) })
	return board{openOrders: m, file: file, storage: storage, repo: aggregate.New(storage.Direct, orders, nil)}
}

func (b board) order(t *testing.T, id, customer string, more ...Event) aggregate.Loaded[Order] {
	order, err := b.repo.Create(t.Context(), id, append([]Event{Created{customer}}, more...))
	require.NoError(t, err)
	return order
}

// catchUp handles what was stored.
func (b board) catchUp(t *testing.T, version int) {
	_, err := b.feed.Relay(nil).Once(t.Context())
	require.NoError(t, err)
	require.NoError(t, b.projection(version).Once(t.Context(), b.feed, b.handler(version)))
}

func (b board) open(t *testing.T) []customerOrders {
	all, err := b.byCustomer(t.Context(), "")
	require.NoError(t, err)
	return all
}

func TestOpenOrdersByCustomer(t *testing.T) {
	b := startBoard(t, inMemory)
	b.order(t, "o-1", "bob", LineAdded{"rope", 2}, LineAdded{"hook", 1})
	b.order(t, "o-2", "ann", LineAdded{"rope", 4})
	b.order(t, "o-3", "ann")
	shipped := b.order(t, "o-4", "ann", LineAdded{"rope", 1})
	b.order(t, "o-5", "eve", LineAdded{"rope", 9})
	b.catchUp(t, 1)
	_, err := b.repo.Save(t.Context(), shipped, []Event{Shipped{}})
	require.NoError(t, err)
	_, err = gc.New(b.storage.Memory, b.storage.Memory, nil).Erase(t.Context(), "o-5")
	require.NoError(t, err)
	b.catchUp(t, 1)
	require.Equal(t, []customerOrders{{"ann", []openOrder{{"o-2", 4}, {"o-3", 0}}}, {"bob", []openOrder{{"o-1", 3}}}}, b.open(t))
	one, err := b.byCustomer(t.Context(), "bob")
	require.NoError(t, err)
	require.Equal(t, []customerOrders{{"bob", []openOrder{{"o-1", 3}}}}, one)
}

func TestPageOfOpenOrders(t *testing.T) {
	b := startBoard(t, inMemory)
	got := b.page.send("GET", "/open-orders", "")
	require.Equal(t, 200, got.status)
	require.Contains(t, got.body, "There are no open orders.")
	b.order(t, "o/1", "<script>alert(1)</script>", LineAdded{"rope", 41})
	b.catchUp(t, 1)
	got = b.page.send("GET", "/open-orders", "")
	require.Equal(t, "text/html; charset=utf-8", got.header.Get("Content-Type"))
	require.NotContains(t, got.body, "<script")
	require.Contains(t, got.body, `<a href="?customer=%3cscript%3ealert%281%29%3c%2fscript%3e">&lt;script&gt;`)
	require.Contains(t, got.body, `<a href="/orders/o%2F1">o/1</a></td><td>41</td>`)
	require.Equal(t, 200, b.page.send("GET", "/orders/o%2F1", "").status)
	require.Contains(t, b.page.send("GET", "/open-orders?customer=ann", "").body, "There are no open orders.")
}

func TestPageWithoutReadModel(t *testing.T) {
	b := startBoard(t, inMemory)
	_, err := b.db.ExecContext(t.Context(), "DROP TABLE open_orders")
	require.NoError(t, err)
	got := b.page.send("GET", "/open-orders", "")
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.NotContains(t, got.body, "open_orders", "a detail of the database is shown")
}

// A rebuild finds rows that were never made, while another process keeps the live rows.
func TestRebuildWhileTheReadModelIsKept(t *testing.T) {
	b := startBoard(t, filepath.Join(t.TempDir(), "views.db"))
	b.order(t, "o-1", "ann", LineAdded{"rope", 2})
	ctx, stop := context.WithCancel(t.Context())
	kept := make(chan error, 1)
	go func() { kept <- b.keep(ctx) }()
	b.eventually(t, []customerOrders{{"ann", []openOrder{{"o-1", 2}}}})
	_, err := b.db.ExecContext(t.Context(), "UPDATE open_orders SET items = 77")
	require.NoError(t, err)

	require.NoError(t, openBoard(t, b.file, b.storage).rebuild(t.Context()))
	require.Equal(t, []customerOrders{{"ann", []openOrder{{"o-1", 2}}}}, b.open(t))
	b.order(t, "o-2", "ann")
	b.eventually(t, []customerOrders{{"ann", []openOrder{{"o-1", 2}, {"o-2", 0}}}})
	stop()
	require.NoError(t, <-kept)
	live, err := b.projection(1).Live(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, live)
}

// eventually waits until the read model is right.
func (b board) eventually(t *testing.T, want []customerOrders) {
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		all, err := b.byCustomer(t.Context(), "")
		require.NoError(c, err)
		require.Equal(c, want, all)
	}, time.Minute, 10*time.Millisecond)
}

// A read model of another store stands still, and orders are served all the same.
func TestReadModelOfAnotherStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "views.db")
	first := startBoard(t, file)
	first.order(t, "o-1", "ann")
	first.catchUp(t, 1)
	other := startBoard(t, file)
	other.order(t, "o-9", "bob")
	require.ErrorIs(t, other.keep(t.Context()), feed.ErrOtherHistory)
	require.Equal(t, 200, other.page.send("GET", "/orders/o-9", "").status)
	require.NoError(t, other.rebuild(t.Context()))
	require.Equal(t, []customerOrders{{"bob", []openOrder{{"o-9", 0}}}}, other.open(t))
}

func TestRunRebuilds(t *testing.T) {
	o := settings{store: "file:" + filepath.Join(t.TempDir(), "orders.db"), views: filepath.Join(t.TempDir(), "views.db"), rebuild: true}
	store, closeStore, err := open(t.Context(), o.store, nil)
	require.NoError(t, err)
	_, err = aggregate.New(store, orders, nil).Create(t.Context(), "o-1", []Event{Created{"ann"}, LineAdded{"rope", 3}})
	require.NoError(t, errors.Join(err, closeStore()))
	log := slog.New(slog.DiscardHandler)
	require.NoError(t, run(t.Context(), o, log))
	m, err := openReadModel(t.Context(), o.views, store, log)
	require.NoError(t, err)
	all, err := m.byCustomer(t.Context(), "")
	require.NoError(t, errors.Join(err, m.db.Close()))
	require.Equal(t, []customerOrders{{"ann", []openOrder{{"o-1", 3}}}}, all)
}

// Customers and addresses are in the same feed, and in no row.
func TestCustomersAreNotInTheReadModel(t *testing.T) {
	b := startBoard(t, filepath.Join(t.TempDir(), "views.db"))
	require.Equal(t, 200, b.page.send("PUT", "/customers/ann", email("ann@example.com")).status)
	b.order(t, "4711", "ann")
	b.catchUp(t, 1)
	all, err := b.byCustomer(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, []customerOrders{{"ann", []openOrder{{"4711", 0}}}}, all)
}
