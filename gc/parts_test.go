package gc_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// joint is a store with commits of several aggregates, a, b and c.
type joint struct {
	t      require.TestingT
	tb     testing.TB
	db     *memstore.Store
	script *faults.Script
	store  *ropewalk.Store
	past   []head.Head
	// appending are the members that the commit under test appends to.
	appending []string
	n         int
}

var jointIDs = []string{"a", "b", "c"}

func newJoint(t require.TestingT, tb testing.TB, o *ropewalk.Options) *joint {
	j := &joint{t: t, tb: tb, db: memstore.New(), script: &faults.Script{}}
	j.store = ropewalk.New(j.script.Changesets(j.db), faults.TwoSteps(j.script.Heads(j.db)), o)
	return j
}

func (j *joint) head(id string) head.Head {
	h, err := j.db.Load(j.tb.Context(), id)
	require.NoError(j.t, err)
	return h
}

// commit appends to the aggregates by one commit. Without the step, it leaves the objects.
func (j *joint) commit(step bool, ids ...string) {
	var members []ropewalk.Member
	for _, id := range ids {
		h := j.head(id)
		j.past = append(j.past, h)
		j.n++
		members = append(members, j.store.Chain(id).Appending(h, draft(fmt.Sprint(j.n))))
	}
	if !step {
		j.script.Next(faults.SwapAll, faults.Fault{Kind: faults.Refused, Err: errors.New("unplugged")})
	}
	_, err := j.store.Commit(j.tb.Context(), members...)
	require.Equal(j.t, step, err == nil, "%v", err)
}

func (j *joint) append(id string) {
	h := j.head(id)
	j.past = append(j.past, h)
	_, err := j.store.Chain(id).Append(j.tb.Context(), h, draft("alone"))
	require.NoError(j.t, err)
}

func (j *joint) fence(id string) {
	h := j.head(id)
	next := link.Fence(h)
	if h.IsZero() {
		next = link.Void(id)
	}
	_, err := j.db.Swap(j.tb.Context(), h, next)
	require.NoError(j.t, err)
}

// restore puts an earlier head back.
func (j *joint) restore(h head.Head) {
	j.db.Tamper(func(c *memstore.Contents) { delete(c.Heads, head.ObjectName(h.AggregateID)) })
	_, err := j.db.Swap(j.tb.Context(), head.Head{}, h)
	require.NoError(j.t, err)
}

// collect collects all, at once, and returns the sum of the reports.
func (j *joint) collect(o gc.Options) (sum gc.Report) {
	o.Grace, o.Delete = -1, true
	seen := map[string]bool{}
	for r, err := range gc.New(j.db, faults.TwoSteps(j.db), &o).CollectAll(j.tb.Context(), "") {
		require.NoError(j.t, err)
		require.True(j.t, r.Err == nil || errors.Is(r.Err, ropewalk.ErrHeadLost), "%v", r.Err)
		require.False(j.t, seen[r.AggregateID], "%s was reported twice", r.AggregateID)
		seen[r.AggregateID] = true
		sum.Seen, sum.Lost, sum.Parts = sum.Seen.Plus(r.Seen), sum.Lost.Plus(r.Lost), sum.Parts.Plus(r.Parts)
		sum.Deleted, sum.Fenced = sum.Deleted.Plus(r.Deleted), sum.Fenced || r.Fenced
	}
	return sum
}

// marks returns the marks of all chains, and the marks of all objects by name.
func (j *joint) marks() (chains map[changeset.ID]bool, objects map[changeset.Ref][]changeset.ID) {
	ctx := j.tb.Context()
	chains, objects = map[changeset.ID]bool{}, map[changeset.Ref][]changeset.ID{}
	direct := ropewalk.New(j.db, j.db, nil)
	for _, id := range jointIDs {
		for c, err := range direct.Chain(id).ReaderAt(j.head(id)).All(ctx) {
			require.NoError(j.t, err)
			chains[c.Commit().ID] = true
		}
		for o, err := range j.db.Objects(ctx, id) {
			require.NoError(j.t, err)
			c, err := j.db.Get(ctx, o.Ref, nil)
			require.NoError(j.t, err)
			all := []changeset.Changeset{c}
			if c.Pack != nil && c.Pack.Lines {
				all, err = changeset.Unpack(c, c.Body)
				require.NoError(j.t, err)
			}
			for _, c := range all {
				objects[o.Ref] = append(objects[o.Ref], c.Commit().ID)
			}
		}
	}
	delete(chains, changeset.ID{})
	return chains, objects
}

