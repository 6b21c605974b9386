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
	"fmt"
	"iter"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/walk"
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

// Options returns the settings of the store, with the defaults filled in.
func (s *Store) Options() Options { return s.options }

// Chain returns the handle on one aggregate's chain, which need not exist. It
// does no I/O; an invalid aggregate ID is the error of the handle's methods.
func (s *Store) Chain(aggregateID string) *Chain { return &Chain{s, aggregateID} }

// Heads yields the head of every chain, erased ones included, each once, in
// the order of the storage; behind the aggregate ID cursor where that is not
// empty. At most one error ends it.
func (s *Store) Heads(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
	return s.heads.List(ctx, cursor)
}

// Chain is the handle on one aggregate. It is safe for concurrent use, and
// cheap: make one whenever it is needed.
type Chain struct {
	store *Store
	id    string
}

// AggregateID returns the ID of the aggregate.
func (c *Chain) AggregateID() string { return c.id }

// Head returns the chain's head as it is now, with one request. Its error
// matches [ErrNotFound] if there is no chain, and [ErrErased], next to the
// tombstone, if there is none any more.
func (c *Chain) Head(ctx context.Context) (head.Head, error) {
	h, err := c.load(ctx)
	if err == nil && !h.Exists() {
		err = fmt.Errorf("chain %q: %w", c.id, ErrNotFound)
	}
	return h, err
}

// load returns the head as it is, the zero Head where there is none.
func (c *Chain) load(ctx context.Context) (head.Head, error) {
	if err := changeset.ValidateAggregateID(c.id); err != nil {
		return head.Head{}, err
	}
	return c.loaded(c.store.heads.Load(ctx, c.id))
}

// loaded returns what the storage has answered for the head.
func (c *Chain) loaded(h head.Head, err error) (head.Head, error) {
	if err != nil {
		return head.Head{}, fmt.Errorf("load head of %q: %w", c.id, err)
	}
	if h.State == head.Erased {
		return h, fmt.Errorf("chain %q: %w", c.id, ErrErased)
	}
	return h, nil
}

// HeadAt returns the head as it was when version was the newest, for
// [Chain.ReaderAt]. It costs a request for the head, one for the changeset,
// and a few for the way there. Its error matches [ErrNotFound] where the chain
// has no such version yet.
func (c *Chain) HeadAt(ctx context.Context, version uint64) (head.Head, error) {
	h, err := c.Head(ctx)
	if err != nil || h.Version == version {
		return h, err
	}
	id, err := c.find(ctx, h, version)
	if err != nil {
		return head.Head{}, err
	}
	return c.headOf(ctx, changeset.Ref{AggregateID: c.id, Version: version, ID: id})
}

// HeadOf rebuilds the head that a reference names, such as one that came back
// in an HTTP If-Match ([head.ParseETag]). Its error matches [ErrNotFound]
// where the chain does not have that changeset. Where it has gone on since, an
// append after the result is refused with a [*ConflictError].
func (c *Chain) HeadOf(ctx context.Context, ref changeset.Ref) (head.Head, error) {
	h, err := c.Head(ctx)
	if err != nil || h.Ref == ref {
		return h, err
	}
	if ref.AggregateID != c.id {
		return head.Head{}, fmt.Errorf("%s is not in chain %q: %w", ref, c.id, ErrNotFound)
	}
	id, err := c.find(ctx, h, ref.Version)
	if err != nil {
		return head.Head{}, err
	}
	if id != ref.ID {
		return head.Head{}, fmt.Errorf("%s is not in the chain, which has %s there: %w", ref, id, ErrNotFound)
	}
	return c.headOf(ctx, ref)
}

func (c *Chain) headOf(ctx context.Context, ref changeset.Ref) (head.Head, error) {
	header, err := c.stat(ctx, ref)
	if err != nil {
		return head.Head{}, err
	}
	return head.Of(header), nil
}

// find returns the ID that a version has in the chain of h: straight from the
// ancestor index, or through the indexes of the nearest changesets above.
func (c *Chain) find(ctx context.Context, h head.Head, version uint64) (changeset.ID, error) {
	index := h.Ancestors
	for {
		at, id, ok := index.Nearest(version)
		if !ok {
			return changeset.ID{}, fmt.Errorf("version %d of %q, which is at %d: %w", version, c.id, h.Version, ErrNotFound)
		}
		if at == version {
			return id, nil
		}
		header, err := c.stat(ctx, changeset.Ref{AggregateID: c.id, Version: at, ID: id})
		if err != nil {
			return changeset.ID{}, err
		}
		index = header.Ancestors
	}
}

// has reports whether the chain of h has the changeset.
func (c *Chain) has(ctx context.Context, h head.Head, ref changeset.Ref) (bool, error) {
	if !h.Exists() || h.Version < ref.Version {
		return false, nil
	}
	id, err := c.find(ctx, h, ref.Version)
	return id == ref.ID, err
}

// headWith returns the head that the append of a changeset in h's chain has made.
func (c *Chain) headWith(ctx context.Context, h head.Head, ref changeset.Ref) (head.Head, error) {
	if ref == h.Ref {
		return h, nil
	}
	member, err := c.stat(ctx, ref)
	if err != nil {
		return head.Head{}, err
	}
	last, err := c.headerAt(ctx, h, endOf(member), member)
	if err != nil {
		return head.Head{}, err
	}
	if last.Version == h.Version {
		return h, nil
	}
	return head.Of(last), nil
}

// endOf returns the version of the last changeset of a changeset's append.
func endOf(member changeset.Header) uint64 {
	return member.Version + uint64(member.Part.Of-member.Part.Number)
}

// headOfCommand returns the head as of the last changeset of a command, whose
// first one, in h's chain, begins an append. That may be a batch of several
// callers, whose others the command's own caller has not read: then the head
// is one within an append, which can be read at, and an append after it is a
// conflict, just as if the others had come later.
func (c *Chain) headOfCommand(ctx context.Context, h head.Head, first changeset.Header) (head.Head, error) {
	last, low, high := first, first.Version, endOf(first)
	for probe := high; low < high; probe = low + (high-low+1)/2 {
		at, err := c.headerAt(ctx, h, probe, first)
		if err != nil {
			return head.Head{}, err
		}
		if at.CommandID == first.CommandID {
			last, low = at, probe
		} else {
			high = probe - 1
		}
	}
	if last.Version == h.Version {
		return h, nil
	}
	return head.Of(last), nil
}

// headerAt returns the header at a version in the chain of h, of which one is
// known already.
func (c *Chain) headerAt(ctx context.Context, h head.Head, version uint64, known changeset.Header) (changeset.Header, error) {
	if version == known.Version {
		return known, nil
	}
	id, err := c.find(ctx, h, version)
	if err != nil {
		return changeset.Header{}, err
	}
	return c.stat(ctx, changeset.Ref{AggregateID: c.id, Version: version, ID: id})
}

// stat returns the header of a changeset that the chain says is there.
func (c *Chain) stat(ctx context.Context, ref changeset.Ref) (changeset.Header, error) {
	info, err := c.store.changesets.Stat(ctx, ref)
	if err != nil {
		return changeset.Header{}, c.unlessErased(ctx, c.store.located(walk.ReadError(ref, err)))
	}
	return info.Header, nil
}
