package ropewalk_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/chaintest"
	"ropewalk/internal/link"
)

// joint is a commit of several aggregates under faults.
type joint struct {
	testing.TB
	situation
	db     *memstore.Store
	others head.Store // for the swaps of others

	between bool // a step takes effect at this moment
	script  faults.Script
	store   *ropewalk.Store // under faults
	direct  *ropewalk.Store
	before  map[string]head.Head
	steps   [][]head.Exchange // that were sent
}

// situation is what a commit meets.
type situation struct {
	appends   int  // aggregates that it appends to: a0, a1, …
	fresh     int  // how many of them do not exist, the last ones
	unchanged int  // aggregates that are to stay: u0, …
	gone      bool // the last of them does not exist
	combined  bool // put and swap are one step
	packed    bool // the store packs
	command   string
}

func newJoint(t testing.TB, s situation) *joint {
	w := &joint{TB: t, situation: s, db: memstore.New(), before: map[string]head.Head{}}
	w.others = w.db
	w.direct = ropewalk.New(w.db, faults.TwoSteps(w.db), nil)
	heads := w.script.Heads(w.db)
	if !s.combined {
		heads = faults.TwoSteps(heads)
	}
	options := &ropewalk.Options{SettleTimeout: 10 * time.Second, Packed: s.packed, TipSize: 2000}
	w.store = ropewalk.New(w.script.Changesets(w.db), &stepLog{head.NewPassThrough(heads), &w.steps}, options)
	for i, id := range w.ids() {
		if i >= s.appends-s.fresh && i < s.appends || s.gone && i == s.appends+s.unchanged-1 {
			continue
		}
		h, err := w.direct.Chain(id).Create(t.Context(), chaintest.Draft("before"))
		require.NoError(t, err)
		w.before[id] = h
	}
	return w
}

// lockable sends the swaps of others through the script, which refuses to swap
// locked heads. A refusal is none of a test's business.
func (w *joint) lockable() {
	w.others = w.script.Heads(w.db)
	w.direct = ropewalk.New(w.db, faults.TwoSteps(w.others), &ropewalk.Options{SettleTimeout: time.Millisecond})
}

// stepLog remembers the steps that were sent.
type stepLog struct {
	head.PassThrough
	steps *[][]head.Exchange
}

func (l *stepLog) SwapAll(ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
	*l.steps = append(*l.steps, exchanges)
	return l.PassThrough.SwapAll(ctx, exchanges)
}

func (w *joint) ids() (all []string) {
	for i := range w.appends {
		all = append(all, fmt.Sprintf("a%d", i))
	}
	for i := range w.unchanged {
		all = append(all, fmt.Sprintf("u%d", i))
	}
	return all
}

func (w *joint) members() (all []ropewalk.Member) {
	for _, id := range w.ids() {
		c := w.store.Chain(id)
		if id[0] == 'u' {
			all = append(all, c.Unchanged(w.before[id]))
			continue
		}
		first := chaintest.Draft("mine 1")
		first.CommandID = w.command
		all = append(all, c.Appending(w.before[id], first, chaintest.Draft("mine 2")))
	}
	return all
}

// committed reports whether the commit is in all chains that are not erased, having seen
// that it is in all or in none, whole and once.
func (w *joint) committed() (is, known bool) {
	w.Helper()
	ctx := context.WithoutCancel(w.Context())
	for i := range w.appends {
		r, err := w.direct.Chain(w.ids()[i]).Reader(ctx)
		if errors.Is(err, ropewalk.ErrErased) {
			continue
		}
		require.True(w, err == nil || errors.Is(err, ropewalk.ErrNotFound), err)
		all, err := ropewalk.Collect(r.All(ctx))
		require.NoError(w, err)
		mine, marks := 0, map[changeset.Commit]bool{}
		for _, c := range all {
			if strings.HasPrefix(string(c.Content), "mine") {
				mine++
				marks[c.Commit()] = true
				require.Equal(w, w.appends, c.Commit().Members)
			}
		}
		require.Contains(w, []int{0, 2}, mine, "whole or not at all, and once")
		require.LessOrEqual(w, len(marks), 1)
		if known {
			require.Equal(w, is, mine > 0, "%s: a torn commit", w.ids()[i])
		}
		is, known = mine > 0, true
	}
	return is, known
}

