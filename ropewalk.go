// Package ropewalk keeps the history of event-sourced aggregates in object
// storage, as a linked list: a chain of immutable changesets, each pointing at
// its parent, and one small head record for each aggregate, replaced only by
// compare-and-swap, that points at the newest. There is no server: the bucket
// is the database.
//
// A [Store] stands on two seams, a [changeset.Store] for the objects and a
// [head.Store] for the heads; the packages below ropewalk/backends implement
// them. A [Chain] is the handle on one aggregate:
//
//	store := ropewalk.New(db, db, nil)
//	order := store.Chain("order-4711")
//	h, err := order.Create(ctx, changeset.Draft{Content: created})
//	h, err = order.Append(ctx, h, changeset.Draft{Content: shipped})
//	r, err := order.Reader(ctx)
//	for c, err := range r.All(ctx) { … }
//
// An append is two dependent round trips: put the objects, swap the head. It
// is committed by the swap, from the very head it was built on, or never. Its
// outcome is one of three, and never a guess: committed; refused for good,
// with a [*ConflictError]; or, where no answer could be had in time, an
// [*UncertainError], of which [Chain.Settle] finds out what became.
// [Chain.Update] is the loop of read, decide and append that most programs want.
//
// A [Reader] is pinned at one head and walks back from it, many reads at once.
// All that is read is checked: the content against its hash, every link, and
// the digests that chain the whole history. What does not match is a
// [*CorruptError] that names the object; never a gap, never a short history.
//
// The idea is Yves Reynhout's: "Your EventStream is a linked list" (2011), and
// its two follow-ups for AWS and Azure (2012).
package ropewalk

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
)

// Store is the entry to all chains of a storage. It is safe for concurrent
// use, holds nothing but what [New] was given, and needs no closing.
type Store struct {
	changesets changeset.Store
	heads      head.Store
	combined   head.Combined // nil where put and swap are two steps
	options    Options
}

// New returns a store over the two seams, which may be the same backend or two
// different ones. It does no I/O. Nil options stand for the defaults. A
// [head.Combined] keeps its one step also where a [changeset.Decorator], such
// as a cache, stands before the changesets that it holds.
func New(changesets changeset.Store, heads head.Store, options *Options) *Store {
	s := &Store{changesets: changesets, heads: heads, options: options.withDefaults()}
	if c, ok := heads.(head.Combined); ok && holds(c, changesets) {
		s.combined = c
	}
	return s
}

// holds sees through decorators, which keep nothing that a commit would have to go through.
func holds(c head.Combined, changesets changeset.Store) bool {
	if c.Holds(changesets) {
		return true
	}
	decorator, ok := changesets.(changeset.Decorator)
	return ok && holds(c, decorator.Unwrap())
}

// Changesets returns the storage of objects that the store stands on, for what
// is kept beside the chains, under reserved aggregate IDs.
func (s *Store) Changesets() changeset.Store { return s.changesets }

// Chain returns the handle on one aggregate's chain, which need not exist. It
// does no I/O; an invalid aggregate ID is the error of the handle's methods.
func (s *Store) Chain(aggregateID string) *Chain { return &Chain{s, aggregateID} }

// Heads yields the head of every chain, erased ones included, each once, in
// the order of the storage; behind the aggregate ID cursor where that is not
// empty. At most one error ends it.
func (s *Store) Heads(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
	return s.heads.List(ctx, cursor)
}

// Options are the settings of a [Store]. Zero values stand for the defaults.
type Options struct {
	// Logger receives what a maintainer wants to know when things go wrong,
	// never content. By default nothing is logged.
	Logger *slog.Logger
	// MaxContentSize is the largest content of one changeset in bytes, to append
	// and to read; 64 MiB by default.
	MaxContentSize int64
	// WindowCount is how many changesets a read may fetch ahead, in parallel. By
	// default that adapts, between 64 and 1,024: to the latency of the storage,
	// so that the loop which consumes them need not wait, and to the size of the
	// contents, so that they take half of WindowBytes.
	WindowCount int
	// WindowBytes is how many bytes of content a read may hold ahead of the
	// loop that consumes it, 64 MiB by default. One larger changeset still passes.
	WindowBytes int64
	// SettleTimeout is how long an append waits for the answer to its swap,
	// including retries of a swap that was refused for now. It is also how long
	// the append then goes on to learn the outcome of a swap whose answer was
	// lost, even if its context has ended. [Chain.Settle] takes as long at most.
	// 10 seconds by default; a program whose callers wait for less sets less.
	SettleTimeout time.Duration
	// Compress lets appends store contents compressed by zstd where that makes
	// them smaller; off by default. Every reader of this version reads both, but
	// has to ask for the content: a reader's changesets hold what is stored, and
	// [Store.Decode] gives what was appended. Other tools that read the bucket
	// then find zstd frames.
	Compress bool
}

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	if out.MaxContentSize <= 0 {
		out.MaxContentSize = 64 << 20
	}
	out.WindowCount = max(out.WindowCount, 0)
	if out.WindowBytes <= 0 {
		out.WindowBytes = 64 << 20
	}
	if out.SettleTimeout <= 0 {
		out.SettleTimeout = 10 * time.Second
	}
	return out
}
