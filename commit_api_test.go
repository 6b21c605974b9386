package ropewalk_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
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
	"ropewalk/internal/meter"
)

func TestCommitAppendsToAll(t *testing.T) {
	for _, packed := range []bool{false, true} {
		for _, combined := range []bool{false, true} {
			db := memstore.New()
			heads := head.Store(db)
			if !combined {
				heads = faults.TwoSteps(db)
			}
			old := ropewalk.New(db, heads, nil)
			stock, err := old.Chain("stock").Create(t.Context(), chaintest.Draft("stocked"))
			require.NoError(t, err)
			customer, err := old.Chain("customer").Create(t.Context(), chaintest.Draft("registered"))
			require.NoError(t, err)
			store := ropewalk.New(db, heads, &ropewalk.Options{Packed: packed, TipSize: 1000})
			placed := ropewalk.Draft{Content: []byte("placed"), Metadata: map[string]string{"trace": "1"}}
			got, err := store.Commit(t.Context(),
				store.Chain("order").Appending(head.Head{}, placed, chaintest.Draft("paid")),
				store.Chain("customer").Unchanged(customer),
				store.Chain("stock").Appending(stock, chaintest.Draft("reserved")))
			require.NoError(t, err)
			require.Equal(t, customer, got[1])
			require.EqualValues(t, []uint64{1, 0, 1}, []uint64{got[0].Version, got[1].Version, got[2].Version})

			marks := map[changeset.Commit]int{}
			var at []time.Time
			for _, id := range []string{"order", "stock", "customer"} {
				r, err := old.Chain(id).Reader(t.Context())
				require.NoError(t, err)
				all, err := ropewalk.Collect(r.All(t.Context()))
				require.NoError(t, err)
				for _, c := range all {
					marks[c.Commit()]++
					if !c.Commit().IsZero() {
						at = append(at, c.RecordedAt)
						require.Equal(t, 2, c.Commit().Members)
					}
				}
			}
			require.Len(t, marks, 2)
			require.Equal(t, 2, marks[changeset.Commit{}])
			require.Equal(t, []time.Time{at[0], at[0], at[0]}, at, "one time for all")
			// The heads returned can be appended to.
			for i, id := range []string{"order", "customer", "stock"} {
				_, err = store.Chain(id).Append(t.Context(), got[i], chaintest.Draft("more"))
				require.NoError(t, err)
			}
		}
	}
}

