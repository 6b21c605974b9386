package ropewalk_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// A Settle whose fence meets a step of several heads that is under way is refused for the
// moment, and then finds what the step has made of the head. An append to such a head gets
// through as well.
func TestSettleAndAppendMeetAStep(t *testing.T) {
	for name, appends := range map[string]bool{"settle": false, "append": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { meetAStep(t, appends) })
		})
	}
}

func meetAStep(t *testing.T, appends bool) {
	db, script := memstore.New(), &faults.Script{}
	store := ropewalk.New(script.Changesets(db), script.Heads(db), nil)
	exchanges := []head.Exchange{extending(t, store, "a"), extending(t, store, "b")}
	locked := exchanges[1]
	done := make(chan error, 1)
	script.Next(faults.SwapAll, faults.Fault{Between: func(int) {
		go func() {
			chain := store.Chain("b")
			if appends {
				_, err := chain.Append(t.Context(), locked.Old, ropewalk.Draft{Content: []byte("late")})
				done <- err
				return
			}
			_, err := chain.Settle(t.Context(), locked.Next.Ref, locked.Old.Revision)
			done <- err
		}()
		for !refusedOnce(script) {
			time.Sleep(time.Millisecond)
		}
	}})
	heads, ok := head.As[head.Transactor](store.HeadStore())
	require.True(t, ok)
	_, err := heads.SwapAll(t.Context(), exchanges)
	require.NoError(t, err)
	if err := <-done; appends {
		var conflict *ropewalk.ConflictError
		require.ErrorAs(t, err, &conflict)
		require.Equal(t, locked.Next.Ref, conflict.Actual.Ref)
	} else {
		require.NoError(t, err, "the step has committed it")
	}
	h, err := store.Chain("b").Head(t.Context())
	require.NoError(t, err)
	require.True(t, h.SameRecord(locked.Next), "nothing has fenced the head")
}

// extending creates an aggregate, and returns an exchange that appends to it.
func extending(t *testing.T, store *ropewalk.Store, id string) head.Exchange {
	h, err := store.Chain(id).Create(t.Context(), ropewalk.Draft{})
	require.NoError(t, err)
	cs, next, err := link.Extend(h, id, make([]changeset.Draft, 1), time.Now())
	require.NoError(t, err)
	require.NoError(t, store.Changesets().Put(t.Context(), cs[0]))
	return head.Exchange{AggregateID: id, Old: h, Next: next}
}

// refusedOnce reports whether a swap was refused because of a step.
func refusedOnce(script *faults.Script) bool {
	return slices.ContainsFunc(script.Log(), func(e faults.Event) bool {
		refused, ok := errors.AsType[*head.NotAppliedError](e.Err)
		return ok && refused.Retryable && (e.Op == faults.Swap || e.Op == faults.Commit)
	})
}
