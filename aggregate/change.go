package aggregate

import (
	"context"
	"errors"
	"fmt"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// Change is the part that one aggregate has in a [Commit]. [Repository.Change] and
// [Repository.Unchanged] make it, for an aggregate of any type.
type Change interface {
	// store returns the store of the aggregate.
	store() *ropewalk.Store
	// appends reports whether there are events to append.
	appends() bool
	// begin returns what the options of the change say.
	begin(context.Context) (*call, error)
	// met returns the command IDs that were met in the history.
	met() commands
	// member returns the member of the store's commit.
	member() (ropewalk.Member, error)
	// made reports whether a commit with a mark has made the head of the aggregate.
	made(head.Head, changeset.Commit) bool
	// adopt takes in that the commit has made the head.
	adopt(context.Context, head.Head)
	// recognise takes in a head that another commit with the same command may have made,
	// and reports whether it has: the changeset that is stored there decides.
	recognise(context.Context, head.Head) (repeated bool, err error)
	// catchUp takes in the history as it is now.
	catchUp(context.Context) error
	// end says whether the commit was a repeated one, or, if it has failed, restores the
	// aggregate as it was given.
	end(repeated bool, err error)
}

// ChangeOf is the [Change] of an aggregate of one type. It is for one [Commit], and not
// for concurrent use.
type ChangeOf[S, E any] struct {
	repo    *Repository[S, E]
	given   Loaded[S]
	events  []E
	options []Option

	call  *call
	draft changeset.Draft
	read  []Recorded[E] // the events as a load will read them
	now   Loaded[S]
}

// Change returns the part of a [Commit] that appends events after the head that the
// aggregate was loaded at. It takes the arguments of [Repository.Save]. Without events the
// aggregate must be unchanged, see [Repository.Unchanged].
func (r *Repository[S, E]) Change(loaded Loaded[S], events []E, options ...Option) *ChangeOf[S, E] {
	return &ChangeOf[S, E]{repo: r, given: loaded, events: events, options: options, now: loaded}
}

// Unchanged returns the part of a [Commit] that requires the aggregate to be as it was
// loaded: at the same head, or still not existing. It appends nothing.
func (r *Repository[S, E]) Unchanged(loaded Loaded[S]) *ChangeOf[S, E] {
	return r.Change(loaded, nil)
}

// Loaded returns the aggregate as it is after the commit, ready for the next one. Before
// the commit, and if it has failed, this is the aggregate as it was given.
func (c *ChangeOf[S, E]) Loaded() Loaded[S] { return c.now }

func (c *ChangeOf[S, E]) store() *ropewalk.Store { return c.repo.store }

func (c *ChangeOf[S, E]) appends() bool { return len(c.events) > 0 }

func (c *ChangeOf[S, E]) met() commands { return c.now.commands }

func (c *ChangeOf[S, E]) begin(ctx context.Context) (_ *call, err error) {
	c.now = c.given
	c.call, err = c.repo.options.call(ctx, c.options)
	return c.call, err
}

func (c *ChangeOf[S, E]) member() (m ropewalk.Member, err error) {
	if err := c.call.match(c.given.Head); err != nil {
		return m, err
	}
	chain := c.repo.store.Chain(c.given.ID)
	if !c.appends() {
		return chain.Unchanged(c.given.Head), nil
	}
	if c.draft, c.read, err = c.repo.draft(c.events, c.call); err != nil {
		return m, fmt.Errorf("save %q: %w", c.given.ID, err)
	}
	return chain.Appending(c.given.Head, c.draft), nil
}

func (c *ChangeOf[S, E]) made(h head.Head, mark changeset.Commit) bool {
	return link.Made(c.given.Head, h, c.draft, mark, c.repo.store.Options().Compress)
}

func (c *ChangeOf[S, E]) adopt(ctx context.Context, h head.Head) {
	c.now = c.repo.saved(ctx, c.given, c.read, command{c.call.key, true}, h)
}

func (c *ChangeOf[S, E]) recognise(ctx context.Context, h head.Head) (repeated bool, err error) {
	c.now, err = c.repo.recognised(ctx, c.given, h, c.draft)
	return c.now.Repeated, err
}

func (c *ChangeOf[S, E]) catchUp(ctx context.Context) error {
	h, err := c.repo.store.Chain(c.given.ID).Head(ctx)
	if errors.Is(err, ropewalk.ErrNotFound) {
		if !c.given.Head.Exists() {
			return nil
		}
		return fmt.Errorf("aggregate %q: %w: it was at revision %d, and is gone", c.given.ID, ropewalk.ErrHeadLost, c.given.Head.Revision)
	}
	if err == nil {
		c.now, err = c.repo.catchUp(ctx, c.given, h)
	}
	return err
}

func (c *ChangeOf[S, E]) end(repeated bool, err error) {
	if err != nil {
		c.now = c.given
	}
	c.now.Repeated = repeated
}