// What cannot be committed is refused before anything is sent.
func TestCommitChecksFirst(t *testing.T) {
	m := meter.New(0)
	db := memstore.New()
	store := ropewalk.New(m.Changesets(db), m.Heads(db), nil)
	h, err := store.Chain("a").Create(t.Context(), chaintest.Draft("1"), chaintest.Draft("2"))
	require.NoError(t, err)
	mid, err := store.Chain("a").HeadAt(t.Context(), 0)
	require.NoError(t, err)
	erased := h
	erased.State = head.Erased
	draft := chaintest.Draft("x")
	a, b := store.Chain("a"), store.Chain("b")
	with := func(change func(*changeset.Draft)) changeset.Draft {
		d := chaintest.Draft("x")
		change(&d)
		return d
	}
	many := make([]changeset.Draft, 129)
	var crowd []ropewalk.Member
	for i := range 101 {
		crowd = append(crowd, store.Chain(fmt.Sprint("c", i)).Appending(head.Head{}, draft))
	}
	for name, row := range map[string]struct {
		members []ropewalk.Member
		is      error
		says    string
	}{
		"none":             {nil, ropewalk.ErrInvalidDraft, "no member appends"},
		"zero member":      {[]ropewalk.Member{{}}, nil, "not a chain of this store"},
		"nothing appended": {[]ropewalk.Member{a.Unchanged(h)}, ropewalk.ErrInvalidDraft, "no member appends"},
		"no drafts":        {[]ropewalk.Member{a.Appending(h), b.Appending(head.Head{}, draft)}, ropewalk.ErrInvalidDraft, `append to "a"`},
		"twice":            {[]ropewalk.Member{a.Appending(h, draft), a.Unchanged(h)}, nil, `"a" is a member twice`},
		"another store":    {[]ropewalk.Member{ropewalk.New(db, db, nil).Chain("a").Appending(h, draft)}, nil, "not a chain of this store"},
		"reserved":         {[]ropewalk.Member{store.Chain("$feed").Unchanged(head.Head{}), a.Appending(h, draft)}, ropewalk.ErrInvalidAggregateID, "reserved"},
		"no ID":            {[]ropewalk.Member{store.Chain("").Unchanged(head.Head{}), a.Appending(h, draft)}, ropewalk.ErrInvalidAggregateID, ""},
		"within an append": {[]ropewalk.Member{a.Appending(mid, draft)}, nil, "in the middle of an append"},
		"head of another":  {[]ropewalk.Member{b.Unchanged(h), a.Appending(h, draft)}, nil, `belongs to "a", not to "b"`},
		"erased":           {[]ropewalk.Member{a.Unchanged(erased), b.Appending(head.Head{}, draft)}, ropewalk.ErrErased, ""},
		"$ key":            {[]ropewalk.Member{a.Appending(h, with(func(d *changeset.Draft) { d.Metadata = map[string]string{"$x": ""} }))}, ropewalk.ErrInvalidDraft, "a leading $ is reserved"},
		"no room for mark": {[]ropewalk.Member{a.Appending(h, with(func(d *changeset.Draft) { d.Metadata = map[string]string{"k": strings.Repeat("x", 170)} }))}, ropewalk.ErrInvalidDraft, "with the mark of its commit"},
		"two commands": {[]ropewalk.Member{
			a.Appending(h, with(func(d *changeset.Draft) { d.CommandID = "1" })),
			b.Appending(head.Head{}, with(func(d *changeset.Draft) { d.CommandID = "2" })),
		}, ropewalk.ErrInvalidDraft, "different command IDs"},
		"too many changesets": {[]ropewalk.Member{a.Appending(h, many...), b.Appending(head.Head{}, many...)}, ropewalk.ErrInvalidDraft, "not 258"},
		"too large": {[]ropewalk.Member{
			a.Appending(h, with(func(d *changeset.Draft) { d.Content = make([]byte, 33<<20) })),
			b.Appending(head.Head{}, with(func(d *changeset.Draft) { d.Content = make([]byte, 32<<20) })),
		}, ropewalk.ErrTooLarge, ""},
		"too many members": {crowd, nil, "1 to 100 aggregates, not 101"},
	} {
		t.Run(name, func(t *testing.T) {
			m.Reset()
			_, err := store.Commit(t.Context(), row.members...)
			require.ErrorContains(t, err, row.says)
			if row.is != nil {
				require.ErrorIs(t, err, row.is)
			}
			require.Zero(t, m.Count(), "nothing was sent")
		})
	}
}

// plainHeads cannot swap heads together.
type plainHeads struct{ head.Store }

func TestCommitNeedsATransactor(t *testing.T) {
	db := memstore.New()
	store := ropewalk.New(db, plainHeads{db}, nil)
	_, err := store.Commit(t.Context(), store.Chain("a").Appending(head.Head{}, chaintest.Draft("x")))
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, "cannot be swapped together")
	for range db.Objects(t.Context(), "a") {
		t.Fatal("an object was put")
	}
}

// A commit takes two round trips, whatever the number of members, and one if the appends
// fit into tips.
func TestCommitTakesTwoTrips(t *testing.T) {
	for _, row := range []struct{ members, tip, trips int }{{2, -1, 2}, {60, -1, 2}, {2, 2000, 1}, {100, 2000, 1}} {
		synctest.Test(t, func(t *testing.T) {
			o := &ropewalk.Options{Packed: row.tip > 0, TipSize: row.tip}
			store, m := metered(memstore.New(), o)
			var members []ropewalk.Member
			for i := range row.members {
				members = append(members, store.Chain(fmt.Sprint("a", i)).Appending(head.Head{}, chaintest.Draft("x")))
			}
			trips, counts := measure(t, m, func() {
				_, err := store.Commit(t.Context(), members...)
				require.NoError(t, err)
			})
			require.Equal(t, row.trips, trips)
			want := meter.Counts{SwapAll: 1}
			if row.trips == 2 {
				want.Put = row.members
			}
			require.Equal(t, want, counts)
		})
	}
}