// The parts of a refused commit are deleted by a collection of all aggregates, which meets
// an orphan in each of them, and by no collection of one.
func TestCollectARefusedCommit(t *testing.T) {
	for name, o := range map[string]*ropewalk.Options{"1": nil, "packs": {Packed: true, TipSize: -1}} {
		t.Run(name, func(t *testing.T) {
			j := newJoint(t, t, o)
			j.commit(true, "a", "b", "c")
			j.commit(false, "a", "b", "c")
			j.commit(false, "a")
			one := gc.New(j.db, faults.TwoSteps(j.db), &gc.Options{Grace: -1, Delete: true})
			r, err := one.Collect(t.Context(), "a")
			require.NoError(t, err)
			require.EqualValues(t, 1, r.Parts.Objects)
			require.EqualValues(t, 1, r.Pending.Objects, "a commit of one aggregate has no other part")
			require.False(t, r.Fenced, "while a part is pending")
			require.Zero(t, r.Deleted)

			sum := j.collect(gc.Options{})
			require.EqualValues(t, 4, sum.Deleted.Objects)
			require.EqualValues(t, 4, sum.Lost.Objects)
			require.EqualValues(t, 7, sum.Seen.Objects)
			require.True(t, sum.Fenced)
			require.Zero(t, sum.Parts)
			require.EqualValues(t, 3, j.collect(gc.Options{}).Seen.Objects)
		})
	}
}

// If a part was never put, it is unknown whether its chain has the commit. The other parts
// stay until the caller has proved the commits.
func TestCollectACommitOfWhichAPartIsMissing(t *testing.T) {
	j := newJoint(t, t, nil)
	j.commit(true, "a", "b")
	j.commit(false, "a", "b")
	for o, err := range j.db.Objects(t.Context(), "b") {
		require.NoError(t, err)
		if o.Version == 1 {
			require.NoError(t, j.db.Delete(t.Context(), o.Ref))
		}
	}
	sum := j.collect(gc.Options{})
	require.EqualValues(t, 1, sum.Parts.Objects)
	require.Zero(t, sum.Deleted)
	sum = j.collect(gc.Options{Parts: true})
	require.EqualValues(t, 1, sum.Deleted.Objects)
}

// What a restored head no longer has stays if another chain has the commit, whether it is
// pending or lost. An erasure deletes it.
func TestCollectKeepsThePartsOfTornCommits(t *testing.T) {
	for name, o := range map[string]*ropewalk.Options{"1": nil, "packs": {Packed: true, TipSize: -1}} {
		t.Run(name, func(t *testing.T) {
			j := newJoint(t, t, o)
			j.commit(true, "a", "b")
			old := j.head("b")
			j.commit(true, "a", "b")
			j.restore(old)
			sum := j.collect(gc.Options{})
			require.EqualValues(t, 1, sum.Parts.Objects)
			require.Zero(t, sum.Deleted)
			require.Equal(t, old.Revision, j.head("b").Revision, "no fence: the head can still be rolled forward")
			j.append("b")
			j.append("b")
			sum = j.collect(gc.Options{})
			require.EqualValues(t, 1, sum.Parts.Objects, "it is lost by its revision")
			require.Zero(t, sum.Deleted)
			r, err := gc.New(j.db, faults.TwoSteps(j.db), nil).Erase(t.Context(), "b")
			require.NoError(t, err)
			require.EqualValues(t, 4, r.Deleted.Objects)
		})
	}
}

