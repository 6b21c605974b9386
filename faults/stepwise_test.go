package faults_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// stepRig is a store with three heads under a script, and a step that replaces the first
// and the last of them if the second is unchanged.
type stepRig struct {
	script faults.Script
	inner  *memstore.Store
	heads  interface {
		combined
		head.Transactor
	}
	old       []head.Head
	exchanges []head.Exchange
}

func newStepRig(t *testing.T) *stepRig {
	t.Helper()
	r := &stepRig{inner: memstore.New()}
	r.heads = r.script.Heads(r.inner).(interface {
		combined
		head.Transactor
	})
	for _, id := range []string{"a", "b", "c"} {
		_, h, err := link.Extend(head.Head{}, id, make([]changeset.Draft, 1), time.Now())
		require.NoError(t, err)
		h, err = r.inner.Swap(t.Context(), head.Head{}, h)
		require.NoError(t, err)
		e := head.Exchange{AggregateID: id, Old: h}
		if id != "b" {
			e.Changesets, e.Next, err = link.Extend(h, id, []changeset.Draft{{Content: []byte("x")}}, time.Now())
			require.NoError(t, err)
		}
		r.old, r.exchanges = append(r.old, h), append(r.exchanges, e)
	}
	return r
}

// swapped reports which of the heads are replaced.
func (r *stepRig) swapped(t *testing.T) (all []bool) {
	t.Helper()
	for i, e := range r.exchanges {
		h, err := r.heads.Load(t.Context(), e.AggregateID)
		require.NoError(t, err)
		all = append(all, !h.SameRecord(r.old[i]))
		for _, c := range e.Changesets {
			_, err := r.inner.Stat(t.Context(), c.Ref)
			require.Equal(t, all[i], err == nil, "the changesets come with the head")
		}
	}
	return all
}

// fence tries to fence each head, and reports which is refused because of a step.
func (r *stepRig) fence(t *testing.T) (refused []bool) {
	t.Helper()
	for _, e := range r.exchanges {
		h, err := r.inner.Load(t.Context(), e.AggregateID)
		require.NoError(t, err)
		_, err = r.heads.Swap(t.Context(), h, link.Fence(h))
		if err != nil {
			requireLocked(t, err)
		}
		refused = append(refused, err != nil)
	}
	return refused
}

func requireLocked(t *testing.T, err error) {
	t.Helper()
	var refused *head.NotAppliedError
	require.ErrorAs(t, err, &refused)
	require.True(t, refused.Retryable)
	require.NotErrorIs(t, err, faults.ErrInjected)
}

// TestBetweenTheHeadsOfAStep: readers find each head at its own moment, and the heads that
// are still to be replaced are locked.
func TestBetweenTheHeadsOfAStep(t *testing.T) {
	r := newStepRig(t)
	var places []int
	r.script.Next(faults.SwapAll, faults.Fault{Between: func(place int) {
		places = append(places, place)
		require.Equal(t, []bool{true, false, false}, r.swapped(t))
		_, err := r.heads.SwapAll(t.Context(), r.exchanges)
		requireLocked(t, err)
		_, err = r.heads.Commit(t.Context(), nil, r.old[2], link.Fence(r.old[2]))
		requireLocked(t, err)
		if place == 1 {
			h, err := r.heads.Load(t.Context(), "a")
			require.NoError(t, err)
			_, err = r.heads.Swap(t.Context(), h, link.Fence(h))
			require.NoError(t, err, "it is unlocked")
			return
		}
		_, err = r.heads.Swap(t.Context(), r.old[1], link.Fence(r.old[1]))
		require.NoError(t, err, "a head that is only tested is unlocked in its place")
	}})
	heads, err := r.heads.SwapAll(t.Context(), r.exchanges)
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, places)
	for i, e := range r.exchanges {
		want := e.Next
		if want.IsZero() {
			want = e.Old
		}
		require.True(t, heads[i].SameRecord(want))
	}
	require.Equal(t, []bool{false, false, false}, r.fence(t), "nothing stays locked")
	require.Empty(t, r.script.Unused())
}

// TestStepsHeadByHeadInPairs: two steps that share a head do not overlap, whatever the
// order of their heads.
func TestStepsHeadByHeadInPairs(t *testing.T) {
	r := newStepRig(t)
	never := func(int) { require.Fail(t, "the step is refused as a whole") }
	r.script.On(faults.SwapAll, 2, faults.Fault{Between: never})
	r.script.On(faults.SwapAll, 1, faults.Fault{Between: func(place int) {
		if place > 1 {
			return
		}
		e := r.exchanges[2]
		_, other, err := link.Extend(head.Head{}, "d", make([]changeset.Draft, 1), time.Now())
		require.NoError(t, err)
		_, err = r.heads.SwapAll(t.Context(), []head.Exchange{{AggregateID: "d", Next: other}, e})
		requireLocked(t, err)
		_, err = r.heads.Swap(t.Context(), head.Head{}, other)
		require.NoError(t, err, "a step that is refused locks nothing")
	}})
	_, err := r.heads.SwapAll(t.Context(), r.exchanges)
	require.NoError(t, err)
	require.Equal(t, []bool{true, false, true}, r.swapped(t))
}