// Tips that are too large for one step are spilled into objects.
func TestCommitSpillsLargeTips(t *testing.T) {
	db := memstore.New()
	store := ropewalk.New(db, faults.TwoSteps(db), &ropewalk.Options{Packed: true, TipSize: head.MaxTip})
	var members []ropewalk.Member
	for i := range 20 {
		members = append(members, store.Chain(fmt.Sprint("a", i)).Appending(head.Head{}, chaintest.Draft(strings.Repeat("x", 200<<10))))
	}
	got, err := store.Commit(t.Context(), members...)
	require.NoError(t, err)
	require.Empty(t, got[0].Tip)
	got, err = store.Commit(t.Context(), members[0], members[1])
	require.True(t, chaintest.IsConflict(err), "%v", err)
	require.Nil(t, got)
}

// A conflict names the member that has changed.
func TestCommitConflicts(t *testing.T) {
	for act, want := range map[string]string{
		"append to the last":  "conflict: a1 is at 1, not at 0",
		"append to unchanged": "conflict: u0 is at 1, not at 0",
		"erase unchanged":     `chain "u0": erased`,
		"erase the first":     `chain "a0": erased`,
	} {
		w := newJoint(t, situation{appends: 2, unchanged: 1})
		meanwhile[act](w)
		_, err := w.store.Commit(t.Context(), w.members()...)
		require.EqualError(t, err, want)
		require.Equal(t, 1, w.script.Calls(faults.SwapAll))
		require.Zero(t, w.script.Calls(faults.Swap), "no fence is needed")
	}
	w := newJoint(t, situation{appends: 2, fresh: 1, unchanged: 1, gone: true})
	w.append("u0")
	_, err := w.store.Commit(t.Context(), w.members()...)
	require.EqualError(t, err, "conflict: u0 exists already, at 0")
}

// An uncertain commit names what settles it, first of a member that existed.
func TestCommitUncertain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJoint(t, situation{appends: 3, fresh: 1, unchanged: 1})
		w.script.Next(faults.SwapAll, faults.Fault{Kind: faults.Late})
		w.script.Every(faults.Load, faults.Fault{Kind: faults.Dropped})
		members := w.members()
		_, err := w.store.Commit(t.Context(), members[2], members[0], members[1], members[3])
		uncertain, ok := errors.AsType[*ropewalk.UncertainError](err)
		require.True(t, ok, "%v", err)
		w.script.Reset()
		ids := []string{uncertain.Ref.AggregateID, uncertain.Others[0].Ref.AggregateID, uncertain.Others[1].Ref.AggregateID}
		require.Equal(t, []string{"a0", "a1", "a2"}, ids)
		require.EqualValues(t, 1, uncertain.AfterRevision)
		_, err = w.direct.Chain("a1").Settle(t.Context(), uncertain.Others[0].Ref, uncertain.Others[0].AfterRevision)
		require.True(t, chaintest.IsConflict(err), "%v", err)
		w.script.Release()
		is, known := w.committed()
		require.True(t, known)
		require.False(t, is, "to settle one member settles all")
	})
}

// A repeated commit returns the heads of the first, whichever member shows it.
func TestCommitOnce(t *testing.T) {
	for _, packed := range []bool{false, true} {
		w := newJoint(t, situation{appends: 3, fresh: 1, unchanged: 1, command: "command-1", packed: packed})
		first, err := w.store.Commit(t.Context(), w.members()...)
		require.NoError(t, err)
		w.append("a0")
		got, err := w.store.Commit(t.Context(), w.members()...)
		require.NoError(t, err)
		for i := range first {
			require.Equal(t, first[i].Ref, got[i].Ref)
		}
		w.requireTrue(got, nil)
		for i, id := range w.ids()[:2] { // from points, too
			point, err := w.store.Chain(id).HeadAt(t.Context(), 0)
			require.NoError(t, err)
			w.before[id] = point
			got, err = w.store.Commit(t.Context(), w.members()...)
			require.NoError(t, err)
			require.Equal(t, first[i].Ref, got[i].Ref)
		}
	}
}

