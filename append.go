package ropewalk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
	"ropewalk/internal/reserved"
)

// Create appends the first changesets of a chain that must not exist yet: it
// is [Chain.Append] after the zero Head. If the chain has a void head ([head.Void]), the
// append is built on it.
func (c *Chain) Create(ctx context.Context, drafts ...changeset.Draft) (head.Head, error) {
	return c.Append(ctx, head.Head{}, drafts...)
}

// Append adds one changeset for each draft, all or none, after the head that
// the caller has read. It returns the head of this append, ready for the next
// one. An append that meets no fault takes two round trips: the objects are
// put, all at once, and then the head is swapped. In a packed chain it takes one if the
// changesets fit into the tip of the head.
//
// If the head was made from a header ([head.Head.IsPoint]), the append loads the
// record first. It is a conflict if the chain has moved on.
//
// A context that ends before the swap is sent ends the append with its own
// error. After that the append outlives its context until the outcome is known,
// for at most [Options.SettleTimeout]. Without a deadline it waits for its swap
// and then for the outcome, for at most twice that time: 20 seconds by default.
//
// With a command ID, an append is idempotent. Repeating it after the same head,
// by any writer and at any time, returns the first append's head and stores
// nothing, even if the contents differ. If an [Appender] made the first append
// in one batch with later changesets of other callers, the returned head is in
// the middle of an append: it can be read at, and an append after it is a
// conflict.
//
// Its errors report the outcome:
//   - [*ConflictError]: refused for good; another append came first.
//   - [*UncertainError]: the outcome is unknown; [Chain.Settle] finds it out.
//   - [ErrHeadLost], [ErrErased]: the head in the storage is not one that can
//     follow the head given.
//   - [ErrMoved], a [*MovedError]: the aggregate moves, or has moved, to another storage.
//   - [ErrInvalidDraft], [ErrTooLarge], [ErrInvalidAggregateID],
//     [ErrUnsupportedFormat]: nothing was sent.
//   - any other: nothing was committed, and nothing ever will be.
func (c *Chain) Append(ctx context.Context, after head.Head, drafts ...changeset.Draft) (got head.Head, err error) {
	err = errUnfinished
	ctx, end := c.store.start(ctx, OperationAppend, c.id)
	defer func() { end(Result{len(drafts), err}) }()
	return c.append(ctx, after, drafts)
}

// append is Append without the observer.
func (c *Chain) append(ctx context.Context, after head.Head, drafts []changeset.Draft) (head.Head, error) {
	if err := c.checkDrafts(ctx, after, drafts); err != nil {
		return head.Head{}, err
	}
	if after.MidAppend() {
		return head.Head{}, c.refuseMidAppend(ctx, after)
	}
	if after.IsPoint() {
		got, err := c.recordOf(ctx, after, drafts)
		fence, ok := errors.AsType[*fencedError](err)
		if !ok {
			return got, err
		}
		after = fence.head
	}
	encoded := c.store.layout.Drafts(after, drafts)
	for {
		a, err := c.prepare(after, encoded)
		if err != nil {
			return head.Head{}, err
		}
		if err := c.put(ctx, a.objects); err != nil {
			return head.Head{}, fmt.Errorf("append to %q: %w", c.id, err)
		}
		got, err := a.commit(ctx)
		fence, ok := errors.AsType[*fencedError](err)
		if !ok {
			return got, err
		}
		// The fence shuts these objects out for good. The expected changeset is
		// still the newest, so the caller's decision stands: build it again.
		c.store.options.Logger.InfoContext(ctx, "append was fenced, building it again", "ref", a.last())
		after = fence.head
	}
}

func (c *Chain) checkDrafts(ctx context.Context, after head.Head, drafts []changeset.Draft) error {
	if err := reserved.Check(ctx, c.id); err != nil {
		return err
	}
	if after.State == head.Erased {
		return fmt.Errorf("chain %q: %w", c.id, ErrErased)
	}
	for i, d := range drafts {
		if n := int64(len(d.Content)); n > c.store.options.MaxContentSize {
			return fmt.Errorf("draft %d: %w: %d bytes, more than %d", i+1, ErrTooLarge, n, c.store.options.MaxContentSize)
		}
	}
	return nil
}

