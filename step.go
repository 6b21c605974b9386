package ropewalk

import (
	"context"
	"errors"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/pause"
)

// step is the one step of the storage that commits what was built: the swap of one head,
// for an append, or of several heads, for a commit of several aggregates. T is what it
// makes of the heads.
type step[T any] interface {
	// swap sends the step once.
	swap(ctx context.Context) (T, error)
	// outcomeOf turns the outcome of one swap into the outcome of the step. Its error is
	// not final if the outcome of the step is unknown.
	outcomeOf(ctx context.Context, got T, err error) (T, error)
	// reload judges the step by the present heads. Its error is errPending if it makes no
	// difference whether the first swap takes effect or a repeated one.
	reload(ctx context.Context) (T, error)
	// last is the changeset that stands for the step.
	last() changeset.Ref
	// uncertain returns the error for an outcome that is unknown.
	uncertain(cause error) *UncertainError
	// String says what the step does, for errors.
	String() string
}

// errTimeUp is the cause of the end of an attempt's own time, which is not the
// caller's deadline.
var errTimeUp = errors.New("the swap was not possible in the time for it")

// carryOut sends a step, and returns when the outcome is known or when the time for it is
// up.
//
// While every swap so far was refused before it took effect, nothing can have
// been committed, and the caller's context rules, within a bound. After the
// first swap whose outcome is unknown, only the storage can say whether the
// step is committed: see resolve.
func carryOut[T any](ctx context.Context, store *Store, s step[T]) (none T, _ error) {
	bounded, cancel := context.WithTimeoutCause(ctx, store.options.SettleTimeout, errTimeUp)
	defer cancel()
	var cause error
	for pauses := pause.New(); ; {
		got, err := s.swap(bounded)
		refused, ok := errors.AsType[*head.NotAppliedError](err)
		if !ok {
			if got, err = s.outcomeOf(bounded, got, err); !final(err) {
				return resolve(ctx, store, s, err)
			}
			return got, err
		}
		cause = lastCause(bounded, cause, err)
		if !refused.Retryable || pauses.Wait(bounded) != nil {
			return none, fmt.Errorf("%s: %w", s, errors.Join(ctx.Err(), cause))
		}
	}
}

// resolve finds out the outcome of a step after a swap whose outcome is
// unknown. It loads the head, and while that is still the expected head it
// repeats the identical swap: it makes no difference whether the first swap
// takes effect or a repeated one. It outlives the caller's context, but not for
// long.
func resolve[T any](ctx context.Context, store *Store, s step[T], cause error) (none T, _ error) {
	store.options.Logger.WarnContext(ctx, "outcome of swap unknown, looking it up", "ref", s.last(), "cause", cause)
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), store.options.SettleTimeout)
	defer cancel()
	for pauses := pause.New(); ; {
		got, err := s.reload(detached)
		if errors.Is(err, errPending) {
			got, err = s.swap(detached)
			got, err = s.outcomeOf(detached, got, err)
		}
		if final(err) {
			return got, err
		}
		cause = lastCause(detached, cause, err)
		if permanent(err) || pauses.Wait(detached) != nil {
			return none, s.uncertain(errors.Join(context.Cause(ctx), cause))
		}
	}
}