// The same command ID in a plain append proves nothing about the other members.
func TestCommitIsNotRepeatedByAPlainAppend(t *testing.T) {
	w := newJoint(t, situation{appends: 2, command: "command-1"})
	d := chaintest.Draft("rival")
	d.CommandID = "command-1"
	_, err := w.direct.Chain("a0").Append(t.Context(), w.before["a0"], d)
	require.NoError(t, err)
	got, err := w.store.Commit(t.Context(), w.members()...)
	require.True(t, chaintest.IsConflict(err), "%v", err)
	w.requireTrue(got, err)
}

// A repeated commit whose other heads are not the heads before it is a conflict, at once.
func TestCommitRepeatedAfterOtherHeads(t *testing.T) {
	w := newJoint(t, situation{appends: 2, command: "command-1"})
	_, err := w.store.Commit(t.Context(), w.members()...)
	require.NoError(t, err)
	w.append("a1")
	h, err := w.direct.Chain("a1").Head(t.Context())
	require.NoError(t, err)
	w.before["a1"] = h
	w.append("a1")
	_, err = w.store.Commit(t.Context(), w.members()...)
	require.True(t, chaintest.IsConflict(err), "%v", err)
}

// A repeated commit whose other heads cannot be loaded has no heads to return: the heads of
// this attempt were never committed.
func TestCommitRepeatedWithoutTheOtherHeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJoint(t, situation{appends: 2, command: "command-1"})
		_, err := w.store.Commit(t.Context(), w.members()...)
		require.NoError(t, err)
		w.script.Every(faults.Load, faults.Fault{Kind: faults.Dropped})
		got, err := w.store.Commit(t.Context(), w.members()...)
		require.ErrorIs(t, err, ropewalk.ErrUncertain)
		require.Nil(t, got)
	})
}

// Tombstones that were made right after the commit have its changesets: it was committed.
func TestCommitErasedRightAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJoint(t, situation{appends: 2})
		w.script.Next(faults.SwapAll, faults.Fault{Kind: faults.Lost, After: func() { w.erase("a0"); w.erase("a1") }})
		got, err := w.store.Commit(t.Context(), w.members()...)
		require.NoError(t, err)
		require.EqualValues(t, 2, got[0].Version)
	})
}

// An append to a point loads the record first.
func TestCommitAfterPoints(t *testing.T) {
	w := newJoint(t, situation{appends: 2, packed: true})
	heads, err := w.store.Commit(t.Context(), w.members()...)
	require.NoError(t, err)
	c := w.store.Chain("a0")
	r, err := c.Reader(t.Context())
	require.NoError(t, err)
	newest, err := r.At(t.Context(), 2)
	require.NoError(t, err)
	point := head.At(newest.Header)
	require.True(t, point.IsPoint())
	_, err = w.store.Commit(t.Context(), c.Unchanged(point), w.store.Chain("a1").Appending(heads[1], chaintest.Draft("x")))
	require.NoError(t, err)
	got, err := w.store.Commit(t.Context(), c.Appending(point, chaintest.Draft("x")))
	require.NoError(t, err)
	require.EqualValues(t, 3, got[0].Version)
	_, err = w.store.Commit(t.Context(), c.Appending(point, chaintest.Draft("x")))
	require.True(t, chaintest.IsConflict(err), "%v", err)
}