// requireTrue compares an outcome with the chains.
func (w *joint) requireTrue(got []head.Head, err error) {
	w.Helper()
	is, known := w.committed()
	switch {
	case !known || has[*ropewalk.UncertainError](err):
	case err == nil:
		require.True(w, is, "told committed, and is not")
		for i, id := range w.ids() {
			require.Equal(w, id, cmpID(got[i], id))
		}
	default:
		require.False(w, is, "told refused (%v), and is committed", err)
	}
}

func cmpID(h head.Head, id string) string {
	if h.IsZero() {
		return id
	}
	return h.AggregateID
}

func has[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// settle settles the newest step from every member, and requires that all agree.
func (w *joint) settle() {
	w.Helper()
	if len(w.steps) == 0 {
		return
	}
	ctx := context.WithoutCancel(w.Context())
	for _, e := range w.steps[len(w.steps)-1] {
		if e.Next.IsZero() {
			continue
		}
		settler := ropewalk.New(w.db, faults.TwoSteps(w.others), &ropewalk.Options{Packed: true, SettleTimeout: time.Second})
		_, err := settler.Chain(e.AggregateID).Settle(ctx, e.Next.Ref, e.Old.Revision)
		if errors.Is(err, ropewalk.ErrErased) || w.between {
			continue
		}
		if is, known := w.committed(); known {
			require.Equal(w, is, err == nil, "%s: %v", e.AggregateID, err)
			require.Equal(w, !is, chaintest.IsConflict(err), "%s: %v", e.AggregateID, err)
		}
	}
}

// swap replaces the head of an aggregate, as another process does.
func (w *joint) swap(id string, next func(head.Head) head.Head) {
	ctx := context.WithoutCancel(w.Context())
	h, err := w.db.Load(ctx, id)
	require.NoError(w, err)
	if h.State == head.Erased {
		return
	}
	_, err = w.others.Swap(ctx, h, next(h))
	require.True(w, err == nil || w.refused(err), err)
}

// refused reports whether a swap has met a lock.
func (w *joint) refused(err error) bool {
	return w.others != head.Store(w.db) && has[*head.NotAppliedError](err)
}

func (w *joint) fence(id string) {
	w.swap(id, func(h head.Head) head.Head {
		if h.IsZero() {
			return link.Void(id)
		}
		return link.Fence(h)
	})
}

func (w *joint) append(id string) {
	_, err := w.direct.Chain(id).Update(context.WithoutCancel(w.Context()), func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
		return []changeset.Draft{chaintest.Draft("rival")}, nil
	})
	require.True(w, err == nil || errors.Is(err, ropewalk.ErrErased) || w.refused(err), err)
}

func (w *joint) erase(id string) {
	if h, err := w.db.Load(context.WithoutCancel(w.Context()), id); err == nil && h.Exists() {
		w.swap(id, link.Tombstone)
	}
}

// meanwhile is what others do at a moment of a commit.
var meanwhile = map[string]func(*joint){
	"nothing":             func(*joint) {},
	"append to the first": func(w *joint) { w.append("a0") },
	"append to the last":  func(w *joint) { w.append(w.ids()[w.appends-1]) },
	"append to unchanged": func(w *joint) { w.append(w.ids()[len(w.ids())-1]) },
	"fence the last":      func(w *joint) { w.fence(w.ids()[w.appends-1]) },
	"fence unchanged":     func(w *joint) { w.fence(w.ids()[len(w.ids())-1]) },
	"erase the first":     func(w *joint) { w.erase("a0") },
	"erase unchanged":     func(w *joint) { w.erase(w.ids()[len(w.ids())-1]) },
	"settle":              func(w *joint) { w.settle() },
	"append and erase":    func(w *joint) { w.append("a0"); w.erase("a0") },
	"erase all":           func(w *joint) { w.append("a0"); w.erase("a0"); w.erase("a1") },
}

var situations = []situation{
	{appends: 2, unchanged: 1},
	{appends: 2, unchanged: 1, combined: true},
	{appends: 2, fresh: 1, unchanged: 1, gone: true},
	{appends: 2, fresh: 2, unchanged: 1, packed: true},
	{appends: 2, fresh: 2, unchanged: 1},
	{appends: 1, unchanged: 2, packed: true, command: "command-1"},
	{appends: 3, fresh: 1, command: "command-1"},
}

