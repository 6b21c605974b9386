package chaintest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
)

// Situation is an append to be done, and the world that it is done in.
type Situation struct {
	Existing int    // appends in the chain before
	Void     bool   // the chain was fenced before it existed
	Size     int    // changesets of the append
	Command  string // its command ID
	Combined bool   // put and swap in one step, where the storage can
	Rival    bool   // another writer appends when the fault strikes
	Timeout  bool   // the caller's context ends soon
	Packed   bool   // the append is to a packed chain
}

// Situations returns every situation.
func Situations() (all []Situation) {
	for _, existing := range []int{0, 3} {
		for _, size := range []int{1, 3} {
			for _, command := range []string{"", "command-1"} {
				for bits := range 8 {
					s := Situation{Existing: existing, Size: size, Command: command, Combined: bits&1 > 0, Rival: bits&2 > 0, Timeout: bits&4 > 0}
					all = append(all, s)
					if s.Void = true; existing == 0 && size == 3 && command == "" {
						all = append(all, s)
					}
				}
			}
		}
	}
	return all
}

// Step is one request of an append that goes wrong.
type Step struct {
	Op    faults.Op
	Call  int
	Fault faults.Fault
}

// String names the step for a subtest.
func (s Step) String() string {
	f := s.Fault
	return fmt.Sprintf("%s %d: %s, delays %s %s, late by %s until %s, retryable %v", s.Op, s.Call, f.Kind, f.DelayBefore, f.DelayAfter, f.LateBy, f.LateUntil, f.Retryable)
}

// Steps returns every request of the situation's append, gone wrong in every way.
func (s Situation) Steps(unit time.Duration) (all []Step) {
	calls := map[faults.Op]int{faults.Put: s.Size, faults.Swap: 2, faults.Load: 2, faults.Stat: 1}
	if s.Packed {
		calls[faults.Put], calls[faults.Get] = 1, 1
	}
	if s.Void { // the append is built twice
		calls[faults.Put] *= 2
		calls[faults.Swap]++
	}
	if s.Combined {
		delete(calls, faults.Put)
	}
	for _, op := range slices.Sorted(maps.Keys(calls)) {
		for call := range calls[op] {
			for _, f := range Faults(op, unit) {
				all = append(all, Step{op, call + 1, f})
			}
		}
	}
	return all
}

// Faults returns every way in which one request can go wrong.
func Faults(op faults.Op, unit time.Duration) (all []faults.Fault) {
	for _, k := range []faults.Kind{faults.Dropped, faults.Lost, faults.HangBefore, faults.HangAfter} {
		all = append(all, faults.Fault{Kind: k})
	}
	return append(all,
		faults.Fault{DelayBefore: 3 * unit}, faults.Fault{DelayAfter: 3 * unit},
		faults.Fault{Kind: faults.Late}, faults.Fault{Kind: faults.Late, LateBy: unit / 100},
		faults.Fault{Kind: faults.Late, LateBy: 30 * unit},
		faults.Fault{Kind: faults.Late, LateUntil: faults.Load}, faults.Fault{Kind: faults.Late, LateUntil: op},
		faults.Fault{Kind: faults.Refused}, faults.Fault{Kind: faults.Refused, Retryable: true})
}

// World is a chain under faults, and an append to be done on it.
type World struct {
	testing.TB
	Situation
	Storage Storage
	Script  faults.Script
	Chain   *ropewalk.Chain // under faults
	settler *ropewalk.Chain // the same, with time to settle
	Before  head.Head
	Drafts  []changeset.Draft
}

// NewWorld brings the situation about in the storage.
func NewWorld(t testing.TB, s Storage, situation Situation) *World {
	w := &World{TB: t, Situation: situation, Storage: s}
	w.Chain = s.Faulty(&w.Script, !situation.Combined)
	w.settler = s.faulty(&w.Script, !situation.Combined, 10*s.Unit+s.Slack)
	if situation.Void {
		s.Fence(t)
		s.Fence(t)
	}
	for i := range situation.Existing {
		var err error
		w.Before, err = s.Direct().Append(t.Context(), w.Before, Draft(fmt.Sprintf("before-%d", i)))
		require.NoError(t, err)
	}
	for i := range situation.Size {
		d := Draft(fmt.Sprintf("mine-%d", i))
		d.CommandID = situation.Command
		w.Drafts = append(w.Drafts, d)
	}
	return w
}

