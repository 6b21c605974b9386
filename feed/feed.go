// Package feed brings every change of a store to its listeners: in order for each
// aggregate, without gaps and without duplicates, from the beginning or from any
// later position.
//
//	f := feed.Open(store, nil)
//	for change, err := range f.Follow(ctx, position) { … }
//
// The order across aggregates is the order of the feed. It is the order of the
// commits only where the backend writes a log ([head.Log]), as SQLite does. With
// other backends a listener may see an invoice before its order.
//
// A backend with a log needs nothing else: the log is the feed. With other
// backends a [Relay] must run somewhere. It finds out which aggregates have
// advanced, from the backend's own source of hints ([head.Source]) or by looking
// at all heads, and appends their advances to a chain of the store's own, the
// feed. Positions are therefore assigned after the commits, so that none can
// become visible late. Any number of relays may run; one works, and the others
// stand by.
//
// [Feed.Subscription] keeps the position of a named consumer in the store.
package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync/atomic"
	"time"

	"ropewalk"
	"ropewalk/head"
)

// The errors of this package, besides the errors of package ropewalk.
var (
	// ErrNoFeed means that the store has no feed yet: no relay has ever run, or the
	// feed was dropped.
	ErrNoFeed = errors.New("the store has no feed: run a relay")
	// ErrOtherHistory means that a position is not of this feed: it is of a dropped
	// feed, of another store, or of a history that a restored backup does not have.
	ErrOtherHistory = errors.New("the position is of another history")
	// ErrFeedReplaced means that the feed was dropped or replaced while it was in use.
	ErrFeedReplaced = errors.New("the feed was replaced")
)

// Change is a committed changeset, or the erasure of an aggregate.
type Change struct {
	// Changeset is the committed changeset. For an erasure only its reference is
	// set, to the aggregate's last version.
	ropewalk.Changeset
	// Position is the place after the change.
	Position Position
	// Erased means that the history of the aggregate was erased. It can also stand
	// in for a changeset that was erased before it could be delivered.
	Erased bool
	// Fence is the number of the owner of the subscription that delivers the change,
	// which grows with each new owner; 0 outside of subscriptions. A target can
	// refuse a number lower than one that it has seen.
	Fence uint64
}

// Options are the settings of a [Feed]. Zero values stand for the defaults.
type Options struct {
	// Logger receives unexpected events, and never content. By default nothing is
	// logged.
	Logger *slog.Logger
	// Poll is the shortest pause between two looks at a feed that another process
	// may extend; 250 milliseconds by default. While nothing happens, pauses grow up
	// to eight times that. A log reports news at once and is not polled.
	Poll time.Duration
	// Only selects the aggregates whose changes [Feed.After] and [Feed.Follow] yield:
	// the changesets of other aggregates are not read. Nil selects all aggregates.
	// Relays and subscriptions do not use it.
	Only func(aggregateID string) bool
	// ReadAhead is the largest number of reads under way; 64 by default. One read
	// is of one advance, or of up to 64 changesets of an advance.
	ReadAhead int
}

// Feed is the feed of one store. It is safe for concurrent use, and needs no
// closing.
type Feed struct {
	store   *ropewalk.Store
	heads   head.Store
	log     head.Log // nil if the feed is a chain
	options Options
	packed  atomic.Bool // the store writes packed chains, or a packed chain was read
}

// windowBytes bounds what each of the reads of long advances holds ahead.
const windowBytes = 4 << 20

// Open returns the feed of a store. It does no I/O. Nil options stand for the
// defaults.
func Open(store *ropewalk.Store, options *Options) *Feed {
	f := &Feed{heads: store.HeadStore(), options: options.withDefaults()}
	f.log, _ = head.As[head.Log](f.heads)
	own := store.Options()
	f.packed.Store(own.Packed)
	own.Compress, own.Packed = true, false // the feed's own chains are of format 1
	own.WindowBytes = min(own.WindowBytes, windowBytes)
	f.store = ropewalk.New(store.Changesets(), f.heads, &own)
	return f
}

func (o *Options) withDefaults() Options {
	out := *cmp.Or(o, &Options{})
	out.Logger = cmp.Or(out.Logger, slog.New(slog.DiscardHandler))
	out.Poll = cmp.Or(max(out.Poll, 0), 250*time.Millisecond)
	out.ReadAhead = cmp.Or(max(out.ReadAhead, 0), 64)
	return out
}

// After yields the changes after a position that the feed has now, in the order
// of the feed. Each change of an aggregate comes after the earlier changes of
// that aggregate.
//
// The error matches [ErrOtherHistory] if the feed does not have the position,
// [ErrNoFeed] if there is no feed, or is the error of reading a changeset, such
// as a [*ropewalk.CorruptError]. At most one error ends the sequence.
func (f *Feed) After(ctx context.Context, position Position) iter.Seq2[Change, error] {
	return f.changes(ctx, position, false)
}

// Follow is [Feed.After] that goes on: it waits for new changes until the context
// ends, or an error ends it. If there is no feed yet, it waits for the feed.
func (f *Feed) Follow(ctx context.Context, position Position) iter.Seq2[Change, error] {
	return f.changes(ctx, position, true)
}

func (f *Feed) changes(ctx context.Context, position Position, follow bool) iter.Seq2[Change, error] {
	var want wanted
	if only := f.options.Only; only != nil {
		want = func(a head.Advance) bool { return only(a.AggregateID) }
	}
	return func(yield func(Change, error) bool) {
		for d, err := range f.deliveries(ctx, position, follow, want) {
			if err != nil {
				yield(Change{}, err)
				return
			}
			if d.kind == changed && !yield(d.Change, nil) {
				return
			}
		}
	}
}

// End returns the position after the newest change. Changes after it are new. If
// nothing was ever fed, End returns a position before the first change.
func (f *Feed) End(ctx context.Context) (Position, error) {
	j, err := f.journal(ctx)
	if err != nil {
		return Position{}, err
	}
	return j.end(ctx)
}

// otherHistory returns the error of a position that the feed does not have.
func otherHistory(position, end Position) error {
	return fmt.Errorf("%w: %s, and the feed ends at %s", ErrOtherHistory, position, end)
}