// refuseMidAppend refuses an append after a changeset in the middle of an
// append, which [Chain.HeadAt] may return: the rest of that append came first.
func (c *Chain) refuseMidAppend(ctx context.Context, after head.Head) error {
	h, err := c.load(ctx)
	if err != nil {
		return err
	}
	if h.Version <= after.Version {
		return headLost(after, h)
	}
	return &ConflictError{Expected: after, Actual: h}
}

// recordOf loads the record of a point, which an append of the drafts is to be built
// on. It returns the record as a *fencedError. Any other result is the outcome of the
// append, as if it had been sent and another append had come first.
func (c *Chain) recordOf(ctx context.Context, point head.Head, drafts []changeset.Draft) (head.Head, error) {
	if err := link.ValidateAppend(drafts); err != nil {
		return head.Head{}, err
	}
	return c.unsent(point, drafts).reload(ctx)
}

// unsent returns an attempt after a head, to be judged. Its changesets were not built.
func (c *Chain) unsent(after head.Head, drafts []changeset.Draft) *attempt {
	first := changeset.Changeset{Header: changeset.Header{Ref: changeset.Ref{AggregateID: c.id, Version: after.Len(), ID: changeset.NewID()}}}
	return &attempt{chain: c, changesets: []changeset.Changeset{first}, from: after, to: head.Head{Ref: first.Ref}, commandID: drafts[0].CommandID}
}

// attempt is one append in flight: changesets that are built on one revision
// of the head, and the one swap that can commit them. The functions below stand
// in the order in which they happen: prepare and put, then commit with its
// swaps (see [carryOut]), and, if the outcome of a swap is unknown, reload, which
// judges the attempt by the head.
type attempt struct {
	chain      *Chain
	changesets []changeset.Changeset
	objects    []changeset.Changeset // to put before the swap
	from, to   head.Head
	commandID  string // empty if the attempt has no command, or commands of several callers

	// joint says that the attempt is a part of a commit of several aggregates. Then
	// repeated says that a commit with the same command was found in its place.
	joint, repeated bool
}

func (a *attempt) first() changeset.Ref { return a.changesets[0].Ref }

func (a *attempt) last() changeset.Ref { return a.to.Ref }

// prepare builds the append's changesets and the head that commits them.
func (c *Chain) prepare(after head.Head, drafts []body.Draft) (*attempt, error) {
	return c.build(after, drafts, time.Now(), c.store.layout)
}

// build is prepare at a time and in a layout.
func (c *Chain) build(after head.Head, drafts []body.Draft, now time.Time, l link.Layout) (*attempt, error) {
	built, err := link.Build(after, c.id, [][]body.Draft{drafts}, now, l)
	if err != nil {
		return nil, err
	}
	return &attempt{
		chain: c, changesets: built.Changesets, objects: built.Objects,
		from: after, to: built.Next, commandID: built.Changesets[0].CommandID,
	}, nil
}