// TestOutcome lets one request of the append go wrong, and compares the outcome
// that the caller gets with the chain: at once, and again when every request
// that was still under way has arrived. An uncertain append is settled before
// that, and again afterwards.
func TestOutcome(t testing.TB, s Storage, situation Situation, step Step) {
	w := NewWorld(t, s, situation)
	if situation.Rival {
		step.Fault.After = w.AppendRival
	}
	w.Script.On(step.Op, step.Call, step.Fault)
	if step.Op == faults.Load || step.Op == faults.Stat || step.Op == faults.Get { // reached only when a swap goes wrong first
		w.Script.On(faults.Swap, 1, faults.Fault{Kind: faults.Lost})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*s.Unit+2*s.Slack)
	defer cancel()
	hangs := step.Fault.Kind == faults.HangBefore || step.Fault.Kind == faults.HangAfter
	if situation.Timeout || hangs && step.Op == faults.Put {
		ctx, cancel = context.WithTimeout(t.Context(), s.Unit)
		defer cancel()
	}
	start := time.Now()
	got, err := w.Chain.Append(ctx, w.Before, w.Drafts...)
	require.Less(t, time.Since(start), 25*s.Unit+s.Slack, "an append must end")
	w.Script.Reset()
	w.RequireTrue(got, err)
	settled := w.settle(err)
	w.Script.Release()
	if step.Fault.LateBy > 0 {
		time.Sleep(31 * s.Unit)
	}
	w.RequireTrue(got, err)
	if again := w.settle(err); settled != Unknown {
		require.Equal(t, settled, again, "an answer is for good")
	}
}

// AppendRival lets another writer append, without faults.
func (w *World) AppendRival() {
	_, err := w.Storage.Direct().Update(context.WithoutCancel(w.Context()), func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
		return []changeset.Draft{Draft("rival")}, nil
	})
	require.NoError(w, err)
}

// Committed returns the reference of the last of our changesets in the chain,
// having seen that they are there all or none, in order, and once.
func (w *World) Committed() (last changeset.Ref, ok bool) {
	w.Helper()
	ctx := context.WithoutCancel(w.Context())
	r, err := w.Storage.Direct().Reader(ctx)
	require.True(w, err == nil || errors.Is(err, ropewalk.ErrNotFound), err)
	n := 0
	for c, err := range r.All(ctx) {
		require.NoError(w, err)
		if string(c.Content) == fmt.Sprintf("mine-%d", n) {
			n, last = n+1, c.Ref
		} else {
			require.NotContains(w, string(c.Content), "mine")
		}
	}
	require.Contains(w, []int{0, w.Size}, n, "an append is in the chain whole or not at all, and once")
	return last, n > 0
}

// RequireTrue compares the reported outcome of the append with the chain.
func (w *World) RequireTrue(got head.Head, err error) {
	w.Helper()
	last, ok := w.Committed()
	uncertain, unknown := errors.AsType[*ropewalk.UncertainError](err)
	switch {
	case err == nil:
		require.True(w, ok, "told committed, is not")
		require.Equal(w, last, got.Ref)
	case unknown:
		require.Equal(w, uint64(w.Existing+w.Size-1), uncertain.Ref.Version)
		if ok {
			require.Equal(w, last, uncertain.Ref)
		}
	default:
		require.False(w, ok, "told not committed (%v), but is", err)
	}
}

// settle settles an uncertain append, and requires that the answer is true.
func (w *World) settle(err error) Outcome {
	w.Helper()
	uncertain, ok := errors.AsType[*ropewalk.UncertainError](err)
	if !ok {
		return Unknown
	}
	return w.RequireSettled(uncertain)
}

// RequireSettled settles an append that may be uncertain, and requires that the
// answer is true: unknown only if there is no head, and the chain may not write a void head.
func (w *World) RequireSettled(uncertain *ropewalk.UncertainError) Outcome {
	w.Helper()
	h, err := w.settler.Settle(w.Context(), uncertain.Ref, uncertain.AfterRevision)
	_, committed := w.Committed()
	switch {
	case committed:
		require.NoError(w, err)
		require.Equal(w, uncertain.Ref, h.Ref)
		return OK
	case !w.Storage.canSettle(w, w.Storage.Mine):
		require.ErrorAs(w, err, new(*ropewalk.UncertainError))
		return Unknown
	default:
		require.True(w, IsConflict(err), "settle: %v", err)
		return Refused
	}
}