// TestStepHeadByHeadMeetsASwap that is under way in another call.
func TestStepHeadByHeadMeetsASwap(t *testing.T) {
	r := newStepRig(t)
	inner := &hooked{Store: r.inner}
	heads := r.script.Heads(inner)
	x, ok := head.As[head.Transactor](heads)
	require.True(t, ok)
	inner.hook = func() {
		r.script.Next(faults.SwapAll, faults.Fault{Between: func(int) {}})
		_, err := x.SwapAll(t.Context(), r.exchanges)
		requireLocked(t, err)
	}
	_, err := heads.Swap(t.Context(), r.old[2], link.Fence(r.old[2]))
	require.NoError(t, err)
	r.script.Next(faults.SwapAll, faults.Fault{Between: func(int) {}})
	_, err = x.SwapAll(t.Context(), r.exchanges)
	var conflicts *head.ConflictsError
	require.ErrorAs(t, err, &conflicts)
	require.Len(t, conflicts.Winners, 1)
	require.True(t, conflicts.Winners["c"].SameRecord(link.Fence(r.old[2])))
}

// hooked runs a hook while a swap is at the store.
type hooked struct {
	*memstore.Store
	hook func()
}

func (s *hooked) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	s.hook()
	return s.Store.Swap(ctx, old, next)
}

// apart is a store of heads that keeps no changesets.
type apart struct {
	head.Store
	head.Transactor
}

func TestStepHeadByHeadOfHeadsAlone(t *testing.T) {
	r := newStepRig(t)
	x, ok := head.As[head.Transactor](r.script.Heads(apart{r.inner, r.inner}))
	require.True(t, ok)
	r.script.Next(faults.SwapAll, faults.Fault{Between: func(int) {}})
	heads, err := x.SwapAll(t.Context(), r.exchanges)
	require.NoError(t, err)
	for _, h := range heads {
		stored, err := r.inner.Load(t.Context(), h.AggregateID)
		require.NoError(t, err)
		require.True(t, stored.SameRecord(h))
	}
	for _, e := range r.exchanges {
		for _, c := range e.Changesets {
			_, err := r.inner.Stat(t.Context(), c.Ref)
			require.ErrorIs(t, err, changeset.ErrNotFound)
		}
	}
}

// TestFaultsOfSteps: each kind at the step as a whole, with the heads replaced at once and
// one by one.
func TestFaultsOfSteps(t *testing.T) {
	for _, between := range []func(int){nil, func(int) {}} {
		for kind, took := range map[faults.Kind]bool{faults.Dropped: false, faults.Lost: true, faults.Late: false, faults.Refused: false} {
			r := newStepRig(t)
			r.script.Next(faults.SwapAll, faults.Fault{Kind: kind, Between: between, Retryable: true, Err: errCause})
			_, err := r.heads.SwapAll(t.Context(), r.exchanges)
			if kind == faults.Refused {
				var refused *head.NotAppliedError
				require.ErrorAs(t, err, &refused)
				require.True(t, refused.Retryable)
			} else {
				requireUnknown(t, err)
				var conflicts *head.ConflictsError
				require.NotErrorAs(t, err, &conflicts)
			}
			require.Equal(t, []bool{took, false, took}, r.swapped(t), kind)
			r.script.Release()
			late := took || kind == faults.Late
			require.Equal(t, []bool{late, false, late}, r.swapped(t), kind)
			require.Equal(t, 1, r.script.Calls(faults.SwapAll))
			require.Zero(t, r.script.Calls(faults.Swap)+r.script.Calls(faults.Commit), "a step is no swap")
		}
	}
}

// TestStepIsDecidedOn: a context that ends between two heads does not end the step.
func TestStepIsDecidedOn(t *testing.T) {
	r := newStepRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	r.script.Next(faults.SwapAll, faults.Fault{Between: func(int) { cancel() }, Kind: faults.Lost, Err: errCause})
	_, err := r.heads.SwapAll(ctx, r.exchanges)
	requireUnknown(t, err)
	require.Equal(t, []bool{true, false, true}, r.swapped(t))
}

// TestStepThatMeetsAForeignSwap: a swap that goes past the script has no locks to respect.
// The step is then half done, and its error says nothing of the outcome.
func TestStepThatMeetsAForeignSwap(t *testing.T) {
	r := newStepRig(t)
	r.script.Next(faults.SwapAll, faults.Fault{Between: func(place int) {
		if place == 2 {
			_, err := r.inner.Swap(t.Context(), r.old[2], link.Fence(r.old[2]))
			require.NoError(t, err)
		}
	}})
	_, err := r.heads.SwapAll(t.Context(), r.exchanges)
	require.ErrorContains(t, err, `cannot swap the head of "c"`)
	var conflict *head.ConflictError
	require.NotErrorAs(t, err, &conflict)
	require.Equal(t, []bool{false, false, false}, r.fence(t), "nothing stays locked")
}