// A refused registration leaves nothing that an erasure cannot remove, in a store that packs.
func TestEraseThePartsOfACommit(t *testing.T) {
	j := newJoint(t, t, &ropewalk.Options{Packed: true, TipSize: -1})
	j.commit(false, "a", "b")
	r, err := gc.New(j.db, faults.TwoSteps(j.db), &gc.Options{Void: true}).Erase(t.Context(), "a")
	require.NoError(t, err)
	require.EqualValues(t, 1, r.Deleted.Objects)
	require.Equal(t, head.Void, j.head("a").State)
}

// A pack that lost a race has copies of the tip. The copy of a part that the chain has is
// no part; the only copy of a part that was in the tip of a newer head is.
func TestCollectCopiesOfParts(t *testing.T) {
	j := newJoint(t, t, &ropewalk.Options{Packed: true, TipSize: 600})
	j.commit(true, "a", "b")
	spill := func() {
		j.script.Next(faults.Swap, faults.Fault{Kind: faults.Refused, Err: errors.New("unplugged")})
		_, err := j.store.Chain("b").Append(t.Context(), j.head("b"), changeset.Draft{Content: make([]byte, 1000)})
		require.Error(t, err)
	}
	spill()
	sum := j.collect(gc.Options{})
	require.EqualValues(t, 1, sum.Deleted.Objects, "the chain has the part")
	old := j.head("b")
	j.commit(true, "a", "b")
	spill()
	j.restore(old)
	j.append("b")
	j.append("b")
	sum = j.collect(gc.Options{})
	require.Zero(t, sum.Deleted)
	require.EqualValues(t, 1, sum.Parts.Objects)
}

// The model: after any commits, given up appends, fences and restored heads, no collection
// deletes the only copy of a part of a commit that a chain has.
func TestCollectionsAgainstTornCommits(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := rapid.SampledFrom([]*ropewalk.Options{nil, {Packed: true, TipSize: -1}, {Packed: true, TipSize: 700}}).Draw(rt, "options")
		j := newJoint(rt, t, o)
		some := rapid.SampledFrom([][]string{{"a", "b"}, {"b", "c"}, {"c", "b", "a"}, {"b"}})
		id := rapid.SampledFrom(jointIDs)
		rt.Repeat(map[string]func(*rapid.T){
			"commit":   func(rt *rapid.T) { j.commit(true, some.Draw(rt, "members")...) },
			"given up": func(rt *rapid.T) { j.commit(false, some.Draw(rt, "members")...) },
			"append":   func(rt *rapid.T) { j.append(id.Draw(rt, "id")) },
			"fence":    func(rt *rapid.T) { j.fence(id.Draw(rt, "id")) },
			"restore": func(rt *rapid.T) {
				if len(j.past) > 0 {
					if h := rapid.SampledFrom(j.past).Draw(rt, "head"); h.Exists() {
						j.restore(h)
					}
				}
			},
			"collect": func(rt *rapid.T) {
				chains, before := j.marks()
				j.collect(gc.Options{Void: rapid.Bool().Draw(rt, "void")})
				j.past = nil // nothing newer than what the collection has seen comes back
				_, after := j.marks()
				for ref, marks := range before {
					_, left := after[ref]
					if !left && slices.ContainsFunc(marks, func(id changeset.ID) bool { return chains[id] }) {
						require.False(j.t, j.onlyCopy(ref, marks, chains, after), "%s was deleted, and a chain has its commit", ref)
					}
				}
			},
		})
	})
}

// onlyCopy reports whether a deleted object had a part that nothing else has now: neither its own
// chain nor another object.
func (j *joint) onlyCopy(ref changeset.Ref, marks []changeset.ID, chains map[changeset.ID]bool, left map[changeset.Ref][]changeset.ID) bool {
	for _, mark := range marks {
		if !chains[mark] {
			continue
		}
		found := false
		for c, err := range ropewalk.New(j.db, j.db, nil).Chain(ref.AggregateID).ReaderAt(j.head(ref.AggregateID)).All(j.tb.Context()) {
			require.NoError(j.t, err)
			found = found || c.Commit().ID == mark
		}
		for other, has := range left {
			found = found || other.AggregateID == ref.AggregateID && slices.Contains(has, mark)
		}
		if !found {
			return true
		}
	}
	return false
}
