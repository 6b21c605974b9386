package faults_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/link"
)

func TestLateTakesEffectOnRelease(t *testing.T) {
	for _, op := range writes {
		r := prepared(t, op)
		r.script.Next(op, faults.Fault{Kind: faults.Late})
		require.ErrorIs(t, r.do(t.Context(), op), faults.ErrInjected)
		require.Equal(t, 1, r.script.Pending())
		require.False(t, r.took(t, op))
		r.script.Release()
		require.True(t, r.took(t, op))
		require.Zero(t, r.script.Pending())
		r.script.Release()
		log := r.script.Log()
		require.Len(t, log, 2, "it arrives once")
		require.False(t, log[0].Arrived)
		require.ErrorIs(t, log[0].Err, faults.ErrInjected)
		require.True(t, log[1].Arrived)
		require.NoError(t, log[1].Err)
	}
}

func TestLatePutKeepsItsBytes(t *testing.T) {
	r := newRig(t)
	for _, op := range []faults.Op{faults.Put, faults.Commit} {
		r.script.Next(op, faults.Fault{Kind: faults.Late})
		require.Error(t, r.do(t.Context(), op))
		r.c.Body[0] ^= 1
		r.script.Release()
		r.c.Body[0] ^= 1
		got, err := r.inner.Get(t.Context(), r.c.Ref, nil)
		require.NoError(t, err)
		require.NoError(t, got.VerifyBody())
		require.NoError(t, r.inner.Delete(t.Context(), r.c.Ref))
	}
}

func TestLateTakesEffectAfterATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.script.Next(faults.Swap, faults.Fault{Kind: faults.Late, LateBy: time.Hour})
		require.ErrorIs(t, r.do(t.Context(), faults.Swap), faults.ErrInjected)
		time.Sleep(time.Hour - 1)
		synctest.Wait()
		require.False(t, r.took(t, faults.Swap))
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.True(t, r.took(t, faults.Swap))
	})
}

func TestLateTakesEffectAfterAnotherOperation(t *testing.T) {
	r := newRig(t)
	r.script.Next(faults.Put, faults.Fault{Kind: faults.Late, LateUntil: faults.Load, LateNth: 2})
	require.Error(t, r.do(t.Context(), faults.Put))
	require.NoError(t, r.do(t.Context(), faults.Load))
	require.Error(t, r.do(t.Context(), faults.Stat), "another operation, and it is not there yet")
	require.False(t, r.took(t, faults.Put))
	require.NoError(t, r.do(t.Context(), faults.Load))
	require.True(t, r.took(t, faults.Put))
}

func TestLateOvertakenByItsOwnRepetition(t *testing.T) {
	r := newRig(t)
	r.script.Next(faults.Swap, faults.Fault{Kind: faults.Late, LateUntil: faults.Swap})
	require.Error(t, r.do(t.Context(), faults.Swap))
	require.False(t, r.took(t, faults.Swap), "the call itself is not the next one")
	require.NoError(t, r.do(t.Context(), faults.Swap))
	log := r.script.Log()
	require.Len(t, log, 3)
	require.Equal(t, []int{1, 2, 1}, []int{log[0].Call, log[1].Call, log[2].Call})
	var conflict *head.ConflictError
	require.ErrorAs(t, log[2].Err, &conflict, "it came too late")
}

func TestHooksRunAtTheMoment(t *testing.T) {
	seen := func(r *rig, into *[]bool) func() {
		return func() { *into = append(*into, r.took(t, faults.Swap)) }
	}
	for kind, want := range map[faults.Kind][]bool{
		faults.None:    {false, true},
		faults.Lost:    {false, true},
		faults.Dropped: {false, false},
		faults.Refused: {false, false},
	} {
		r := newRig(t)
		var got []bool
		r.script.Next(faults.Swap, faults.Fault{Kind: kind, Before: seen(r, &got), After: seen(r, &got)})
		_ = r.do(t.Context(), faults.Swap)
		require.Equal(t, want, got, kind)
	}
	r := newRig(t)
	var got []bool
	r.script.Next(faults.Swap, faults.Fault{Kind: faults.Late, Before: seen(r, &got), After: seen(r, &got)})
	_ = r.do(t.Context(), faults.Swap)
	require.Equal(t, []bool{false}, got)
	r.script.Release()
	require.Equal(t, []bool{false, true}, got)
}

