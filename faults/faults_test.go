package faults_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

var errCause = errors.New("cause")

// combined is a store of heads that puts and swaps in one step.
type combined interface {
	head.Store
	head.Combined
}

// oneByOne reads many changesets by one call.
type oneByOne struct{ *memstore.Store }

func (s oneByOne) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) (all []changeset.Changeset, _ error) {
	for _, ref := range refs {
		c, err := s.Get(ctx, ref, admission)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// rig is a store under a script, and an append to it that each operation is part of.
type rig struct {
	script     faults.Script
	inner      *memstore.Store
	changesets changeset.Store
	many       changeset.ManyGetter
	heads      combined
	c          changeset.Changeset
	next       head.Head
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{inner: memstore.New()}
	r.changesets = r.script.Changesets(r.inner)
	many, ok := changeset.As[changeset.ManyGetter](r.script.Changesets(oneByOne{r.inner}))
	require.True(t, ok)
	r.many = many
	r.heads = r.script.Heads(r.inner).(combined)
	built, next, err := link.Extend(head.Head{}, "a", []changeset.Draft{{Content: []byte("x")}}, time.Now())
	require.NoError(t, err)
	r.c, r.next = built[0], next
	return r
}

// do calls one operation; reads and deletes find the changeset that is there.
func (r *rig) do(ctx context.Context, op faults.Op) error {
	var err error
	switch op {
	case faults.Put:
		err = r.changesets.Put(ctx, r.c)
	case faults.Get:
		_, err = r.changesets.Get(ctx, r.c.Ref, nil)
	case faults.Stat:
		_, err = r.changesets.Stat(ctx, r.c.Ref)
	case faults.Delete:
		err = r.changesets.(changeset.Deleter).Delete(ctx, r.c.Ref)
	case faults.Load:
		_, err = r.heads.Load(ctx, r.c.AggregateID)
	case faults.Swap:
		_, err = r.heads.Swap(ctx, head.Head{}, r.next)
	case faults.Commit:
		_, err = r.heads.Commit(ctx, []changeset.Changeset{r.c}, head.Head{}, r.next)
	case faults.GetMany:
		_, err = r.many.GetMany(ctx, []changeset.Ref{r.c.Ref}, nil)
	}
	return err
}

// took reports whether a write took effect.
func (r *rig) took(t *testing.T, op faults.Op) bool {
	t.Helper()
	h, err := r.inner.Load(t.Context(), r.c.AggregateID)
	require.NoError(t, err)
	_, err = r.inner.Stat(t.Context(), r.c.Ref)
	switch op {
	case faults.Put:
		return err == nil
	case faults.Delete:
		return err != nil
	case faults.Commit:
		require.Equal(t, err == nil, h.Exists(), "both or neither")
		return h.Exists()
	default:
		return h.Exists()
	}
}

var (
	writes = []faults.Op{faults.Put, faults.Delete, faults.Swap, faults.Commit}
	reads  = []faults.Op{faults.Get, faults.Stat, faults.Load, faults.GetMany}
)

func prepared(t *testing.T, op faults.Op) *rig {
	t.Helper()
	r := newRig(t)
	if slices.Contains([]faults.Op{faults.Delete, faults.Get, faults.Stat, faults.GetMany}, op) {
		require.NoError(t, r.inner.Put(t.Context(), r.c))
	}
	return r
}

// requireUnknown checks an error that must not say whether it was applied.
func requireUnknown(t *testing.T, err error) {
	t.Helper()
	var conflict *head.ConflictError
	var notApplied *head.NotAppliedError
	require.ErrorIs(t, err, faults.ErrInjected)
	require.ErrorIs(t, err, errCause)
	require.NotErrorAs(t, err, &conflict)
	require.NotErrorAs(t, err, &notApplied)
}

func TestKinds(t *testing.T) {
	table := []struct {
		kind faults.Kind
		took bool
	}{
		{faults.Dropped, false},
		{faults.Lost, true},
		{faults.Late, false},
	}
	for _, row := range table {
		for _, op := range append(writes, reads...) {
			t.Run(row.kind.String()+" "+op.String(), func(t *testing.T) {
				r := prepared(t, op)
				r.script.On(op, 1, faults.Fault{Kind: row.kind, Err: errCause})
				requireUnknown(t, r.do(t.Context(), op))
				if !slices.Contains(reads, op) {
					require.Equal(t, row.took, r.took(t, op))
				}
				require.Equal(t, 1, r.script.Calls(op))
				_ = r.do(t.Context(), op)
				require.Equal(t, 2, r.script.Calls(op))
				require.NotErrorIs(t, r.do(t.Context(), op), faults.ErrInjected, "only the first call")
			})
		}
	}
}

func TestRefused(t *testing.T) {
	for _, op := range append(writes, reads...) {
		for _, retryable := range []bool{false, true} {
			r := prepared(t, op)
			r.script.Every(op, faults.Fault{Kind: faults.Refused, Retryable: retryable, Err: errCause})
			err := r.do(t.Context(), op)
			require.ErrorIs(t, err, faults.ErrInjected)
			require.ErrorIs(t, err, errCause)
			var notApplied *head.NotAppliedError
			isSwap := op == faults.Swap || op == faults.Commit
			require.Equal(t, isSwap, errors.As(err, &notApplied), op)
			if isSwap {
				require.Equal(t, retryable, notApplied.Retryable)
			}
			require.Len(t, r.script.Log(), 1, "it did not arrive")
			require.False(t, r.script.Log()[0].Arrived)
			r.script.Every(op, faults.Fault{})
			require.NoError(t, r.do(t.Context(), op))
		}
	}
}

func TestHang(t *testing.T) {
	for _, kind := range []faults.Kind{faults.HangBefore, faults.HangAfter} {
		for _, op := range append(writes, reads...) {
			synctest.Test(t, func(t *testing.T) {
				r := prepared(t, op)
				r.script.Next(op, faults.Fault{Kind: kind, Err: errCause})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				err := r.do(ctx, op)
				requireUnknown(t, err)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, time.Minute, time.Since(start))
				require.Equal(t, kind == faults.HangAfter, r.script.Log()[0].Arrived)
			})
		}
	}
}

func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		start := time.Now()
		at := func(want time.Duration) func() {
			return func() { require.Equal(t, want, time.Since(start)) }
		}
		r.script.Next(faults.Put, faults.Fault{DelayBefore: 2 * time.Second, DelayAfter: 3 * time.Second, After: at(2 * time.Second)})
		require.NoError(t, r.do(t.Context(), faults.Put))
		at(5 * time.Second)()
	})
}

