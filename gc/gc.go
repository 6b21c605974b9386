// Package gc deletes objects that no chain can reach any longer: the
// objects of appends that lost a race or were abandoned ([Collector.Collect]),
// and everything stored of an aggregate ([Collector.Erase]). It also moves the tips of
// heads into objects ([Collector.Flush]).
//
// An object enters its chain by the swap from the head's revision that it was
// built on, or never. A pack has the revision of the head that it was put for; the
// changesets in it may have lower ones. So an object that the chain of some head does
// not reach, and that was built on a revision below that head's, is lost for good: no
// swap can bring it in, by any writer, however late. Anyone may delete it at any time;
// its key is never used again, so that a delete which arrives twice or late does no
// harm either.
//
//	collector := gc.New(db, db, &gc.Options{Delete: true})
//	for report, err := range collector.CollectAll(ctx, "") { … }
//
// An object that was built on the head's present revision is pending: its swap
// may still come. It is shut out first, by a fence: the head is swapped to
// itself with the next revision. A writer that still lives then rebuilds its
// append.
//
// No clock decides which objects are lost. [Options.Grace] is a courtesy to
// people who look into races, and a net under restored heads; so is the hour
// after which an object ahead of its head is taken for a sign of one. Both
// compare the storage's clock, at the put, with the local one: they are off by
// as much as these two differ, and the guarantee is not.
//
// # What it costs
//
// An aggregate without orphans costs a request for its head and the pages of
// one listing. An object that ends at or below the newest object of the chain, and
// whose versions no other object has, is never asked about: that is the chain's own,
// or else the chain is broken there and nothing may be deleted. Each orphan costs a
// metadata request, an orphan that is a pack of several changesets is read as well, and each of the chain's own objects that it overlaps one or two
// more, to locate it. Memory is bounded by the orphans and what they overlap, not by
// the length of the chain.
package gc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/reserved"
)

const (
	// defaultGrace is the default of [Options.Grace].
	defaultGrace = 7 * 24 * time.Hour
	// aheadTolerance is how long an object may be ahead of its head: an append that
	// was prepared after one whose swap is under way.
	aheadTolerance = time.Hour
)

// Changesets is a store of changesets that can list and delete them.
type Changesets interface {
	changeset.Store
	changeset.Lister
	changeset.Deleter
}

// Options are the settings of a [Collector]. Zero values stand for the defaults.
type Options struct {
	// Observer sees the collection of each aggregate begin and end, and how many orphans
	// it has found. By default nothing does.
	Observer ropewalk.Observer
	// Grace is how long an object is kept after it was put, orphan or not; 7
	// days by default. A negative value means no grace. The objects of an
	// erased aggregate have no grace.
	Grace time.Duration
	// Delete lets [Collector.Collect] and [Collector.CollectAll] fence heads
	// and delete orphans. Without it they change nothing, and report what they
	// would delete.
	Delete bool
	// Void lets [Collector.Erase], and Collect with Delete, fence an aggregate that has
	// objects and no head, by a void head ([head.Void]), and delete the objects of its
	// first appends. Set it for erasures only if the store packs, for programs of format 1
	// cannot read void heads; for collections, also only if no head was lost. A chain
	// with one append whose head was lost looks the same.
	Void bool
	// Parts lets Collect delete orphans that are parts of commits of several aggregates,
	// although it was not met that all of their parts are orphans. Set it only if no
	// commit is torn, as inspect.Commits proves.
	Parts bool
	// Compress lets [Collector.Flush] compress objects by zstd if that makes them
	// smaller.
	Compress bool
	// Parallel is the largest number of requests under way, listings aside, and
	// of aggregates that are looked at at once; 16 by default.
	Parallel int
	// Logger receives what a maintainer wants to know: fences, deletions, what
	// was left alone. By default nothing is logged.
	Logger *slog.Logger
	// Progress, if not nil, is called with the number of objects that were
	// looked at since the last call, one call at a time. It must not call the
	// collector.
	Progress func(objects int64)
}

// Collector deletes what no chain can reach. It is safe for concurrent use,
// next to readers, writers and other collectors, in any number of processes,
// and needs no closing. The limits of its options hold for all its methods
// together.
type Collector struct {
	changesets Changesets
	heads      head.Store
	options    Options
	requests   *semaphore.Weighted
	reporting  sync.Mutex // one call of Progress at a time
	// rule says what becomes of an object that the chain of a head does not
	// reach; only tests replace it, to see that it is needed.
	rule func(afterRevision, revision uint64) fate
}

