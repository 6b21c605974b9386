// Package projection keeps read models in SQL databases: tables that are made from
// the changes of a store, for queries that the store itself cannot answer.
//
//	orders := projection.New(db, projection.PostgreSQL, "open-orders", 1, nil)
//	err := orders.Run(ctx, feed.Open(store, nil), projection.Handle(orderType, event, erased))
//
// The position of a projection in the feed is kept in the same database, in the
// table ropewalk_projections. A handler gets the transaction in which the position
// moves. Both are committed, or neither is. So each change has its effect exactly
// once, no matter what fails and how often a process is killed, as long as the
// effect is in that transaction.
//
// Any number of processes may run a projection: one owns it, and the others stand by.
// The first statement of each transaction moves the position from where the owner
// knows it to be. It locks the row until the transaction ends, and finds no row if
// another process has become the owner. So a handler is never called by two
// processes for one change at a time, and a process that was replaced commits
// nothing.
//
// A change of the handler or of the tables needs a new version of the projection.
// [Projection.Rebuild] makes it beside the live version, and then switches over in one
// transaction. The code of one version never continues the tables of another.
package projection

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"ropewalk/feed"
)

// Handler handles one change in a transaction. It returns nil if the change is
// handled. It must use tx alone for its effects, must return every error of tx,
// and must neither commit nor roll back. With MySQL it must not change the schema,
// which commits. It must return soon after its context has ended.
//
// A change is handed over again if its transaction was rolled back. So a handler
// must not remember changes outside of the transaction.
//
// [feed.Change.Fence] is the number of the owner of the projection.
type Handler func(ctx context.Context, tx *sql.Tx, change feed.Change) error

// Options are the settings of a [Projection]. Zero values stand for the defaults. All
// processes that run a projection must use the same options.
type Options struct {
	// Table is the name of the table of the checkpoints, ropewalk_projections by
	// default, perhaps with a schema before it: letters, digits and underscores. If it
	// is missing, it is created: see [Projection.Schema].
	Table string

	// Prefix selects the aggregates whose IDs begin with it; all by default. The
	// changesets of other aggregates are not read.
	Prefix string
	// Types, if not empty, selects the changesets with an event of one of these types,
	// as [feed.SubscriptionOptions.Types] does. Erasures are selected regardless.
	Types []string

	// Batch is the largest number of changes in a transaction; 100 by default. A
	// transaction has the changes that have come while the last one was committed.
	Batch int
	// Retries is how often a change is handed over again after an error before the
	// projection stops; 5 by default, without limit if it is [feed.Forever]. Deadlocks and
	// lost connections are among these errors. Before the first retry, the
	// changes of a batch are handed over again one by one.
	Retries int
	// RetryPause is the longest pause between two retries; 5 seconds by default, and at
	// most a third of Standby. The first pause is a tenth of a second.
	RetryPause time.Duration

	// Standby is how long a process that finds an owner waits for news of it before it
	// claims the projection; 15 seconds by default. It is measured by the process's own
	// clock. An owner without changes writes the row every third part of it. A
	// statement outside of a batch is given up after a third part of it. The database
	// and the feed may fail for as long as Standby before the projection stops.
	Standby time.Duration
	// Logger receives unexpected events, and never content. By default nothing is
	// logged.
	Logger *slog.Logger
}

// firstRetry is the pause before the first retry.
const firstRetry = 100 * time.Millisecond

func (o *Options) withDefaults() Options {
	out := *cmp.Or(o, &Options{})
	out.Table = cmp.Or(out.Table, "ropewalk_projections")
	out.Batch = cmp.Or(max(out.Batch, 0), 100)
	out.Retries = cmp.Or(out.Retries, 5)
	out.Standby = cmp.Or(max(out.Standby, 0), 15*time.Second)
	out.RetryPause = min(cmp.Or(max(out.RetryPause, 0), 5*time.Second), out.Standby/beats)
	out.Logger = cmp.Or(out.Logger, slog.New(slog.DiscardHandler))
	return out
}

// Projection is one version of a read model. It is safe for concurrent use, and needs
// no closing.
type Projection struct {
	db      *sql.DB
	table   table
	name    string
	version int
	options Options
}

// New returns a version of a projection whose read model is in a database. It does no
// I/O. The name has 1 to 64 letters, digits, or characters of -_.@~, and the
// version is at least 1. The errors of arguments that cannot be used are the errors
// of the methods. Nil options stand for the defaults.
func New(db *sql.DB, dialect Dialect, name string, version int, options *Options) *Projection {
	o := options.withDefaults()
	return &Projection{db, table{dialect, o.Table}, name, version, o}
}

// String returns the name and the version, such as open-orders@2.
func (p *Projection) String() string { return fmt.Sprintf("%s@%d", p.name, p.version) }

// Schema returns the statement that creates the table of the checkpoints unless it
// exists, for programs that may not create tables at run time.
func (p *Projection) Schema() string { return p.table.create() }

// Run hands each change to the handler, from the position in the database on. A new
// projection begins at the beginning of the feed, and is live at once.
//
// Any number of processes may run a projection: one owns it, and the others stand by.
// If the owner is not heard of for [Options.Standby], another process takes over. The
// earlier owner can commit nothing afterwards, and its Run returns an error that
// matches [ErrReplaced].
//
// When the context ends, the transaction under way is rolled back. Then Run gives up
// the ownership, so that another process takes over at once. If this succeeds, Run
// returns nil.
//
// Its other errors end Run in the same way:
//   - [ErrOtherVersion]: the live version is another one;
//   - [*HandlerError]: a change was not handled;
//   - [ErrTransactionEnded]: the handler has ended the transaction;
//   - [feed.ErrOtherHistory]: the feed does not have the position. Position and read
//     model stay as they are. Rebuild the projection as another version;
//   - an error of the database or of the feed that went on for as long as Standby, or
//     for good, such as a [*ropewalk.CorruptError].
func (p *Projection) Run(ctx context.Context, f *feed.Feed, handler Handler) error {
	return p.run(ctx, f, handler, &goal{})
}

// Once is [Projection.Run] that ends when the handler has handled everything that the
// feed had when Once was called, and perhaps some of what came meanwhile. It is for
// tests, and for programs that run on a schedule.
func (p *Projection) Once(ctx context.Context, f *feed.Feed, handler Handler) error {
	return p.run(ctx, f, handler, &goal{caughtUp: func(context.Context, *run) (bool, error) { return true, nil }})
}

// The limits of names.
var (
	validName  = regexp.MustCompile(`^[0-9A-Za-z._@~-]{1,64}$`)
	validTable = regexp.MustCompile(`^[A-Za-z_][0-9A-Za-z_]*(\.[A-Za-z_][0-9A-Za-z_]*)?$`)
)

// check returns the error of arguments that cannot be used.
func (p *Projection) check() error {
	switch {
	case !validName.MatchString(p.name):
		return fmt.Errorf("%.100q is not the name of a projection: it must have 1 to 64 letters, digits, or characters of -_.@~", p.name)
	case p.version < 1:
		return fmt.Errorf("projection %q: version %d is not at least 1", p.name, p.version)
	case !validTable.MatchString(p.options.Table):
		return fmt.Errorf("projection %q: %.100q is not the name of a table", p.name, p.options.Table)
	case p.table.dialect.String() == "":
		return fmt.Errorf("projection %q: %d is not a dialect", p.name, int(p.table.dialect))
	}
	return nil
}