func TestContextEndsDuringADelay(t *testing.T) {
	for _, f := range []faults.Fault{{DelayBefore: time.Hour, Err: errCause}, {DelayAfter: time.Hour, Err: errCause}} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.script.Next(faults.Swap, f)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := r.do(ctx, faults.Swap)
			requireUnknown(t, err)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, f.DelayAfter > 0, r.took(t, faults.Swap))
		})
	}
}

// Faults of swaps strike in every form of a store, whether they are set for the
// next call, for a number, or for every call.
func TestSwapFaultsStrikeEveryFormOfAStore(t *testing.T) {
	kinds := []faults.Kind{faults.Dropped, faults.Lost, faults.Late, faults.Refused, faults.HangBefore, faults.HangAfter}
	for _, op := range []faults.Op{faults.Swap, faults.Commit} { // how the store swaps
		for _, set := range []func(*faults.Script, faults.Fault){
			func(s *faults.Script, f faults.Fault) { s.On(faults.Swap, 1, f) },
			func(s *faults.Script, f faults.Fault) { s.Next(faults.Swap, f) },
			func(s *faults.Script, f faults.Fault) { s.Every(faults.Swap, f) },
		} {
			for _, kind := range kinds {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t)
					set(&r.script, faults.Fault{Kind: kind, Err: errCause})
					require.Len(t, r.script.Unused(), 1)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					require.ErrorIs(t, r.do(ctx, op), errCause)
					require.Empty(t, r.script.Unused())
					require.Equal(t, 1, r.script.Calls(faults.Swap))
					require.Equal(t, kind == faults.Lost || kind == faults.HangAfter, r.took(t, op))
					require.Equal(t, op, r.script.Log()[0].Op)
					r.script.Release()
					require.Equal(t, kind == faults.Lost || kind == faults.HangAfter || kind == faults.Late, r.took(t, op))
				})
			}
		}
	}
}

func TestFaultOfACommitComesBeforeOneOfASwap(t *testing.T) {
	r := newRig(t)
	r.script.On(faults.Swap, 1, faults.Fault{Kind: faults.Lost})
	r.script.On(faults.Commit, 1, faults.Fault{Kind: faults.Dropped})
	require.Error(t, r.do(t.Context(), faults.Commit))
	require.False(t, r.took(t, faults.Commit))
	require.Equal(t, "[swap 1: lost]", fmt.Sprint(r.script.Unused()))
	require.NoError(t, r.do(t.Context(), faults.Swap), "it is the second swap")
	require.Equal(t, 2, r.script.Calls(faults.Swap))
	require.Equal(t, 1, r.script.Calls(faults.Commit))
}

func TestLateUntilACommitWhichIsASwap(t *testing.T) {
	r := newRig(t)
	r.script.Next(faults.Commit, faults.Fault{Kind: faults.Late, LateUntil: faults.Swap})
	require.Error(t, r.do(t.Context(), faults.Commit))
	require.False(t, r.took(t, faults.Commit), "the call itself does not count")
	r.script.Next(faults.Commit, faults.Fault{Kind: faults.Dropped})
	require.Error(t, r.do(t.Context(), faults.Commit))
	require.True(t, r.took(t, faults.Commit))
}

func TestUnused(t *testing.T) {
	r := newRig(t)
	lost := faults.Fault{Kind: faults.Lost}
	require.Empty(t, r.script.Unused())
	r.script.On(faults.Put, 2, lost)
	r.script.Every(faults.Load, lost)
	r.script.Every(faults.Get, lost)
	r.script.On(faults.Stat, 1, lost)
	r.script.On(faults.Stat, 1, faults.Fault{Kind: faults.Dropped}) // instead
	require.Equal(t, "[put 2: lost every load: lost every get: lost stat 1: dropped]", fmt.Sprint(r.script.Unused()))
	require.NoError(t, r.do(t.Context(), faults.Put))
	require.Error(t, r.do(t.Context(), faults.Load))
	require.Error(t, r.do(t.Context(), faults.Load), "every one")
	r.script.Every(faults.Get, faults.Fault{})
	require.NoError(t, r.do(t.Context(), faults.Get), "it has ended")
	require.Equal(t, "[put 2: lost every get: lost stat 1: dropped]", fmt.Sprint(r.script.Unused()))
	require.Error(t, r.do(t.Context(), faults.Put))
	require.Error(t, r.do(t.Context(), faults.Stat))
	require.Equal(t, "[every get: lost]", fmt.Sprint(r.script.Unused()))
	r.script.Reset()
	require.Empty(t, r.script.Unused())
}

func TestEndedContextSendsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, op := range append(writes, reads...) {
		r := prepared(t, op)
		r.script.Every(op, faults.Fault{Kind: faults.Lost})
		require.ErrorIs(t, r.do(ctx, op), context.Canceled)
		require.Zero(t, r.script.Calls(op))
		require.Empty(t, r.script.Log())
	}
}