// Two commits over the same members in opposite orders block each other never for good:
// all callers end, and what was told is true.
func TestCommitsInOppositeOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meter.New(latency)
		db := memstore.New()
		store := ropewalk.New(m.Changesets(db), faults.TwoSteps(m.Heads(db)), nil)
		x, y := store.Chain("x"), store.Chain("y")
		var callers sync.WaitGroup
		for i := range 64 {
			callers.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 1))
				for {
					hx, err := x.Head(t.Context())
					require.True(t, err == nil || errors.Is(err, ropewalk.ErrNotFound))
					hy, err := y.Head(t.Context())
					require.True(t, err == nil || errors.Is(err, ropewalk.ErrNotFound))
					members := []ropewalk.Member{x.Appending(hx, chaintest.Draft("x")), y.Appending(hy, chaintest.Draft("y"))}
					if i%2 == 1 {
						members[0], members[1] = members[1], members[0]
					}
					if _, err = store.Commit(t.Context(), members...); err == nil {
						return
					}
					require.ErrorIs(t, err, ropewalk.ErrConflict)
					time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
				}
			})
		}
		callers.Wait()
		for _, c := range []*ropewalk.Chain{x, y} {
			h, err := c.Head(context.Background())
			require.NoError(t, err)
			require.EqualValues(t, 64, h.Len())
		}
	})
}

// A head that was rolled back is never taken for a refusal or for a success.
func TestCommitOnRestoredHeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJoint(t, situation{appends: 2, unchanged: 1})
		for range 2 {
			for _, id := range w.ids() {
				w.fence(id)
			}
		}
		ahead := map[string]head.Head{}
		for _, id := range w.ids() {
			h, err := w.db.Load(t.Context(), id)
			require.NoError(t, err)
			h.Revision += 5
			ahead[id] = h
		}
		w.before["a1"] = ahead["a1"]
		_, err := w.store.Commit(t.Context(), w.members()...)
		require.ErrorIs(t, err, ropewalk.ErrHeadLost)

		// One chain has the commit, and another was rolled back.
		w = newJoint(t, situation{appends: 2})
		w.script.On(faults.SwapAll, 1, faults.Fault{Kind: faults.Lost, After: func() {
			h := w.before["a1"]
			h.Revision += 2
			w.db.Tamper(func(c *memstore.Contents) { delete(c.Heads, head.ObjectName("a1")) })
			_, err := w.db.Swap(context.Background(), head.Head{}, h)
			require.NoError(t, err)
		}})
		_, err = w.store.Commit(t.Context(), w.members()...)
		require.ErrorIs(t, err, ropewalk.ErrHeadLost)
		require.ErrorContains(t, err, `it lacks a commit that "a0" has`)
	})
}

func TestCommitOfAHundred(t *testing.T) {
	s := situation{appends: 60, fresh: 20, unchanged: 40, gone: true}
	const stride = 211 // 1 takes some eight minutes
	n := 0
	for _, request := range slices.Sorted(maps.Keys(requests)) {
		for _, fault := range chaintest.Faults(faults.SwapAll, time.Second) {
			for _, name := range slices.Sorted(maps.Keys(meanwhile)) {
				if n++; n%stride != 0 {
					continue
				}
				what := fmt.Sprintf("%s %+v: %s", request, fault, name)
				synctest.Test(t, func(t *testing.T) { testCommit(t, what, s, requests[request], fault, n%2 == 0, meanwhile[name]) })
				if t.Failed() {
					return
				}
			}
		}
	}
	t.Logf("one in %d of %d cases", stride, n)
}

