package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
)

// joint is a store with commits of several aggregates.
type joint struct {
	*testing.T
	db    *memstore.Store
	store *ropewalk.Store
}

func newJoint(t *testing.T, o *ropewalk.Options) *joint {
	db := memstore.New()
	return &joint{t, db, ropewalk.New(db, faults.TwoSteps(db), o)}
}

// commit appends one changeset to each aggregate, in one commit.
func (j *joint) commit(ids ...string) []head.Head {
	var members []ropewalk.Member
	for _, id := range ids {
		members = append(members, j.store.Chain(id).Appending(j.head(id), draft("of "+fmt.Sprint(ids))))
	}
	heads, err := j.store.Commit(j.Context(), members...)
	require.NoError(j, err)
	return heads
}

func (j *joint) append(id string) {
	_, err := j.store.Chain(id).Append(j.Context(), j.head(id), draft("alone"))
	require.NoError(j, err)
}

func (j *joint) head(id string) head.Head {
	h, err := j.db.Load(j.Context(), id)
	require.NoError(j, err)
	return h
}

// restore puts an earlier head back.
func (j *joint) restore(h head.Head) {
	j.db.Tamper(func(c *memstore.Contents) { delete(c.Heads, head.ObjectName(h.AggregateID)) })
	_, err := j.db.Swap(j.Context(), head.Head{}, h)
	require.NoError(j, err)
}

// prove verifies all and returns what becomes of the commits.
func (j *joint) prove() inspect.Atomicity { return j.proveMeanwhile(func(string) {}) }

// proveMeanwhile does something after each report.
func (j *joint) proveMeanwhile(do func(id string)) inspect.Atomicity {
	in := inspect.New(j.db, j.db, &inspect.Options{Parallel: 1})
	commits := in.Commits()
	for r, err := range in.VerifyAll(j.Context()) {
		require.NoError(j, err)
		commits.Add(r)
		do(r.AggregateID)
	}
	a, err := commits.Check(j.Context())
	require.NoError(j, err)
	return a
}

// Commits are proved in both formats, in tips, in packs and alone, also of appends that
// have several changesets, and beside refused commits.
func TestCommitsAreComplete(t *testing.T) {
	for name, o := range map[string]*ropewalk.Options{"1": nil, "tips": {Packed: true}, "small tips": {Packed: true, TipSize: 700}, "packs": {Packed: true, TipSize: -1}} {
		t.Run(name, func(t *testing.T) {
			j := newJoint(t, o)
			for range 5 {
				j.commit("a", "b")
				j.commit("b", "c", "a")
				j.append("b")
			}
			stale := j.head("a")
			j.append("a")
			_, err := j.store.Commit(t.Context(), j.store.Chain("a").Appending(stale, draft("x")), j.store.Chain("d").Appending(head.Head{}, draft("x"), draft("y")))
			require.ErrorIs(t, err, ropewalk.ErrConflict)
			_, err = j.store.Commit(t.Context(), j.store.Chain("e").Appending(head.Head{}, draft("x"), draft("y")), j.store.Chain("c").Appending(j.head("c"), draft("x")))
			require.NoError(t, err)
			require.Equal(t, inspect.Atomicity{Complete: 11}, j.prove())
			in := inspect.New(j.db, j.db, &inspect.Options{HeadersOnly: true})
			commits := in.Commits()
			for r, err := range in.VerifyAll(t.Context()) {
				require.NoError(t, err)
				commits.Add(r)
			}
			headers, err := commits.Check(t.Context())
			require.NoError(t, err)
			require.Empty(t, headers.Torn, "packs that were left unread hide parts")
			if name == "1" {
				require.Equal(t, 11, headers.Complete)
			}
		})
	}
}