// requests are the requests of a commit that go wrong, each after the faults that lead to
// it.
var requests = map[string]func(*faults.Script, faults.Fault){
	"put":  func(s *faults.Script, f faults.Fault) { s.On(faults.Put, 2, f) },
	"step": func(s *faults.Script, f faults.Fault) { s.On(faults.SwapAll, 1, f) },
	"load": func(s *faults.Script, f faults.Fault) {
		s.Next(faults.SwapAll, faults.Fault{Kind: faults.Lost})
		s.On(faults.Load, 1, f)
	},
	"second load": func(s *faults.Script, f faults.Fault) {
		s.Next(faults.SwapAll, faults.Fault{Kind: faults.Lost})
		s.On(faults.Load, 2, f)
	},
	"repeated step": func(s *faults.Script, f faults.Fault) {
		s.Next(faults.SwapAll, faults.Fault{Kind: faults.Dropped})
		s.On(faults.SwapAll, 2, f)
	},
	"late and a step": func(s *faults.Script, f faults.Fault) {
		s.Next(faults.SwapAll, faults.Fault{Kind: faults.Late, LateUntil: faults.Load})
		s.On(faults.SwapAll, 2, f)
	},
	"fence": func(s *faults.Script, f faults.Fault) {
		s.Next(faults.SwapAll, faults.Fault{Kind: faults.Late, LateUntil: faults.Swap})
		s.On(faults.Swap, 1, f)
	},
}

// Whatever goes wrong, and whatever others do at that moment, a commit is in all chains or
// in none, and its caller learns which. The test takes one in stride of all cases.
func TestCommitOutcomes(t *testing.T) {
	const stride = 37 // 1 takes half a minute
	n := 0
	for _, s := range situations {
		for _, request := range slices.Sorted(maps.Keys(requests)) {
			for _, fault := range chaintest.Faults(faults.SwapAll, time.Second) {
				for _, name := range slices.Sorted(maps.Keys(meanwhile)) {
					for _, before := range []bool{true, false} {
						if n++; n%stride != 0 {
							continue
						}
						what := fmt.Sprintf("%+v: %s %+v: %s, before %v", s, request, fault, name, before)
						synctest.Test(t, func(t *testing.T) { testCommit(t, what, s, requests[request], fault, before, meanwhile[name]) })
						if t.Failed() {
							return
						}
					}
				}
			}
		}
	}
}

// A step that takes effect head by head, as in DynamoDB, is judged alike: others act
// between each two heads, under its locks.
func TestCommitOutcomesHeadByHead(t *testing.T) {
	for _, s := range situations {
		if s.combined {
			continue
		}
		for _, fault := range []faults.Fault{
			{Kind: faults.Late, LateBy: 10 * time.Millisecond}, {}, {Kind: faults.Lost}, {Kind: faults.HangAfter}, {Kind: faults.Late, LateUntil: faults.Load}, {Kind: faults.Late, LateUntil: faults.SwapAll},
		} {
			for _, name := range slices.Sorted(maps.Keys(meanwhile)) {
				for _, first := range []bool{true, false} {
					what := fmt.Sprintf("%+v: %+v: %s, first %v", s, fault, name, first)
					synctest.Test(t, func(t *testing.T) {
						script := func(s *faults.Script, f faults.Fault) { s.On(faults.SwapAll, 1, f) }
						if !first {
							script = func(s *faults.Script, f faults.Fault) {
								s.Next(faults.SwapAll, faults.Fault{Kind: faults.Dropped})
								s.On(faults.SwapAll, 2, f)
							}
						}
						fault.Between = func(int) {}
						testCommit(t, what, s, script, fault, true, meanwhile[name])
					})
					if t.Failed() {
						return
					}
				}
			}
		}
	}
}

func testCommit(t *testing.T, what string, s situation, script func(*faults.Script, faults.Fault), fault faults.Fault, before bool, act func(*joint)) {
	w := newJoint(t, s)
	if before {
		fault.Before = func() { act(w) }
	} else {
		fault.After = func() { act(w) }
	}
	defer func() {
		if t.Failed() {
			t.Log(what)
		}
	}()
	if fault.Between != nil {
		w.lockable()
		fault.Before, fault.Between = nil, func(int) {
			w.between = true
			act(w)
			time.Sleep(time.Second) // the caller of a late step looks at the heads now
			w.between = false
		}
	}
	script(&w.script, fault)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	start := time.Now()
	got, err := w.store.Commit(ctx, w.members()...)
	require.LessOrEqual(t, time.Since(start), time.Minute)
	w.script.Reset()
	w.requireTrue(got, err)
	if has[*ropewalk.UncertainError](err) {
		w.settle()
	}
	w.script.Release()
	time.Sleep(31 * time.Second)
	w.requireTrue(got, err)
	w.settle()
}