// An update of two aggregates gets through beside busy appenders of both. Each swap of the
// appenders may cost it an attempt.
func TestACommitBesideBusyAppenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meter.New(latency)
		db := memstore.New()
		store := ropewalk.New(m.Changesets(db), faults.TwoSteps(m.Heads(db)), nil)
		ctx, stop := context.WithCancel(t.Context())
		var busy sync.WaitGroup
		for _, id := range []string{"x", "y"} {
			appender := store.Chain(id).NewAppender(nil)
			for range 4 {
				busy.Go(func() {
					r := rand.New(rand.NewPCG(1, 1))
					for ctx.Err() == nil {
						_, err := appender.Append(t.Context(), chaintest.Draft("busy"))
						require.NoError(t, err)
						time.Sleep(time.Duration(r.IntN(10)) * latency)
					}
				})
			}
		}
		start, attempts := time.Now(), 0
		for range 10 {
			_, err := store.UpdateAll(t.Context(), []string{"x", "y"}, func(context.Context, []*ropewalk.Reader) ([][]ropewalk.Draft, error) {
				attempts++
				return [][]ropewalk.Draft{{chaintest.Draft("x")}, {chaintest.Draft("y")}}, nil
			})
			require.NoError(t, err)
		}
		stop()
		busy.Wait()
		t.Logf("10 commits took %d attempts and %s", attempts, time.Since(start))
	})
}

// blamer loses its first step, which takes effect when the second one arrives. Then another
// append changes the unchanged member, and the reply blames that member alone.
type blamer struct {
	head.PassThrough
	late   []head.Exchange
	append func()
}

func (b *blamer) SwapAll(ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
	if b.late == nil {
		b.late = exchanges
		return nil, errors.New("lost")
	}
	if _, err := b.PassThrough.SwapAll(ctx, b.late); err != nil {
		return nil, err
	}
	b.append()
	winner, err := b.Load(ctx, "u0")
	if err != nil {
		return nil, err
	}
	return nil, &head.ConflictsError{Winners: map[string]*head.Head{"u0": &winner}}
}

// TestAnUnchangedMemberNeverProvesARefusal: that it has changed does not say whether the
// step took effect before.
func TestAnUnchangedMemberNeverProvesARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJoint(t, situation{appends: 2, unchanged: 1})
		w.store = ropewalk.New(w.db, &blamer{
			PassThrough: head.NewPassThrough(faults.TwoSteps(w.db)),
			append: func() {
				_, err := w.direct.Chain("u0").Append(t.Context(), w.before["u0"], chaintest.Draft("other"))
				require.NoError(t, err)
			},
		}, nil)
		got, err := w.store.Commit(t.Context(), w.members()...)
		require.NoError(t, err)
		w.requireTrue(got, err)
	})
}

// forgetful loses its first step, which never takes effect, after others have acted.
type forgetful struct {
	head.PassThrough
	act func()
}

func (f *forgetful) SwapAll(ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
	if act := f.act; act != nil {
		f.act = nil
		act()
		return nil, errors.New("lost")
	}
	return f.PassThrough.SwapAll(ctx, exchanges)
}

// TestCommitAfterTheErasureOfAMember: the tombstone of a history that went on says nothing, so
// the next member is asked and fenced, and the outcome is known.
func TestCommitAfterTheErasureOfAMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJoint(t, situation{appends: 2})
		act := func() { w.append("a0"); w.erase("a0") }
		w.store = ropewalk.New(w.db, &forgetful{head.NewPassThrough(faults.TwoSteps(w.db)), act}, nil)
		_, err := w.store.Commit(t.Context(), w.members()...)
		require.ErrorIs(t, err, ropewalk.ErrErased)
		require.False(t, has[*ropewalk.UncertainError](err), err)
		h, err := w.direct.Chain("a1").Head(t.Context())
		require.NoError(t, err)
		require.Equal(t, w.before["a1"].Revision+1, h.Revision, "fenced")
	})
}

// TestMembersHaveOneTime, which is not before the time of any head.
func TestMembersHaveOneTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJoint(t, situation{appends: 2})
		ahead := w.before["a1"]
		ahead.UpdatedAt = ahead.UpdatedAt.Add(time.Hour)
		ahead.Revision++
		swapped, err := w.db.Swap(t.Context(), w.before["a1"], ahead)
		require.NoError(t, err)
		w.before["a1"] = swapped
		got, err := w.store.Commit(t.Context(), w.members()...)
		require.NoError(t, err)
		require.Equal(t, ahead.UpdatedAt, got[0].UpdatedAt)
		require.Equal(t, ahead.UpdatedAt, got[1].UpdatedAt)
	})
}