// put stores objects, all in parallel: each already has its parent's ID. If
// a put fails for good, no head will name any of them. If put and swap are one
// step, put sends nothing.
func (c *Chain) put(ctx context.Context, objects []changeset.Changeset) error {
	if c.store.combined != nil {
		return ctx.Err()
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, o := range objects {
		group.Go(func() error { return c.store.changesets.Put(ctx, o) })
	}
	return group.Wait()
}

// commit swaps the head, and returns when the outcome is known or when the time
// for it is up.
func (a *attempt) commit(ctx context.Context) (head.Head, error) {
	return carryOut(ctx, a.chain.store, a)
}

func (a *attempt) String() string { return fmt.Sprintf("append to %q", a.chain.id) }

func (a *attempt) uncertain(cause error) *UncertainError {
	return &UncertainError{Ref: a.last(), AfterRevision: a.from.Revision, Err: cause}
}

// swap sends the swap once.
func (a *attempt) swap(ctx context.Context) (head.Head, error) {
	if err := ctx.Err(); err != nil {
		return head.Head{}, &head.NotAppliedError{Err: err}
	}
	if combined := a.chain.store.combined; combined != nil {
		return combined.Commit(ctx, a.objects, a.from, a.to)
	}
	return a.chain.store.heads.Swap(ctx, a.from, a.to)
}

// outcomeOf turns the outcome of one swap into the outcome of the append. Its
// error is not final if the outcome of the append is unknown.
func (a *attempt) outcomeOf(ctx context.Context, got head.Head, err error) (head.Head, error) {
	conflict, ok := errors.AsType[*head.ConflictError](err)
	switch {
	case !ok:
		return got, err
	case conflict.Winner == nil:
		return a.reload(ctx)
	default:
		return a.judge(ctx, *conflict.Winner)
	}
}

// reload judges the attempt by the present head.
func (a *attempt) reload(ctx context.Context) (head.Head, error) {
	h, err := a.chain.load(ctx)
	if err != nil {
		return head.Head{}, err
	}
	return a.judge(ctx, h)
}

// judge returns the outcome of the attempt, given a head that was read after
// its swap was sent: the head that it committed, a [final] error, errPending, or
// the error of reading the chain.
func (a *attempt) judge(ctx context.Context, h head.Head) (head.Head, error) {
	switch {
	case h.State == head.Erased:
		return h, fmt.Errorf("chain %q: %w", a.chain.id, ErrErased)
	case h.SameRecord(a.from):
		// Only the storage has the token and the fields of a newer version.
		a.from, a.to = h, a.to.Inherit(a.from, h)
		return head.Head{}, errPending
	case h.Revision < a.from.Revision, h.Revision == a.from.Revision && !a.from.IsPoint():
		return head.Head{}, headLost(a.from, h)
	case h.Ref == a.last():
		return h, nil
	case h.Ref == a.from.Ref, h.State == head.Void && a.from.IsZero():
		return head.Head{}, &fencedError{h}
	case h.Version < a.first().Version || diverged(a.from, h):
		return head.Head{}, headLost(a.from, h)
	}
	return a.locate(ctx, h)
}

// locate decides by the changeset at the attempt's first version in the chain
// of h, which other appends may have extended since.
func (a *attempt) locate(ctx context.Context, h head.Head) (head.Head, error) {
	at, err := a.chain.find(ctx, h, a.first().Version)
	if err != nil {
		return head.Head{}, err
	}
	if at.id == a.first().ID {
		return a.committedHead(ctx, h)
	}
	if at.known && a.from.Exists() && at.place.Header.Parent != a.from.ID {
		return head.Head{}, headLost(a.from, h)
	}
	if a.commandID != "" {
		winner, err := a.chain.placeOf(ctx, at)
		if err != nil {
			return head.Head{}, err
		}
		if a.repeats(winner.Header) {
			return a.chain.headOfCommand(ctx, h, winner)
		}
	}
	return head.Head{}, &ConflictError{Expected: a.from, Actual: h}
}

// repeats reports whether the attempt repeats the append of a changeset at its first
// version. A commit of several aggregates repeats only another one: an append to one
// aggregate has left the others as they were.
func (a *attempt) repeats(winner changeset.Header) bool {
	a.repeated = winner.CommandID == a.commandID && (!a.joint || !winner.Commit().IsZero())
	return a.repeated
}

// committedHead returns the head of an attempt whose first changeset is in the
// chain of h. Its last changeset must be there too: one swap commits them all.
func (a *attempt) committedHead(ctx context.Context, h head.Head) (head.Head, error) {
	at, err := a.chain.find(ctx, h, a.last().Version)
	if err != nil {
		return head.Head{}, err
	}
	if at.id != a.last().ID {
		return head.Head{}, &CorruptError{Ref: a.last(), Reason: "the chain has the first changeset of its append, but not this, its last one"}
	}
	return a.to.WithToken(""), nil
}