// A restored head tears the commits that it lacks. Each is named, with its parts.
func TestTornCommits(t *testing.T) {
	for name, o := range map[string]*ropewalk.Options{"1": nil, "tips": {Packed: true}, "packs": {Packed: true, TipSize: -1}} {
		t.Run(name, func(t *testing.T) {
			j := newJoint(t, o)
			j.commit("a", "b", "c")
			old := j.head("b")
			torn := j.commit("a", "b", "c")
			j.commit("a", "c")
			j.restore(old)

			a := j.prove()
			require.Equal(t, 2, a.Complete)
			require.Zero(t, a.Unproved)
			require.Len(t, a.Torn, 1)
			require.Equal(t, 3, a.Torn[0].Commit.Members)
			require.Equal(t, torn[0].UpdatedAt, a.Torn[0].RecordedAt)
			require.Equal(t, []changeset.Ref{torn[0].Ref, torn[2].Ref}, a.Torn[0].In)
			if name == "1" {
				require.Equal(t, []changeset.Ref{torn[1].Ref}, a.Torn[0].Outside)
			}
			j.append("b") // a second history
			require.Equal(t, a.Torn[0].In, j.prove().Torn[0].In)
		})
	}
}

// A commit with a part in an erased history is no fault. A history whose newest changeset is older
// than the commit had no part in it.
func TestCommitsOfErasedAggregates(t *testing.T) {
	j := newJoint(t, nil)
	j.append("old")
	j.commit("a", "b", "c")
	erase := func(id string) {
		h := j.head(id)
		_, err := j.db.Swap(t.Context(), h, link.Tombstone(h))
		require.NoError(t, err)
		for o, err := range j.db.Objects(t.Context(), id) {
			require.NoError(t, err)
			require.NoError(t, j.db.Delete(t.Context(), o.Ref))
		}
	}
	erase("b")
	require.Equal(t, inspect.Atomicity{Unproved: 1}, j.prove())
	erase("c")
	require.Equal(t, inspect.Atomicity{Unproved: 1}, j.prove(), "both parts may be there")

	j = newJoint(t, nil)
	j.append("old")
	old := j.commit("a", "b")
	j.commit("a", "b")
	j.restore(old[1])
	erase("old")
	require.Len(t, j.prove().Torn, 1)
	j.append("younger")
	erase("younger")
	require.Equal(t, inspect.Atomicity{Complete: 1, Unproved: 1}, j.prove())
}

// What cannot be read may have the missing part.
func TestCommitsBesideDamage(t *testing.T) {
	j := newJoint(t, nil)
	j.commit("a", "b")
	j.db.Tamper(func(c *memstore.Contents) { delete(c.Heads, head.ObjectName("b")) })
	j.commit("a", "c")
	a := j.prove()
	require.Equal(t, 1, a.Complete)
	require.Len(t, a.Torn, 1, "without its head, b looks as if it was being created")
	require.Len(t, a.Torn[0].Outside, 1)
	j.db.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName("b")] = []byte("damaged") })
	require.Equal(t, inspect.Atomicity{Complete: 1, Unproved: 1}, j.prove())
}

// Commits that are made while the aggregates are verified are complete, whichever of their
// aggregates was verified before.
func TestCommitsMeanwhile(t *testing.T) {
	j := newJoint(t, nil)
	j.commit("a", "z")
	for i := range 400 { // more than are verified ahead
		j.append(fmt.Sprint("m", i))
	}
	a := j.proveMeanwhile(func(id string) {
		if id == "a" {
			j.commit("a", "z")
			j.commit("aa", "z", "a")
		}
		if id == "z" {
			j.commit("a", "aa")
		}
	})
	require.GreaterOrEqual(t, a.Complete, 3, "the last one may not be met")
	a.Complete = 4
	require.Equal(t, a, j.prove())
}

// A fence moves the head and no commit.
func TestCheckOfFencedHeads(t *testing.T) {
	j := newJoint(t, nil)
	heads := j.commit("a", "b")
	var fenced bool
	a := j.proveMeanwhile(func(string) {
		if !fenced {
			_, err := j.db.Swap(t.Context(), heads[0], link.Fence(heads[0]))
			require.NoError(t, err)
			fenced = true
		}
	})
	require.Equal(t, inspect.Atomicity{Complete: 1}, a)
}

func TestCheckFails(t *testing.T) {
	j := newJoint(t, nil)
	old := j.commit("a", "b")
	j.commit("a", "b")
	j.restore(old[1])
	ctx, cancel := context.WithCancel(t.Context())
	in := inspect.New(j.db, j.db, nil)
	commits := in.Commits()
	for r, err := range in.VerifyAll(ctx) {
		require.NoError(t, err)
		commits.Add(r)
	}
	cancel()
	_, err := commits.Check(ctx)
	require.True(t, errors.Is(err, context.Canceled), "%v", err)
}

