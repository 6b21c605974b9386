package ropewalk_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/faults"
)

// This test lets every request of an append go wrong, in every way, and holds
// what the caller is told against what is in the chain: at once, and after
// every request that was still under way has arrived.

// situation is an append to be done, and the world that it is done in.
type situation struct {
	name     string
	existing int    // appends in the chain before
	size     int    // changesets of the append
	command  string // its command ID
	combined bool   // put and swap in one step
	rival    bool   // another writer appends when the fault strikes
	timeout  bool   // the caller's context ends soon
}

func situations() (all []situation) {
	for _, existing := range []int{0, 3} {
		for _, drafts := range []int{1, 3} {
			for _, command := range []string{"", "command-1"} {
				for bits := range 8 {
					s := situation{existing: existing, size: drafts, command: command, combined: bits&1 > 0, rival: bits&2 > 0, timeout: bits&4 > 0}
					s.name = fmt.Sprintf("%+v", s)
					all = append(all, s)
				}
			}
		}
	}
	return all
}

// faultsOf returns every way in which one request can go wrong.
func faultsOf(op faults.Op) (all []faults.Fault) {
	for _, k := range []faults.Kind{faults.Dropped, faults.Lost, faults.HangBefore, faults.HangAfter} {
		all = append(all, faults.Fault{Kind: k})
	}
	all = append(all,
		faults.Fault{DelayBefore: 3 * time.Second}, faults.Fault{DelayAfter: 3 * time.Second},
		faults.Fault{Kind: faults.Late}, faults.Fault{Kind: faults.Late, LateBy: 10 * time.Millisecond},
		faults.Fault{Kind: faults.Late, LateBy: time.Hour},
		faults.Fault{Kind: faults.Late, LateUntil: faults.Load}, faults.Fault{Kind: faults.Late, LateUntil: op},
		faults.Fault{Kind: faults.Refused}, faults.Fault{Kind: faults.Refused, Retryable: true})
	return all
}

func TestEveryOutcomeIsTrue(t *testing.T) {
	for _, s := range situations() {
		steps := map[faults.Op]int{faults.Put: s.size, faults.Swap: 2, faults.Load: 2, faults.Stat: 1}
		if s.combined {
			steps = map[faults.Op]int{faults.Commit: 2, faults.Load: 2, faults.Stat: 1}
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for op, calls := range steps {
				for call := range calls {
					for _, f := range faultsOf(op) {
						t.Run(fmt.Sprintf("%s %d %+v", op, call+1, f), func(t *testing.T) {
							synctest.Test(t, func(t *testing.T) { testOutcome(t, s, op, call+1, f) })
						})
					}
				}
			}
		})
	}
}

func testOutcome(t *testing.T, s situation, op faults.Op, call int, f faults.Fault) {
	w := newWorld(t, s)
	if s.rival {
		f.After = w.appendRival
	}
	w.script.On(op, call, f)
	if op == faults.Load || op == faults.Stat { // reached only when a swap goes wrong first
		w.script.On(w.committing(), 1, faults.Fault{Kind: faults.Lost})
	}
	ctx := t.Context()
	if hangs := f.Kind == faults.HangBefore || f.Kind == faults.HangAfter; s.timeout || hangs && op == faults.Put {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Second)
		defer cancel()
	}
	start := time.Now()
	got, err := w.chain.Append(ctx, w.before, w.drafts...)
	require.Less(t, time.Since(start), 25*time.Second, "an append must end")
	w.script.Reset()
	w.requireTrue(got, err)
	w.script.Release()
	time.Sleep(2 * time.Hour) // virtual: every late request has arrived
	w.requireTrue(got, err)
	w.requireSettled(err)
}

// world is a store under faults, with a chain in it, and an append to be done.
type world struct {
	*testing.T
	situation
	script faults.Script
	db     *memstore.Store
	chain  *ropewalk.Chain // under faults
	direct *ropewalk.Chain // to the same storage, without
	before head.Head
	drafts []changeset.Draft
}

func newWorld(t *testing.T, s situation) *world {
	w := &world{T: t, situation: s, db: memstore.New()}
	heads := w.script.Heads(w.db)
	if !s.combined {
		heads = faults.TwoSteps(heads)
	}
	w.chain = ropewalk.New(w.script.Changesets(w.db), heads, nil).Chain("order-1")
	w.direct = ropewalk.New(w.db, w.db, nil).Chain("order-1")
	for i := range s.existing {
		var err error
		w.before, err = w.direct.Append(t.Context(), w.before, draft(fmt.Sprintf("before-%d", i)))
		require.NoError(t, err)
	}
	for i := range s.size {
		d := draft(fmt.Sprintf("mine-%d", i))
		d.CommandID = s.command
		w.drafts = append(w.drafts, d)
	}
	return w
}

func (w *world) committing() faults.Op {
	if w.combined {
		return faults.Commit
	}
	return faults.Swap
}

func (w *world) appendRival() {
	_, err := w.direct.Update(context.Background(), func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
		return []changeset.Draft{draft("rival")}, nil
	})
	require.NoError(w, err)
}

// committed returns the reference of the last of our changesets in the chain,
// after checking that they are there all or none, in order, and once.
func (w *world) committed() (last changeset.Ref, ok bool) {
	r, err := w.direct.Reader(context.Background())
	if errors.Is(err, ropewalk.ErrNotFound) {
		return last, false
	}
	require.NoError(w, err)
	n := 0
	for c, err := range r.All(context.Background()) {
		require.NoError(w, err)
		if want := fmt.Sprintf("mine-%d", n); string(c.Content) == want {
			n, last = n+1, c.Ref
		} else {
			require.NotContains(w, string(c.Content), "mine")
		}
	}
	require.Contains(w, []int{0, w.size}, n, "an append is in the chain whole or not at all, and once")
	return last, n > 0
}

// requireTrue holds the told outcome against the chain.
func (w *world) requireTrue(got head.Head, err error) {
	w.Helper()
	last, ok := w.committed()
	var uncertain *ropewalk.UncertainError
	switch {
	case err == nil:
		require.True(w, ok, "told committed, is not")
		require.Equal(w, last, got.Ref)
	case errors.As(err, &uncertain):
		require.Equal(w, uint64(w.existing+w.size-1), uncertain.Ref.Version)
		if ok {
			require.Equal(w, last, uncertain.Ref)
		}
	default:
		require.False(w, ok, "told not committed (%v), but is", err)
	}
}

// requireSettled settles an uncertain append, twice: the answer is true, and final.
func (w *world) requireSettled(err error) {
	w.Helper()
	var uncertain *ropewalk.UncertainError
	if !errors.As(err, &uncertain) {
		return
	}
	for range 2 {
		h, err := w.chain.Settle(w.Context(), uncertain.Ref)
		_, ok := w.committed()
		if ok {
			require.NoError(w, err)
			require.Equal(w, uncertain.Ref, h.Ref)
			continue
		}
		if w.combined && errors.Is(err, ropewalk.ErrNotFound) {
			continue // nothing of it was ever stored
		}
		require.ErrorAs(w, err, new(*ropewalk.ConflictError))
	}
}
