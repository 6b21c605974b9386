// Package ropewalk keeps the history of event-sourced aggregates in object
// storage, as a linked list: a chain of immutable changesets, each pointing at
// its parent, and one small head record for each aggregate, replaced only by
// compare-and-swap, that points at the newest. There is no server: the bucket
// is the database.
//
// An application imports this package and one backend, a package below
// ropewalk/backends. A [Store] stands on two interfaces that the backends
// implement, a [changeset.Store] for the objects and a [head.Store] for the
// heads. A [Chain] is the handle on one aggregate:
//
//	store := ropewalk.New(db, db, nil)
//	order := store.Chain("order-4711")
//	h, err := order.Create(ctx, ropewalk.Draft{Content: created})
//	h, err = order.Append(ctx, h, ropewalk.Draft{Content: shipped})
//	r, err := order.Reader(ctx)
//	for c, err := range r.All(ctx) { … }
//
// An append is two dependent round trips: put the objects, swap the head. It is
// committed by the swap, from the very head that it was built on, or never. It
// has one of three outcomes, and the outcome is never a guess: committed; refused
// for good, a [*ConflictError]; or, if no answer came in time, unknown, an
// [*UncertainError]. [Chain.Settle] finds out an unknown outcome.
// [Chain.Update] is the loop of read, decide and append that most programs want.
//
// A [Reader] is pinned at one head and walks back from it, with many reads at
// once. It checks everything that it reads: each content against its hash, every
// link, and the digests that chain the whole history. A mismatch is a
// [*CorruptError] that names the object; never a gap, never a short history.
//
// The idea is Yves Reynhout's: "Your EventStream is a linked list" (2011), and
// its two follow-ups for AWS and Azure (2012).
package ropewalk

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/reserved"
)

// Store is the entry to all chains of a storage. It is safe for concurrent
// use, holds nothing except the arguments of [New], and needs no closing.
type Store struct {
	changesets changeset.Store
	heads      head.Store
	combined   head.Combined // nil where put and swap are two steps
	layout     link.Layout
	options    Options
}

// New returns a store over the two interfaces, which may be one backend or two.
// It does no I/O. Nil options stand for the defaults. A backend that puts and
// swaps in one step ([head.Combined]) still does if decorators, such as a cache,
// stand in front of it.
func New(changesets changeset.Store, heads head.Store, options *Options) *Store {
	s := &Store{changesets: changesets, heads: heads, options: options.withDefaults()}
	if c, ok := head.As[head.Combined](heads); ok && holds(c, changesets) {
		s.combined = c
	}
	s.layout = s.layoutOf(heads)
	return s
}

// layoutOf returns how appends are stored.
func (s *Store) layoutOf(heads head.Store) link.Layout {
	l := link.Layout{Packed: s.options.Packed, Tip: s.options.TipSize, Compress: s.options.Compress}
	if tipper, ok := head.As[head.Tipper](heads); ok && l.Tip == 0 {
		l.Tip = tipper.TipSize()
	}
	if s.combined != nil {
		l.Tip = 0
	}
	return l
}

// holds looks through decorators: a commit need not go through them.
func holds(c head.Combined, changesets changeset.Store) bool {
	if c.Holds(changesets) {
		return true
	}
	decorator, ok := changesets.(changeset.Decorator)
	return ok && holds(c, decorator.Unwrap())
}

// Changesets returns the changeset store that the store stands on, for objects
// that are kept beside the chains, under reserved aggregate IDs.
func (s *Store) Changesets() changeset.Store { return s.changesets }

// HeadStore returns the head store that the store stands on, for packages that
// are built on this one, such as package feed.
func (s *Store) HeadStore() head.Store { return s.heads }

// Options returns the settings of the store, with the defaults filled in.
func (s *Store) Options() Options { return s.options }

// Chain returns the handle on one aggregate's chain, which need not exist. It
// does no I/O; an invalid aggregate ID is the error of the handle's methods.
func (s *Store) Chain(aggregateID string) *Chain { return &Chain{s, aggregateID} }

// Heads yields the head of every chain, including erased chains, each once, in
// the order of the storage. Void heads have no chain, and are left out. If after is not
// empty, it begins after that aggregate ID. It ends with at most one error. The library's
// own chains, such as feeds, are left out; they are among the heads of [Store.HeadStore].
func (s *Store) Heads(ctx context.Context, after string) iter.Seq2[head.Head, error] {
	return func(yield func(head.Head, error) bool) {
		for h, err := range s.heads.List(ctx, after) {
			if skip := err == nil && (reserved.Is(h.AggregateID) || !h.Exists()); !skip && !yield(h, err) {
				return
			}
		}
	}
}

// Options are the settings of a [Store]. Zero values stand for the defaults.
type Options struct {
	// Logger receives unexpected events, such as an unknown outcome, and never
	// content. By default nothing is logged.
	Logger *slog.Logger
	// Observer sees operations as they begin and end, for traces and metrics. By default
	// nothing does, and that costs nothing.
	Observer Observer
	// MaxContentSize is the largest content of one changeset in bytes, to append
	// and to read, before compression; 64 MiB by default.
	MaxContentSize int64
	// WindowCount is how many changesets a read may fetch ahead, in parallel. By
	// default it adapts, between 64 and 1,024: to the latency of the storage, so
	// that the loop that consumes them need not wait, and to the size of the
	// contents, so that they take half of WindowBytes.
	WindowCount int
	// WindowBytes is how many bytes a read may hold ahead of the loop that
	// consumes it, as they are stored; 64 MiB by default. A single larger
	// changeset still passes. Content is decompressed when the loop comes to it.
	WindowBytes int64
	// SettleTimeout is how long an append waits for the answer to its swap,
	// including retries of a swap that was refused for now. It is also how long
	// the append then goes on to find out the outcome of a swap whose answer was
	// lost, even if its context has ended. [Chain.Settle] takes at most as long.
	// The default is 10 seconds; a program whose callers wait for less sets less.
	SettleTimeout time.Duration
	// Compress lets appends store content compressed by zstd if that makes it
	// smaller; off by default. Readers always get the content that was appended,
	// whether Compress is set or not. Other tools that read the bucket then find
	// zstd frames.
	Compress bool
	// Packed makes appends to new chains, and to chains of format 1, begin packed chains:
	// the newest changesets are in the head, and older ones share objects, so that an
	// append is usually one request. Off by default. A chain that is packed stays packed,
	// also by writers without the option. Packed also lets [Chain.Settle] write void heads.
	// Programs of versions that do not know packed chains refuse both. See "Packed chains"
	// in DESIGN.md, also for what it means for backups.
	Packed bool
	// TipSize is how many bytes of changesets the head of a packed chain may hold. By
	// default it is what suits the backend: 3 KiB on DynamoDB, 64 KiB where heads are
	// objects. A negative TipSize means no tip. It is at most [head.MaxTip]. A backend that
	// puts and swaps in one step never has a tip.
	TipSize int
}

func (o *Options) withDefaults() Options {
	out := *cmp.Or(o, &Options{})
	out.Logger = cmp.Or(out.Logger, slog.New(slog.DiscardHandler))
	out.MaxContentSize = cmp.Or(max(out.MaxContentSize, 0), 64<<20)
	out.WindowCount = max(out.WindowCount, 0)
	out.WindowBytes = cmp.Or(max(out.WindowBytes, 0), 64<<20)
	out.TipSize = min(out.TipSize, head.MaxTip)
	out.SettleTimeout = cmp.Or(max(out.SettleTimeout, 0), 10*time.Second)
	return out
}