// Of commits with many members, exactly those are named that lack one.
func TestTornCommitsOfManyMembers(t *testing.T) {
	j := newJoint(t, nil)
	var ids []string
	for i := range 100 {
		ids = append(ids, fmt.Sprintf("m%02d", i))
	}
	old := j.commit(ids...)
	j.commit(ids...)
	j.restore(old[42])
	a := j.prove()
	require.Equal(t, 1, a.Complete)
	require.Len(t, a.Torn, 1)
	require.Len(t, a.Torn[0].In, 99)
	require.False(t, slices.ContainsFunc(a.Torn[0].In, func(ref changeset.Ref) bool { return ref.AggregateID == "m42" }))
	require.Equal(t, "m42", a.Torn[0].Outside[0].AggregateID)
}

// A head that was restored to the moment before a commit is rolled forward to it, although
// its part alone looks like an append that is pending. A lost head is rebuilt with it.
func TestRebuildKnowsCommits(t *testing.T) {
	for name, o := range map[string]*ropewalk.Options{"1": nil, "packs": {Packed: true, TipSize: -1}} {
		t.Run(name, func(t *testing.T) {
			j := newJoint(t, o)
			j.commit("a", "b")
			old := j.head("b")
			for range 20 {
				j.append("a")
			}
			torn := j.commit("c", "b", "a")
			for range 5 {
				j.append("a")
			}
			in := inspect.New(j.db, j.db, nil)
			plan, err := in.Rebuild(t.Context(), "b")
			require.NoError(t, err)
			require.Equal(t, inspect.Standing, plan.Condition)
			require.Empty(t, plan.Commits)

			j.restore(old)
			plan, err = in.Rebuild(t.Context(), "b")
			require.NoError(t, err)
			require.Equal(t, inspect.Behind, plan.Condition)
			require.Len(t, plan.Commits, 1)
			require.Equal(t, []changeset.Ref{torn[2].Ref, torn[0].Ref}, plan.Commits[0].In)
			require.Equal(t, []changeset.Ref{torn[1].Ref}, plan.Commits[0].Outside)
			_, err = in.Apply(t.Context(), plan, torn[1].Ref)
			require.NoError(t, err)
			require.Equal(t, inspect.Atomicity{Complete: 2}, j.prove())

			j.db.Tamper(func(c *memstore.Contents) { delete(c.Heads, head.ObjectName("c")) })
			plan, err = in.Rebuild(t.Context(), "c")
			require.NoError(t, err)
			require.Equal(t, inspect.Headless, plan.Condition)
			require.Len(t, plan.Commits[0].In, 2)
		})
	}
}

// All changesets may have one time.
func TestRebuildKnowsCommitsOfOneTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJoint(t, nil)
		j.commit("a", "b")
		old := j.head("b")
		for range 5 {
			j.append("a")
		}
		torn := j.commit("a", "b")
		j.append("a")
		j.restore(old)
		plan, err := inspect.New(j.db, j.db, nil).Rebuild(t.Context(), "b")
		require.NoError(t, err)
		require.Equal(t, []changeset.Ref{torn[0].Ref}, plan.Commits[0].In)
	})
}

// An append that is pending, and a refused commit, are no reason to move a head.
func TestRebuildLeavesPendingCommits(t *testing.T) {
	j := newJoint(t, nil)
	j.commit("a", "b")
	script := &faults.Script{}
	script.Every(faults.SwapAll, faults.Fault{Kind: faults.Refused, Err: errors.New("unplugged")})
	store := ropewalk.New(j.db, faults.TwoSteps(script.Heads(j.db)), nil)
	_, err := store.Commit(t.Context(), store.Chain("a").Appending(j.head("a"), draft("x")), store.Chain("b").Appending(j.head("b"), draft("x")))
	require.Error(t, err)
	plan, err := inspect.New(j.db, j.db, nil).Rebuild(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, inspect.Standing, plan.Condition)
	require.Empty(t, plan.Commits)
}
