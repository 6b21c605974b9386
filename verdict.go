package ropewalk

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/pause"
)

// errGone says that the history of an appending member is erased, and that its tombstone
// does not say whether the commit was in it.
var errGone = errors.New("the history that could show the outcome is erased")

// outcomeOf judges the commit by the heads that a conflict reports. One appending member
// decides, if its head proves anything.
func (c *commit) outcomeOf(ctx context.Context, got []head.Head, err error) ([]head.Head, error) {
	conflicts, ok := errors.AsType[*head.ConflictsError](err)
	if !ok {
		return got, err
	}
	var fenced, unknown error
	for _, a := range c.appends {
		winner, blamed := conflicts.Winners[a.chain.id]
		if !blamed {
			continue
		}
		h, err := c.verdict(ctx, a, winner)
		switch {
		case is[*fencedError](err):
			fenced = err
		case final(err):
			return c.conclude(ctx, a, h, err)
		default:
			unknown = err
		}
	}
	if fenced == nil && unknown != nil {
		return nil, unknown
	}
	return c.blameUnchanged(ctx, conflicts, fenced)
}

// blameUnchanged judges the commit after a conflict in which no appending member has proved
// more than that it was fenced.
//
// An unchanged member never proves a refusal: that it has changed rules out that the step
// takes effect later, and not that it took effect before. Only the reply to the one request
// that was ever sent rules out both. Otherwise the fence of an appending member decides.
func (c *commit) blameUnchanged(ctx context.Context, conflicts *head.ConflictsError, fenced error) ([]head.Head, error) {
	refusal := c.refusal(ctx, conflicts)
	proved := refusal != nil && final(refusal)
	switch {
	case fenced != nil && !proved:
		return nil, fenced
	case refusal == nil:
		return nil, conflicts
	case !proved:
		return nil, refusal
	case fenced != nil || c.sent == 1:
		return nil, refusal
	}
	return c.shutOut(ctx, refusal)
}

// refusal returns why the first unchanged member that is blamed refuses the commit, or nil
// if no unchanged member is blamed. The error is not final if that is unknown.
func (c *commit) refusal(ctx context.Context, conflicts *head.ConflictsError) error {
	for _, m := range c.members {
		winner, blamed := conflicts.Winners[m.chain.id]
		if !m.unchanged || !blamed {
			continue
		}
		if winner != nil {
			return m.refusal(*winner)
		}
		h, err := m.chain.load(ctx)
		if err != nil && !errors.Is(err, ErrErased) {
			return err
		}
		return m.refusal(h)
	}
	return nil
}

// verdict judges the commit by one appending member, given its head, or nil to load the
// head. A member that was fenced keeps its new head, for the next build.
func (c *commit) verdict(ctx context.Context, a *appending, winner *head.Head) (head.Head, error) {
	if winner == nil {
		h, err := a.chain.load(ctx)
		if err != nil && !errors.Is(err, ErrErased) {
			return head.Head{}, err
		}
		winner = &h
	}
	if winner.State == head.Erased {
		return a.tombstone(*winner)
	}
	got, err := a.judge(ctx, *winner)
	if errors.Is(err, ErrErased) {
		return head.Head{}, errGone // the history was erased while it was read
	}
	if fence, ok := errors.AsType[*fencedError](err); ok {
		c.members[a.place].head = fence.head
	}
	return got, err
}

// tombstone judges a commit by what is left of an erased history.
func (a *appending) tombstone(h head.Head) (head.Head, error) {
	switch h.Ref {
	case a.last():
		return a.to.WithToken(""), nil
	case a.from.Ref:
		return head.Head{}, a.erased()
	}
	return head.Head{}, errGone
}

func (a *appending) erased() error { return fmt.Errorf("chain %q: %w", a.chain.id, ErrErased) }

// reload judges the commit by the head of one appending member: by the first whose history
// is not erased.
func (c *commit) reload(ctx context.Context) ([]head.Head, error) {
	var erased error
	for _, a := range c.appends {
		h, err := c.verdict(ctx, a, nil)
		switch {
		case errors.Is(err, errGone):
			erased = a.erased()
		case erased != nil && errors.Is(err, errPending):
			return c.shutOut(ctx, erased)
		case erased != nil && is[*fencedError](err):
			return nil, erased
		default:
			return c.conclude(ctx, a, h, err)
		}
	}
	return nil, erased
}

// conclude returns the outcome of the commit that one appending member shows.
func (c *commit) conclude(ctx context.Context, a *appending, h head.Head, err error) ([]head.Head, error) {
	if err != nil {
		return nil, err
	}
	return c.confirm(ctx, a, h)
}

// shutOut makes sure that a commit which can no longer take effect has not taken effect
// either, by the fence of an appending member, and then returns the refusal.
func (c *commit) shutOut(ctx context.Context, refusal error) ([]head.Head, error) {
	unknown := errors.New("no aggregate that is appended to has a head to fence")
	for _, a := range c.appends {
		fence := link.Fence(a.from)
		if a.from.IsZero() {
			if !c.store.options.Packed {
				continue
			}
			fence = link.Void(a.chain.id)
		}
		_, err := c.store.heads.Swap(ctx, a.from, fence)
		conflict, ok := errors.AsType[*head.ConflictError](err)
		if err == nil {
			return nil, refusal
		}
		if !ok {
			return nil, fmt.Errorf("%w: %w", errUnfenced, err)
		}
		h, err := c.verdict(ctx, a, conflict.Winner)
		switch {
		case errors.Is(err, errGone):
			unknown = err
		case is[*fencedError](err):
			return nil, refusal
		default:
			return c.conclude(ctx, a, h, err)
		}
	}
	return nil, unknown
}

// confirm waits until the head of each appending member shows the commit, which one of them
// has shown, so that the caller never meets an older head than the one returned. The commit
// stands even if the time for that is up.
func (c *commit) confirm(ctx context.Context, shown *appending, h head.Head) ([]head.Head, error) {
	heads := make([]head.Head, len(c.members))
	for i, m := range c.members {
		heads[i] = m.head
	}
	heads[shown.place] = h
	var group errgroup.Group
	group.SetLimit(maxRequests)
	for _, a := range c.appends {
		if a != shown {
			group.Go(func() (err error) {
				heads[a.place], err = c.await(ctx, shown, a)
				return err
			})
		}
	}
	err := group.Wait()
	if is[*fencedError](err) {
		err = &ConflictError{Expected: shown.from, Actual: h}
	}
	if err != nil {
		return nil, err
	}
	return heads, nil
}

// await returns the head of an appending member when it shows the commit. A repeated commit
// must show in all members after the heads given; otherwise it is a conflict.
func (c *commit) await(ctx context.Context, shown, a *appending) (head.Head, error) {
	for pauses := pause.New(); ; {
		h, err := c.verdict(ctx, a, nil)
		switch {
		case err == nil:
			return h, nil
		case final(err) && !shown.repeated:
			return head.Head{}, fmt.Errorf("chain %q: %w: it lacks a commit that %q has", a.chain.id, ErrHeadLost, shown.chain.id)
		case final(err):
			return head.Head{}, err
		case errors.Is(err, errGone), permanent(err), pauses.Wait(ctx) != nil:
			if shown.repeated {
				return head.Head{}, fmt.Errorf("repeat a commit: chain %q: %w", a.chain.id, err)
			}
			return a.to.WithToken(""), nil
		}
	}
}
