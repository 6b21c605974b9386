package ropewalk_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/chaintest"
)

// No answer ever comes. A caller with a deadline waits for the settle timeout
// more, and a caller without a deadline for twice that time.
func TestAnAppendEnds(t *testing.T) {
	const settle = 10 * time.Second
	for _, row := range []struct{ patience, want time.Duration }{
		{time.Second, time.Second + settle}, {15 * time.Second, 2 * settle}, {time.Hour, 2 * settle},
	} {
		for _, combined := range []bool{false, true} {
			for name, do := range map[string]func(context.Context, *chaintest.World) error{
				"append": func(ctx context.Context, w *chaintest.World) error {
					return lastOf(w.Chain.Append(ctx, w.Before, w.Drafts...))
				},
				"update": func(ctx context.Context, w *chaintest.World) error {
					return lastOf(w.Chain.Update(ctx, func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) { return w.Drafts, nil }))
				},
			} {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, chaintest.Situation{Existing: 1, Size: 1, Combined: combined})
					w.Script.Every(faults.Swap, faults.Fault{Kind: faults.HangBefore, Before: func() {
						w.Script.Every(faults.Load, faults.Fault{Kind: faults.HangBefore})
					}})
					ctx, cancel := context.WithTimeout(t.Context(), row.patience)
					defer cancel()
					start := time.Now()
					require.ErrorAs(t, do(ctx, w), new(*ropewalk.UncertainError), name)
					require.Equal(t, row.want, time.Since(start), name)
				})
			}
		}
	}
}

func lastOf[T any](_ T, err error) error { return err }

// A storage that refuses for a while, and then gives no answer at all: when the
// time is up, the error says why, and not only that it is up.
func TestTheLastCauseIsReported(t *testing.T) {
	for _, combined := range []bool{false, true} {
		for _, kind := range []faults.Kind{faults.Refused, faults.None} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, chaintest.Situation{Existing: 1, Size: 1, Combined: combined})
				busy := errors.New("busy")
				w.Script.Every(faults.Swap, faults.Fault{Kind: faults.Refused, Retryable: true, Err: busy, DelayAfter: time.Second})
				if kind == faults.None { // the last one waits until the time is up, and is not applied
					w.Chain = ropewalk.New(w.Storage.Changesets, waiting{w.Storage.Heads, busy, new(int)}, nil).Chain("order-1")
				}
				_, err := w.Chain.Append(t.Context(), w.Before, w.Drafts...)
				require.ErrorIs(t, err, busy)
				require.NotErrorIs(t, err, context.DeadlineExceeded, "the caller has set no deadline")
				require.NotErrorAs(t, err, new(*ropewalk.UncertainError))
			})
		}
	}
}

// waiting is a store whose head is locked by another process: it says so once,
// and then waits for the lock.
type waiting struct {
	head.Store
	busy  error
	swaps *int
}

func (s waiting) Swap(ctx context.Context, _, _ head.Head) (head.Head, error) {
	if *s.swaps++; *s.swaps == 1 {
		return head.Head{}, &head.NotAppliedError{Retryable: true, Err: s.busy}
	}
	<-ctx.Done()
	return head.Head{}, &head.NotAppliedError{Retryable: true, Err: ctx.Err()}
}
