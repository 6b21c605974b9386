package ropewalk

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/pause"
)

// attempt is one append in flight: changesets that are built on one revision
// of the head, and the one swap that can commit them. Its methods stand in the
// order in which they happen: put, commit with its swaps, and, where a swap's
// outcome is unknown, resolve, which looks at the head and judges.
type attempt struct {
	chain      *Chain
	changesets []changeset.Changeset
	old, next  head.Head
	commandID  string // empty where no command may decide
}

func (a *attempt) first() changeset.Ref { return a.changesets[0].Ref }

func (a *attempt) last() changeset.Ref { return a.next.Ref }

// put stores changesets, all in parallel: they already know their parents. If
// one fails for good, no head names any of them. Where put and swap are one
// step there is nothing to do yet.
func (c *Chain) put(ctx context.Context, changesets []changeset.Changeset) error {
	if c.store.combined != nil {
		return ctx.Err()
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, cs := range changesets {
		group.Go(func() error { return c.store.changesets.Put(ctx, cs) })
	}
	return group.Wait()
}

// errTimeUp is the cause of the end of an attempt's own time, which is no
// deadline of the caller's.
var errTimeUp = errors.New("the swap was not possible in the time for it")

// commit swaps the head, and does not return before the outcome is known or
// the time for it is up.
//
// While every swap so far was refused before it took effect, nothing can have
// been committed, and the caller's context rules, within a bound. From the
// first swap on whose outcome is unknown, only what is stored can say: see
// resolve.
func (a *attempt) commit(ctx context.Context) (head.Head, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, a.chain.store.options.SettleTimeout, errTimeUp)
	defer cancel()
	var cause error
	for pauses := pause.New(); ; {
		got, err := a.swap(bounded)
		refused, ok := errors.AsType[*head.NotApplied](err)
		if !ok {
			if got, err = a.conclude(bounded, got, err); !decided(err) {
				return a.resolve(ctx, err)
			}
			return got, err
		}
		cause = lastCause(bounded, cause, err)
		if !refused.Retryable || pauses.Wait(bounded) != nil {
			return head.Head{}, fmt.Errorf("append to %q: %w", a.chain.id, errors.Join(ctx.Err(), cause))
		}
	}
}

// swap sends the swap once.
func (a *attempt) swap(ctx context.Context) (head.Head, error) {
	if err := ctx.Err(); err != nil {
		return head.Head{}, &head.NotApplied{Err: err}
	}
	if combined := a.chain.store.combined; combined != nil {
		return combined.Commit(ctx, a.changesets, a.old, a.next)
	}
	return a.chain.store.heads.Swap(ctx, a.old, a.next)
}

// conclude turns the outcome of one swap into the outcome of the append, if
// that is known.
func (a *attempt) conclude(ctx context.Context, got head.Head, err error) (head.Head, error) {
	conflict, ok := errors.AsType[*head.SwapConflict](err)
	switch {
	case !ok:
		return got, err
	case conflict.Winner == nil:
		return a.look(ctx)
	default:
		return a.judge(ctx, *conflict.Winner)
	}
}

// resolve finds out what became of an attempt whose outcome is unknown: it
// loads the head, and while that is still the expected one it repeats the
// identical swap. Whether the first swap or a repeated one takes effect makes
// no difference. It outlives the caller's context, but not for long.
func (a *attempt) resolve(ctx context.Context, cause error) (head.Head, error) {
	a.chain.store.options.Logger.WarnContext(ctx, "outcome of swap unknown, looking it up", "ref", a.last(), "cause", cause)
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.chain.store.options.SettleTimeout)
	defer cancel()
	for pauses := pause.New(); ; {
		got, err := a.look(detached)
		if errors.Is(err, errPending) {
			got, err = a.swap(detached)
			got, err = a.conclude(detached, got, err)
		}
		if decided(err) {
			return got, err
		}
		cause = lastCause(detached, cause, err)
		if hopeless(err) || pauses.Wait(detached) != nil {
			return head.Head{}, &UncertainError{a.last(), a.old.Revision, errors.Join(context.Cause(ctx), cause)}
		}
	}
}

// look judges the attempt by the head as it is now.
func (a *attempt) look(ctx context.Context) (head.Head, error) {
	h, err := a.chain.load(ctx)
	if err != nil {
		return head.Head{}, err
	}
	return a.judge(ctx, h)
}

// judge says what became of the attempt, given a head that was read after its
// swap was sent: the head that it committed and nil, or one of the errors that
// [decided] knows, or errPending, or the error of reading the chain.
func (a *attempt) judge(ctx context.Context, h head.Head) (head.Head, error) {
	switch {
	case h.State == head.Erased:
		return h, fmt.Errorf("chain %q: %w", a.chain.id, ErrErased)
	case h.SameRecord(a.old):
		// What only the storage knows: the token, and a newer version's fields.
		a.old, a.next = h, a.next.Inherit(h)
		return head.Head{}, errPending
	case h.Revision <= a.old.Revision:
		return head.Head{}, a.chain.lost(a.old, h)
	case h.Ref == a.last():
		return h, nil
	case h.Ref == a.old.Ref:
		return head.Head{}, &fencedError{h}
	case h.Version < a.first().Version || diverged(a.old, h):
		return head.Head{}, a.chain.lost(a.old, h)
	}
	return a.search(ctx, h)
}

// search decides by the changeset that the chain of h has at the attempt's
// first version, however many have appended since.
func (a *attempt) search(ctx context.Context, h head.Head) (head.Head, error) {
	id, err := a.chain.find(ctx, h, a.first().Version)
	if err != nil {
		return head.Head{}, err
	}
	if id == a.first().ID {
		return a.found(ctx, h)
	}
	if a.commandID != "" {
		winner, err := a.chain.stat(ctx, changeset.Ref{AggregateID: a.chain.id, Version: a.first().Version, ID: id})
		if err != nil {
			return head.Head{}, err
		}
		if winner.CommandID == a.commandID {
			return a.chain.headOfCommand(ctx, h, winner)
		}
	}
	return head.Head{}, &ConflictError{Expected: a.old, Actual: h}
}

// found returns the head of the attempt, whose first changeset the chain of h
// has: with its last one, since one swap committed them all.
func (a *attempt) found(ctx context.Context, h head.Head) (head.Head, error) {
	id, err := a.chain.find(ctx, h, a.last().Version)
	if err != nil {
		return head.Head{}, err
	}
	if id != a.last().ID {
		return head.Head{}, &CorruptError{Ref: a.last(), Reason: "the chain has the first changeset of its append, but not this, its last one"}
	}
	return a.next.WithToken(""), nil
}
