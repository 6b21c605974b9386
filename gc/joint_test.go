package gc_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/gc"
)

// jointActs are what collectors and erasers do to one member of a commit under way, on
// their own requests.
var jointActs = map[string]func(*joint, string){
	"collect": func(j *joint, id string) { j.collectOne(id, gc.Options{}) },
	"collect, parts too": func(j *joint, id string) {
		j.collectOne(id, gc.Options{Parts: true, Void: true})
	},
	"collect all": func(j *joint, _ string) { j.collect(gc.Options{Void: true}) },
	"erase": func(j *joint, id string) {
		_, err := gc.New(j.db, faults.TwoSteps(j.db), &gc.Options{Void: true}).Erase(context.WithoutCancel(j.tb.Context()), id)
		require.True(j.t, err == nil || errors.Is(err, changeset.ErrNotFound), "%v", err)
	},
}

func (j *joint) collectOne(id string, o gc.Options) {
	o.Grace, o.Delete = -1, true
	_, err := gc.New(j.db, faults.TwoSteps(j.db), &o).Collect(context.WithoutCancel(j.tb.Context()), id)
	require.True(j.t, err == nil || errors.Is(err, changeset.ErrNotFound), "%v", err)
}

// jointMoments are the requests of a commit at which something goes wrong and something is
// done.
var jointMoments = map[string]func(*faults.Script, faults.Fault){
	"put":  func(s *faults.Script, f faults.Fault) { s.On(faults.Put, 2, f) },
	"step": func(s *faults.Script, f faults.Fault) { s.On(faults.SwapAll, 1, f) },
	"load": func(s *faults.Script, f faults.Fault) {
		s.Next(faults.SwapAll, faults.Fault{Kind: faults.Lost})
		s.On(faults.Load, 1, f)
	},
	"a late step, load": func(s *faults.Script, f faults.Fault) {
		s.Next(faults.SwapAll, faults.Fault{Kind: faults.Late, LateBy: time.Minute})
		s.On(faults.Load, 1, f)
	},
	"repeated step": func(s *faults.Script, f faults.Fault) {
		s.Next(faults.SwapAll, faults.Fault{Kind: faults.Dropped})
		s.On(faults.SwapAll, 2, f)
	},
	"repeated step, late first": func(s *faults.Script, f faults.Fault) {
		s.Next(faults.SwapAll, faults.Fault{Kind: faults.Late, LateUntil: faults.Load})
		s.On(faults.SwapAll, 2, f)
	},
}

// Collectors and erasers work on one member of a commit, at each request of the commit, and
// replies are lost. The commit is in all chains that are left or in none, whole, as it was
// reported to the caller. Every member settles it alike.
func TestCommitsBesideCollectorsAndErasers(t *testing.T) {
	n := 0
	for moment, script := range jointMoments {
		for act, do := range jointActs {
			for _, kind := range []faults.Kind{faults.None, faults.Lost, faults.Dropped, faults.Late, faults.Refused} {
				for _, id := range jointIDs {
					for situation := range 6 {
						if n++; testing.Short() && n%7 != 0 {
							continue
						}
						what := fmt.Sprintf("%s: %s %s, %v, situation %d", moment, act, id, kind, situation)
						synctest.Test(t, func(t *testing.T) {
							defer func() {
								if t.Failed() {
									t.Log(what)
								}
							}()
							testBeside(t, situation, script, faults.Fault{Kind: kind, LateBy: 20 * time.Second}, func(j *joint) { do(j, id) })
						})
						if t.Failed() {
							return
						}
					}
				}
			}
		}
	}
}

// testBeside commits to a, which exists, to b, which may exist, and with c, which exists and
// may be unchanged, of one of two formats.
func testBeside(t *testing.T, situation int, script func(*faults.Script, faults.Fault), f faults.Fault, act func(*joint)) {
	o := &ropewalk.Options{SettleTimeout: 10 * time.Second, Packed: situation%2 > 0, TipSize: -1}
	j := newJoint(t, t, o)
	j.append("a")
	j.append("c")
	if situation/2 == 1 {
		j.append("b")
	}
	var members []ropewalk.Member
	for _, id := range jointIDs {
		m := j.store.Chain(id).Appending(j.head(id), draft("mine"), draft("mine"))
		if id == "c" && situation/2 == 2 {
			m = j.store.Chain(id).Unchanged(j.head(id))
		} else {
			j.appending = append(j.appending, id)
		}
		members = append(members, m)
	}
	f.Before = func() { act(j) }
	script(j.script, f)
	_, err := j.store.Commit(t.Context(), members...)
	j.script.Reset()
	j.requireOutcome(err)
	j.settleAll(err)
	j.script.Release()
	time.Sleep(2 * time.Minute)
	j.requireOutcome(err)
	j.settleAll(err)
	for _, id := range jointIDs {
		j.collectOne(id, gc.Options{Parts: true})
	}
	j.requireOutcome(err)
}

// requireOutcome compares the reported outcome with the chains that are left.
func (j *joint) requireOutcome(reported error) (in, known bool) {
	direct := ropewalk.New(j.db, j.db, nil)
	for _, id := range j.appending {
		r, err := direct.Chain(id).Reader(j.tb.Context())
		if errors.Is(err, ropewalk.ErrErased) {
			continue
		}
		all, err := ropewalk.Collect(r.All(j.tb.Context()))
		require.NoError(j.t, err)
		mine := 0
		for _, c := range all {
			if string(c.Content) == "mine" {
				mine++
				require.Equal(j.t, len(j.appending), c.Commit().Members)
			}
		}
		require.Contains(j.t, []int{0, 2}, mine)
		if known {
			require.Equal(j.t, in, mine > 0, "%s: a torn commit", id)
		}
		in, known = mine > 0, true
	}
	uncertain := errors.Is(reported, ropewalk.ErrUncertain)
	if known && !uncertain && !errors.Is(reported, ropewalk.ErrErased) {
		require.Equal(j.t, in, reported == nil, "reported %v", reported)
	}
	return in, known
}

// settleAll settles an uncertain commit from each of its members.
func (j *joint) settleAll(reported error) {
	uncertain, ok := errors.AsType[*ropewalk.UncertainError](reported)
	if !ok {
		return
	}
	settler := ropewalk.New(j.db, faults.TwoSteps(j.db), &ropewalk.Options{Packed: true})
	for _, u := range append(uncertain.Others, ropewalk.Unsettled{Ref: uncertain.Ref, AfterRevision: uncertain.AfterRevision}) {
		_, err := settler.Chain(u.Ref.AggregateID).Settle(context.WithoutCancel(j.tb.Context()), u.Ref, u.AfterRevision)
		if in, known := j.requireOutcome(reported); known && !errors.Is(err, ropewalk.ErrErased) {
			require.Equal(j.t, in, err == nil, "%s: %v", u.Ref, err)
		}
	}
}