func (o *Options) withDefaults() Options {
	out := *cmp.Or(o, &Options{})
	out.Grace = cmp.Or(out.Grace, defaultGrace)
	out.Parallel = cmp.Or(max(out.Parallel, 0), 16)
	out.Logger = cmp.Or(out.Logger, slog.New(slog.DiscardHandler))
	return out
}

// New returns a collector over the two interfaces. It does no I/O. Nil options
// stand for the defaults.
func New(changesets Changesets, heads head.Store, options *Options) *Collector {
	c := &Collector{changesets: changesets, heads: heads, options: options.withDefaults(), rule: fateOf}
	c.requests = semaphore.NewWeighted(int64(c.options.Parallel))
	return c
}

// Collect deletes the orphans of one aggregate, or reports which it would
// ([Options.Delete]), and what remains of an erased one and of its snapshots.
// An aggregate without a head is left alone, unless [Options.Void] is set: its objects
// may still become a chain. Below a void head they no longer can. The report counts what was done up to an error as well.
//
// An orphan that is a part of a commit of several aggregates is kept, because the chain of
// another aggregate may have the commit, if the head of this one was restored. While such an
// orphan is pending, the head is not fenced. [Collector.CollectAll] deletes it if it meets
// an orphan of the commit in each of its aggregates, and so does Collect with [Options.Parts].
//
// An error that matches ropewalk.ErrHeadLost means that the head was rolled
// back or is gone: nothing of the aggregate was deleted. One that matches
// [changeset.ErrNotFound] means that there is neither head nor object, one
// that matches [changeset.ErrInvalidAggregateID] that the ID cannot be used or
// is reserved; [changeset.ErrUnsupportedFormat] and [changeset.CorruptError]
// concern the head. Any other error is the storage's or the context's.
// Repeating is safe after any error.
func (c *Collector) Collect(ctx context.Context, aggregateID string) (Report, error) {
	if err := checkID(ctx, aggregateID); err != nil {
		return Report{AggregateID: aggregateID}, err
	}
	f, err := c.collect(ctx, aggregateID, nil)
	return f.Report, err
}

// collect is Collect, given the commits of several aggregates that no chain has.
func (c *Collector) collect(ctx context.Context, aggregateID string, refused map[changeset.ID]bool) (f found, err error) {
	ctx, end := ropewalk.Options{Observer: c.options.Observer}.Start(ctx, ropewalk.Operation{Name: ropewalk.OperationCollect, AggregateID: aggregateID})
	defer func() { end(ropewalk.Result{Count: int(f.Lost.Objects), Err: err}) }()
	a := c.newCollection(aggregateID)
	a.refused = refused
	err = a.run(ctx)
	a.tally()
	if err != nil {
		err = fmt.Errorf("collect %q: %w", aggregateID, err)
	}
	return found{a.report, a.partsKept()}, err
}

func checkID(ctx context.Context, aggregateID string) error {
	if err := changeset.ValidateAggregateID(aggregateID); err != nil {
		return err
	}
	return reserved.Check(ctx, aggregateID)
}

// load returns the head as it is. One that only newer versions may replace
// is an error: they may know of reasons to keep what this one would delete.
func (c *Collector) load(ctx context.Context, aggregateID string) (head.Head, error) {
	h, err := request(ctx, c, func() (head.Head, error) { return c.heads.Load(ctx, aggregateID) })
	if err != nil {
		return head.Head{}, fmt.Errorf("load head: %w", err)
	}
	if err := h.CheckWritable(); err != nil {
		return head.Head{}, fmt.Errorf("head: %w", err)
	}
	return h, nil
}

// request sends one request when its turn has come.
func request[T any](ctx context.Context, c *Collector, send func() (T, error)) (T, error) {
	if err := c.requests.Acquire(ctx, 1); err != nil {
		var none T
		return none, err
	}
	defer c.requests.Release(1)
	return send()
}

// stat returns the header of a changeset, having seen that the object is its own.
func (c *Collector) stat(ctx context.Context, ref changeset.Ref) (changeset.Header, error) {
	info, err := request(ctx, c, func() (changeset.Info, error) { return c.changesets.Stat(ctx, ref) })
	if err == nil && info.Ref != ref {
		err = &changeset.CorruptError{Ref: ref, Reason: "the object belongs to " + info.Ref.String()}
	}
	return info.Header, err
}

// damaged reports whether an error concerns the object itself, not the storage
// or the context.
func damaged(err error) bool {
	_, corrupt := errors.AsType[*changeset.CorruptError](err)
	return corrupt || errors.Is(err, changeset.ErrUnsupportedFormat)
}

func (c *Collector) progressed(objects int64) {
	if c.options.Progress != nil {
		c.reporting.Lock()
		defer c.reporting.Unlock()
		c.options.Progress(objects)
	}
}