func TestAnotherWriterInAHook(t *testing.T) {
	r := newRig(t)
	_, other, err := link.Extend(head.Head{}, "a", make([]changeset.Draft, 1), time.Now())
	require.NoError(t, err)
	r.script.On(faults.Swap, 1, faults.Fault{Before: func() {
		_, err := r.heads.Swap(t.Context(), head.Head{}, other) // the second call, through the same script
		require.NoError(t, err)
	}})
	var conflict *head.ConflictError
	require.ErrorAs(t, r.do(t.Context(), faults.Swap), &conflict)
	require.Equal(t, other.Ref, conflict.Winner.Ref)
}

func TestPrecedenceAndReset(t *testing.T) {
	r := newRig(t)
	cause := func(s string) faults.Fault { return faults.Fault{Kind: faults.Dropped, Err: errors.New(s)} }
	r.script.Draw(func(op faults.Op, n int) faults.Fault { return cause(fmt.Sprintf("draw %s %d", op, n)) })
	r.script.Every(faults.Get, cause("every"))
	r.script.On(faults.Get, 2, cause("on"))
	require.ErrorContains(t, r.do(t.Context(), faults.Get), "every")
	require.ErrorContains(t, r.do(t.Context(), faults.Get), "on")
	r.script.Next(faults.Get, faults.Fault{})
	require.NotErrorIs(t, r.do(t.Context(), faults.Get), faults.ErrInjected)
	require.ErrorContains(t, r.do(t.Context(), faults.Load), "draw load 1")
	require.ErrorContains(t, r.do(t.Context(), faults.Load), "draw load 2")
	require.Equal(t, "load 2 (dropped) a@0.00000000-0000-0000-0000-000000000000 failed: "+
		r.script.Log()[4].Err.Error(), r.script.Log()[4].String())
	r.script.Reset()
	require.NoError(t, r.do(t.Context(), faults.Load))
	require.Equal(t, 1, r.script.Calls(faults.Load))
	require.Len(t, r.script.Log(), 1)
}

func TestConcurrentUse(t *testing.T) {
	r := newRig(t)
	r.script.Draw(func(_ faults.Op, n int) faults.Fault { return faults.Fault{Kind: faults.Kind(n % 4)} })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				_ = r.do(t.Context(), faults.Put)
				_ = r.do(t.Context(), faults.Load)
				r.script.Release()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 400, r.script.Calls(faults.Put))
	require.Zero(t, r.script.Pending())
}

func TestCombinedIsPassedOn(t *testing.T) {
	r := newRig(t)
	require.True(t, r.heads.Holds(r.changesets))
	require.False(t, r.heads.Holds(r.inner), "not under this script")
	require.False(t, r.heads.Holds(new(faults.Script).Changesets(r.inner)), "another script")
	require.False(t, r.heads.Holds(r.script.Changesets(memstore.New())), "another store")
	two := faults.TwoSteps(r.heads)
	require.False(t, two.(head.Combined).Holds(r.changesets))
	require.False(t, r.script.Heads(two).(head.Combined).Holds(r.changesets))
}

func TestRefusedSwapsAreNoCall(t *testing.T) {
	r := newRig(t)
	r.script.Every(faults.Swap, faults.Fault{Kind: faults.Lost})
	var notApplied *head.NotAppliedError
	_, err := r.heads.Swap(t.Context(), r.next, r.next)
	require.ErrorAs(t, err, &notApplied)
	_, err = r.heads.Commit(t.Context(), nil, r.next, r.next)
	require.ErrorAs(t, err, &notApplied)
	require.Empty(t, r.script.Log())
}

func TestListingsPass(t *testing.T) {
	r := newRig(t)
	require.NoError(t, r.do(t.Context(), faults.Commit))
	for o, err := range r.changesets.(changeset.Lister).Objects(t.Context(), "a") {
		require.NoError(t, err)
		require.Equal(t, r.c.Ref, o.Ref)
	}
	for id, err := range r.changesets.(changeset.Lister).Aggregates(t.Context(), "") {
		require.NoError(t, err)
		require.Equal(t, "a", id)
	}
	for h, err := range r.heads.List(t.Context(), "") {
		require.NoError(t, err)
		require.Equal(t, r.next.Ref, h.Ref)
	}
	require.Equal(t, r.inner.Locate(r.c.Ref), r.changesets.(changeset.Locator).Locate(r.c.Ref))
}
