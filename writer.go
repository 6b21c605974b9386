package ropewalk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"ropewalk/changeset"
	"ropewalk/head"
)

// Create appends the first changesets of a chain that must not exist yet: it
// is [Chain.Append] after the zero Head.
func (c *Chain) Create(ctx context.Context, drafts ...changeset.Draft) (head.Head, error) {
	return c.Append(ctx, head.Head{}, drafts...)
}

// Append adds one changeset for each draft, all or none, behind the head that
// the caller has read, and returns the head of this append, ready for the next
// one. It takes two round trips where nothing goes wrong: the objects are put,
// all at once, and then the head is swapped.
//
// With a command ID an append is idempotent: repeated after the same head, by
// whomever and whenever, it returns the head of the first time, and what was
// stored then stands; the contents need not be equal. Where an [Appender] has
// made it, together with other callers' changesets behind it, that head is one
// within an append: it can be read at, and an append after it is a conflict.
//
// Its errors tell the outcome:
//   - [*ConflictError]: refused for good; another append came first.
//   - [*UncertainError]: nobody knows yet; [Chain.Settle] ends it.
//   - [ErrHeadLost], [ErrErased]: the storage is not as the head says.
//   - [ErrInvalidDraft], [ErrTooLarge], [ErrInvalidAggregateID],
//     [ErrUnsupportedFormat]: nothing was sent.
//   - any other: nothing was committed, and nothing will be. A context that
//     ends before the swap is sent gives its own error.
func (c *Chain) Append(ctx context.Context, after head.Head, drafts ...changeset.Draft) (head.Head, error) {
	if err := c.checkDrafts(after, drafts); err != nil {
		return head.Head{}, err
	}
	if after.Within() {
		return head.Head{}, c.refuseWithin(ctx, after)
	}
	drafts = c.store.encode(drafts)
	for {
		a, err := c.prepare(after, drafts)
		if err != nil {
			return head.Head{}, err
		}
		if err := a.put(ctx); err != nil {
			return head.Head{}, fmt.Errorf("append to %q: %w", c.id, err)
		}
		got, err := a.commit(ctx)
		var fence *fencedError
		if !errors.As(err, &fence) {
			return got, err
		}
		// These objects are shut out for good; the expected changeset is still
		// the newest, so the caller's decision stands: build it anew.
		c.store.options.Logger.InfoContext(ctx, "append was fenced, building it anew", "ref", a.last)
		after = fence.head
	}
}

func (c *Chain) checkDrafts(after head.Head, drafts []changeset.Draft) error {
	if changeset.IsReserved(c.id) {
		return fmt.Errorf("%w: %q: a leading $ is reserved for the library's own chains", ErrInvalidAggregateID, c.id)
	}
	if after.State == head.Erased {
		return fmt.Errorf("chain %q: %w", c.id, ErrErased)
	}
	for i, d := range drafts {
		if n := d.Size(); n > c.store.options.MaxContentSize {
			return fmt.Errorf("draft %d: %w: %d bytes, more than %d", i+1, ErrTooLarge, n, c.store.options.MaxContentSize)
		}
	}
	return nil
}

// refuseWithin refuses an append after a changeset within an append, of
// [Chain.HeadAt]: it comes too late by the rest of that append at least.
func (c *Chain) refuseWithin(ctx context.Context, after head.Head) error {
	h, err := c.load(ctx)
	if err != nil {
		return err
	}
	if h.Version <= after.Version {
		return (&attempt{chain: c, old: after}).lost(h)
	}
	return &ConflictError{Expected: after, Actual: h}
}

func (c *Chain) prepare(after head.Head, drafts []changeset.Draft) (*attempt, error) {
	built, next, err := head.Extend(after, c.id, drafts, time.Now())
	if err != nil {
		return nil, err
	}
	return &attempt{
		chain: c, changesets: built, old: after, next: next,
		first: built[0].Ref, last: next.Ref, commandID: built[0].CommandID,
	}, nil
}

// attempt is one append in flight: changesets that are built on one revision
// of the head, and the one swap that can commit them. It may be sent many
// times, always the same.
type attempt struct {
	chain       *Chain
	changesets  []changeset.Changeset // nil where they are known to be stored
	old, next   head.Head
	first, last changeset.Ref
	commandID   string
}

// put stores the objects, all in parallel: they already know their parents. If
// one fails for good, no head names any of them. Where put and swap are one
// step there is nothing to do yet.
func (a *attempt) put(ctx context.Context) error {
	if a.chain.store.combined != nil {
		return ctx.Err()
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range a.changesets {
		group.Go(func() error { return a.chain.store.changesets.Put(ctx, c) })
	}
	return group.Wait()
}

// swap makes one attempt to commit.
func (a *attempt) swap(ctx context.Context) (head.Head, error) {
	if err := ctx.Err(); err != nil {
		return head.Head{}, &head.NotApplied{Err: err}
	}
	if combined := a.chain.store.combined; combined != nil && a.changesets != nil {
		return combined.Commit(ctx, a.changesets, a.old, a.next)
	}
	return a.chain.store.heads.Swap(ctx, a.old, a.next)
}

// errTimeUp is the cause of the end of an attempt's own time, which is no
// deadline of the caller's.
var errTimeUp = errors.New("the swap was not possible in the time for it")

// commit swaps the head, and does not return before the outcome is known or
// the time for it is up.
//
// While every attempt so far was refused before it took effect, nothing can
// have been committed, and the caller's context rules, within a bound. From
// the first attempt on whose outcome is unknown, only what is stored can tell:
// see resolve.
func (a *attempt) commit(ctx context.Context) (head.Head, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, a.chain.store.options.SettleTimeout, errTimeUp)
	defer cancel()
	for pause := newPauses(); ; {
		got, err := a.swap(bounded)
		var refused *head.NotApplied
		if !errors.As(err, &refused) {
			if got, err = a.conclude(bounded, got, err); !decided(err) {
				return a.resolve(ctx, err)
			}
			return got, err
		}
		if !refused.Retryable || pause.wait(bounded) != nil {
			return head.Head{}, fmt.Errorf("append to %q: %w", a.chain.id, errors.Join(ctx.Err(), err))
		}
	}
}

// resolve finds out what became of an attempt whose outcome is unknown: it
// loads the head, and while that is still the expected one it repeats the
// identical swap. Whether the first attempt or a repeated one takes effect
// makes no difference. It outlives the caller's context, but not for long.
func (a *attempt) resolve(ctx context.Context, cause error) (head.Head, error) {
	a.chain.store.options.Logger.WarnContext(ctx, "outcome of swap unknown, looking it up", "ref", a.last, "cause", cause)
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.chain.store.options.SettleTimeout)
	defer cancel()
	for pause := newPauses(); ; {
		got, err := a.look(detached)
		if errors.Is(err, errPending) {
			got, err = a.swap(detached)
			got, err = a.conclude(detached, got, err)
		}
		if decided(err) {
			return got, err
		}
		if !errors.Is(err, context.DeadlineExceeded) || detached.Err() == nil {
			cause = err
		}
		if hopeless(err) || pause.wait(detached) != nil {
			return head.Head{}, &UncertainError{a.last, errors.Join(context.Cause(ctx), cause)}
		}
	}
}

// conclude turns the outcome of one swap into that of the append, where it can be told.
func (a *attempt) conclude(ctx context.Context, got head.Head, err error) (head.Head, error) {
	var conflict *head.SwapConflict
	if !errors.As(err, &conflict) {
		return got, err
	}
	if conflict.Winner == nil {
		return a.look(ctx)
	}
	return a.judge(ctx, *conflict.Winner)
}
