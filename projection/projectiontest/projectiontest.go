// Package projectiontest tests projections: it lets everything go wrong that can go wrong
// between a handler and its database, and demands the read model of a run in which
// nothing went wrong.
//
//	projectiontest.Test(t, projectiontest.Subject{
//		Dialect:  projection.SQLite,
//		Database: func(t testing.TB) (driver, dsn string) { return "sqlite", filepath.Join(t.TempDir(), "orders.db") },
//		Setup:    createTables,
//		Handler:  handler,
//		Query:    func(ctx context.Context, db *sql.DB) (any, error) { return openOrders(ctx, db) },
//		Fill:     func(ctx context.Context, store *ropewalk.Store) error { return placeOrders(ctx, store) },
//	})
//
// A handler that has an effect outside of its transaction, that remembers changes from
// call to call, that ignores an error of the transaction, or that depends on the order
// across aggregates, fails.
package projectiontest

import (
	"cmp"
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/projection"
)

// Subject is a projection under test.
type Subject struct {
	// Dialect is the dialect of the database.
	Dialect projection.Dialect
	// Database must make an empty database on each call, and remove it at the end of t.
	// It returns the name of its driver for [sql.Open], and its data source name.
	Database func(t testing.TB) (driver, dsn string)
	// Setup must create the tables of the read model.
	Setup func(ctx context.Context, db *sql.DB) error
	// Handler is the handler under test.
	Handler projection.Handler
	// Query must return what the read model says, in a form that [require.Equal] compares.
	Query func(ctx context.Context, db *sql.DB) (any, error)
	// Fill must write the history to an empty store: a few dozen changesets of several
	// aggregates, of all kinds that the handler handles. The suite adds the erasure of
	// the first aggregate. The history is delivered some hundred times.
	Fill func(ctx context.Context, store *ropewalk.Store) error
	// Options are the options of the projection. The suite sets Batch, Retries and
	// Standby itself.
	Options projection.Options
	// Ordered means that the read model depends on the order of changes across
	// aggregates. Then the history is delivered in one order only.
	Ordered bool
}

// Test lets everything go wrong. Each check is a subtest. With -short, a sample of the steps
// goes wrong.
func Test(t *testing.T, s Subject) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.run(t, s) })
	}
}

// check is one demand on a projection.
type check struct {
	name string
	run  func(t testing.TB, s Subject)
}

var checks = []check{
	{"an undisturbed run can be repeated", repeats},
	{"the order of the changes across aggregates does not matter", interleaves},
	{"each change is handed over again after its transaction was rolled back", redelivers},
	{"each step fails without an effect, or takes effect and its reply is lost", losesReplies},
	{"the process is killed before and after each step", kills},
	{"no COMMIT is answered", losesCommits},
	{"two processes take turns at any moment", takesTurns},
}

// world is a database with a read model, and the store that it is made from.
type world struct {
	t       testing.TB
	subject Subject
	history *history
	driver  string
	dsn     string
	db      *sql.DB // of the test; nothing goes wrong there
}

func newWorld(t testing.TB, s Subject, h *history) *world {
	w := &world{t: t, subject: s, history: h}
	w.driver, w.dsn = s.Database(t)
	var err error
	w.db, err = sql.Open(w.driver, w.dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.db.Close() })
	require.NoError(t, s.Setup(t.Context(), w.db))
	return w
}

// model returns what the read model says.
func (w *world) model() any {
	w.t.Helper()
	model, err := w.subject.Query(w.t.Context(), w.db)
	require.NoError(w.t, err)
	return model
}

// expected returns what the read model says after an undisturbed run.
func expected(t testing.TB, s Subject, h *history) any {
	t.Helper()
	w := newWorld(t, s, h)
	require.NoError(t, w.projection(w.db).Once(t.Context(), h.feed, s.Handler))
	return w.model()
}

// standby is longer than a step takes. The checks do not wait for it: they free the
// projection of an owner that they have killed.
const standby = 3 * time.Second

func (w *world) options() projection.Options {
	o := w.subject.Options
	o.Batch, o.Retries, o.RetryPause, o.Standby = 3, 3, time.Millisecond, standby
	return o
}

func (w *world) projection(db *sql.DB) *projection.Projection {
	o := w.options()
	return projection.New(db, w.subject.Dialect, "projectiontest", 1, &o)
}

// free takes the projection from its owner, as if it had not been heard of for long. The
// table may not exist yet.
func (w *world) free() {
	_, _ = w.db.ExecContext(w.t.Context(), "UPDATE "+cmp.Or(w.subject.Options.Table, "ropewalk_projections")+" SET owner = ''")
}
