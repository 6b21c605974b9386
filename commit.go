package ropewalk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
)

// maxRequests is how many objects of one commit are put, or heads loaded, at once.
const maxRequests = 64

// Commit appends to several aggregates, all or none, if all members are as the caller has
// read them: 1 to 100 members, each aggregate once, at least one that appends, and 256
// changesets and 64 MiB of content in all. It returns one head for each member, in their
// order; the head of an unchanged member as it was given. A commit that meets no fault takes
// two round trips, whatever the number of members: the objects are put, and then the heads
// are swapped together. It takes one if all appends fit into the tips of packed chains.
//
// Readers see each aggregate at its own moment: the commit can be visible in one and not
// yet in another, but no reader sees a commit that does not come to stand in all. Each
// changeset has the mark of its commit, [Header.Commit]. The storage must be able to swap
// heads together: heads in DynamoDB, SQLite and memory can be.
//
// A command ID makes the commit idempotent: repeating it after the same heads returns the
// first commit's heads, and stores nothing. All members have the same command ID; a member
// without one gets it. One command ID belongs to one commit.
//
// It has the errors of [Chain.Append], and the same rules for the context:
//   - [*ConflictError]: refused for good; Actual is the head of the member that has changed.
//   - [*UncertainError]: the outcome is unknown. [Chain.Settle] of Ref, or of one of Others,
//     finds it out for all members.
//   - [ErrHeadLost], [ErrErased]: the head of a member in the storage is not one that can
//     follow the head given. If all histories that were appended to are erased, the commit
//     may have taken effect before.
//   - [errors.ErrUnsupported]: the heads cannot be swapped together; nothing was sent.
//   - any other: nothing was committed, and nothing ever will be.
func (s *Store) Commit(ctx context.Context, members ...Member) (got []head.Head, err error) {
	err = errUnfinished
	ctx, end := s.start(ctx, OperationCommit, "")
	defer func() { end(Result{draftsOf(members), err}) }()
	return s.commit(ctx, members)
}

func draftsOf(members []Member) (n int) {
	for _, m := range members {
		n += len(m.drafts)
	}
	return n
}

// commit is Commit without the observer.
func (s *Store) commit(ctx context.Context, members []Member) ([]head.Head, error) {
	if err := s.checkMembers(ctx, members); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	swapper, err := s.transactor(len(members))
	if err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	c := &commit{store: s, swapper: swapper, members: withCommand(members)}
	if got, err := c.loadPoints(ctx); got != nil || err != nil {
		return got, err
	}
	bodies := c.encode()
	for {
		mark, err := c.build(bodies)
		if err != nil {
			return nil, err
		}
		link.NotedMark(ctx, mark)
		if err := c.put(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", c, err)
		}
		got, err := carryOut(ctx, s, c)
		if !is[*fencedError](err) {
			return got, err
		}
		// As for an append: the fence shuts out these objects of all members, and the
		// members are still what the caller has read.
		s.options.Logger.InfoContext(ctx, "commit was fenced, building it again", "ref", c.last())
	}
}

// commit is one commit of several aggregates in flight: the attempts of the members that
// append, and the one step that can commit them together. The facts "the changesets are in
// this chain" and "this head is past the revision that they were built on, without them"
// last, and exclude each other, whichever appending member shows them. So one appending
// member is enough to judge the commit by.
type commit struct {
	store   *Store
	swapper head.Transactor
	members []Member
	appends []*appending // aggregates that exist come first
	sent    int          // how many times the step was sent
}

// appending is the attempt of one member.
type appending struct {
	*attempt
	place int // among the members
}

func (c *commit) String() string { return fmt.Sprintf("commit to %d aggregates", len(c.members)) }

func (c *commit) last() changeset.Ref { return c.appends[0].last() }

func (c *commit) uncertain(cause error) *UncertainError {
	e := c.appends[0].uncertain(cause)
	for _, a := range c.appends[1:] {
		e.Others = append(e.Others, Unsettled{a.last(), a.from.Revision})
	}
	return e
}

