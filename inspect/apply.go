package inspect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/pause"
)

var (
	// ErrNotATip means that a plan was to be applied with a changeset that is
	// not one of its tips, or without a changeset although the plan does not
	// have exactly one tip. Nothing
	// was sent.
	ErrNotATip = errors.New("not one of the tips of the plan")
	// ErrHeadMoved means that the head is no longer the head of the plan: plan
	// again.
	ErrHeadMoved = errors.New("the head has changed meanwhile")
	// ErrUnknown means that it is unknown whether the head was written. Plan
	// again to find out: planning looks at the head first.
	ErrUnknown = errors.New("it is unknown whether the head was written")
)

const (
	applyAttempts = 10               // with pauses of a second and a half between them
	applyTimeout  = 10 * time.Second // of one request
)

// Apply writes the head that a plan of [Inspector.Rebuild] has found: one that
// names the tip at, by a swap from exactly the head of the plan. The zero Ref
// stands for the only tip. It returns the head as it is stored now.
//
// Its errors match [ErrNotATip]; [ErrHeadMoved], also if another writer has
// appended to the head that it has written; and [ErrUnknown] if no answer could
// be had. Any other error is one of the storage or the context, and
// nothing was written.
func (in *Inspector) Apply(ctx context.Context, plan Rebuilding, at changeset.Ref) (head.Head, error) {
	next, err := in.rebuilt(ctx, plan, at)
	if err != nil {
		return head.Head{}, err
	}
	unknown := error(nil) // of an attempt that may have been applied, or may be yet
	pauses := pause.New()
	for attempt := range applyAttempts {
		err := ctx.Err()
		if attempt > 0 {
			err = pauses.Wait(ctx)
		}
		if err != nil {
			return head.Head{}, undecided(plan, unknown, err)
		}
		got, err := in.swapOnce(ctx, plan.Head, next)
		if err == nil {
			return got, nil
		}
		if refused, ok := errors.AsType[*head.NotAppliedError](err); ok {
			if !refused.Retryable {
				return head.Head{}, undecided(plan, unknown, err)
			}
			continue
		}
		if _, conflict := errors.AsType[*head.ConflictError](err); !conflict {
			unknown = err
		}
		now, done, err := in.lookAgain(ctx, plan.Head, next)
		if done {
			return now, err
		}
	}
	return head.Head{}, undecided(plan, unknown, errors.New("the storage does not take it"))
}

// rebuilt returns the head that names a tip.
func (in *Inspector) rebuilt(ctx context.Context, plan Rebuilding, at changeset.Ref) (head.Head, error) {
	var tip *Tip
	for i := range plan.Tips {
		if plan.Tips[i].Ref == at || at == (changeset.Ref{}) && len(plan.Tips) == 1 {
			tip = &plan.Tips[i]
		}
	}
	if tip == nil {
		return head.Head{}, fmt.Errorf("%q: %w", plan.AggregateID, ErrNotATip)
	}
	seen, err := in.look(ctx, changeset.Object{Ref: tip.Ref}, false)
	if err != nil {
		return head.Head{}, err
	}
	if seen.fault != nil {
		return head.Head{}, corrupt(seen.fault, "")
	}
	if !seen.readable || seen.header.Digest != tip.Digest {
		return head.Head{}, corrupt(in.problem(tip.Ref, "it is not what it was when it was proved"), "")
	}
	next := link.Next(plan.Head, seen.header)
	next.Revision = plan.Revision
	return next, nil
}

func (in *Inspector) swapOnce(ctx context.Context, old, next head.Head) (head.Head, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	return in.heads.Swap(ctx, old, next)
}

// lookAgain finds out from the head, if it can, what became of a swap that did
// not report success. It looks even if the caller has gone in the meantime.
func (in *Inspector) lookAgain(ctx context.Context, old, next head.Head) (now head.Head, done bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	now, err = in.heads.Load(ctx, next.AggregateID)
	switch {
	case err != nil:
		return now, false, nil
	case now.SameRecord(next):
		return now, true, nil
	case now.SameRecord(old):
		return now, false, nil
	case !now.Exists():
		return head.Head{}, true, fmt.Errorf("%q: %w: it is gone", next.AggregateID, ErrHeadMoved)
	default:
		return head.Head{}, true, fmt.Errorf("%q: %w: it is %s at revision %d", next.AggregateID, ErrHeadMoved, now.Ref, now.Revision)
	}
}

// undecided returns the error that ends the attempts: what an earlier one left
// unknown stays unknown.
func undecided(plan Rebuilding, unknown, err error) error {
	if unknown == nil {
		return fmt.Errorf("rebuild the head of %q: %w", plan.AggregateID, err)
	}
	return fmt.Errorf("rebuild the head of %q: %w: %w", plan.AggregateID, ErrUnknown, errors.Join(unknown, err))
}