// loadPoints loads the records that points of the history stand for. It returns heads if
// the commit turns out to be a repeated one.
func (c *commit) loadPoints(ctx context.Context) ([]head.Head, error) {
	if !slices.ContainsFunc(c.members, func(m Member) bool { return !m.unchanged && m.head.IsPoint() }) {
		return nil, nil
	}
	bounded, cancel := context.WithTimeout(ctx, c.store.options.SettleTimeout)
	defer cancel()
	_ = c.attempts(func(i int) (*attempt, error) {
		return c.members[i].chain.unsent(c.members[i].head, c.members[i].drafts), nil
	})
	for _, a := range c.appends {
		if !a.from.IsPoint() {
			continue
		}
		got, err := a.reload(bounded)
		fence, ok := errors.AsType[*fencedError](err)
		switch {
		case ok:
			c.members[a.place].head = fence.head
		case err == nil:
			return c.confirm(bounded, a, got)
		default:
			return nil, err
		}
	}
	return nil, nil
}

// attempts makes the attempts of the members that append, of the members that exist first:
// only their heads can be fenced in a store that writes no void heads.
func (c *commit) attempts(attempt func(i int) (*attempt, error)) error {
	c.appends = nil
	for i, m := range c.members {
		if m.unchanged {
			continue
		}
		a, err := attempt(i)
		if err != nil {
			return err
		}
		a.joint = true
		c.appends = append(c.appends, &appending{a, i})
	}
	slices.SortStableFunc(c.appends, func(a, b *appending) int {
		return cmp.Compare(min(b.from.Revision, 1), min(a.from.Revision, 1))
	})
	return nil
}

// encode returns the drafts of each member with their bodies.
func (c *commit) encode() [][]body.Draft {
	all := make([][]body.Draft, len(c.members))
	for i, m := range c.members {
		all[i] = c.store.layout.Drafts(m.head, m.drafts)
	}
	return all
}

// build builds the changesets of all members, with one time and one mark, which it returns.
// If the tips are too large for one step, it builds them without tips.
func (c *commit) build(bodies [][]body.Draft) (changeset.Commit, error) {
	mark, now := changeset.Commit{ID: changeset.NewID()}, time.Now()
	for _, m := range c.members {
		if m.unchanged {
			continue
		}
		mark.Members++
		if m.head.UpdatedAt.After(now) {
			now = m.head.UpdatedAt
		}
	}
	for _, drafts := range bodies {
		for i := range drafts {
			drafts[i].Mark = mark
		}
	}
	layout, tips := c.store.layout, 0
	attempt := func(i int) (*attempt, error) {
		return c.members[i].chain.build(c.members[i].head, bodies[i], now, layout)
	}
	if err := c.attempts(attempt); err != nil {
		return mark, err
	}
	for _, a := range c.appends {
		tips += len(a.to.Tip)
	}
	if tips <= head.MaxTips {
		return mark, nil
	}
	layout.Tip = -1
	return mark, c.attempts(attempt)
}

// put stores the objects of all members.
func (c *commit) put(ctx context.Context) error {
	if c.store.combined != nil {
		return ctx.Err()
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxRequests)
	for _, a := range c.appends {
		for _, o := range a.objects {
			group.Go(func() error { return c.store.changesets.Put(ctx, o) })
		}
	}
	return group.Wait()
}

// swap sends the step once.
func (c *commit) swap(ctx context.Context) ([]head.Head, error) {
	if err := ctx.Err(); err != nil {
		return nil, &head.NotAppliedError{Err: err}
	}
	exchanges := make([]head.Exchange, len(c.members))
	for i, m := range c.members {
		exchanges[i] = head.Exchange{AggregateID: m.chain.id, Old: m.head}
	}
	for _, a := range c.appends {
		e := &exchanges[a.place]
		e.Old, e.Next = a.from, a.to
		if c.store.combined != nil {
			e.Changesets = a.objects
		}
	}
	c.sent++
	return c.swapper.SwapAll(ctx, exchanges)
}
