package inspect_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
)

// clone returns the bench over a copy of its storage.
func (b *bench) clone(t require.TestingT) *bench {
	other := *b
	other.t, other.Store = t, b.Clone()
	return &other
}

// digestAt returns the digest of a version in the chain of a head.
func (b *bench) digestAt(h head.Head, version uint64) changeset.Digest {
	place, err := link.Locate(ctx(b.t), b, h, version)
	require.NoError(b.t, err)
	return place.Header.Digest
}

// use rebuilds the head at a tip, and goes on with the chain. Everything that
// is in the chain must be what the tip's digest commits to.
func (b *bench) use(plan inspect.Rebuilding, tip inspect.Tip) head.Head {
	got, err := inspect.New(b, b, nil).Apply(ctx(b.t), plan, tip.Ref)
	require.NoError(b.t, err)
	require.Equal(b.t, tip.Ref, got.Ref)
	require.Equal(b.t, tip.Digest, got.Digest)
	require.Equal(b.t, plan.Revision, got.Revision)
	b.head = got
	for range 2 {
		r := b.verify()
		require.Empty(b.t, r.Problems)
		require.EqualValues(b.t, b.head.Len(), r.Committed)
		require.Zero(b.t, r.Pending+r.Ahead+r.Unknown)
		again, err := b.plan()
		require.NoError(b.t, err)
		require.Equal(b.t, inspect.Standing, again.Condition)
		b.inline(draft("goes on"))
		b.spill(draft("and on"))
		require.Equal(b.t, tip.Digest, b.digestAt(b.head, tip.Version))
	}
	return got
}

// tops are the tips with no other tip above them.
func tops(plan inspect.Rebuilding) []inspect.Tip {
	return slices.DeleteFunc(slices.Clone(plan.Tips), func(t inspect.Tip) bool { return t.Under != (changeset.Ref{}) })
}

// TestLostHeadsOfPackedChainsAreRebuilt loses the head of chains of every shape: what
// was in objects is in a history that is offered, and each history that is
// offered is sound, and can be used.
func TestLostHeadsOfPackedChainsAreRebuilt(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			b := k.bench(t)
			was := b.head
			b.loseHead()
			if len(b.objects()) == 0 {
				_, err := b.plan()
				require.ErrorIs(t, err, changeset.ErrNotFound)
				return
			}
			plan, err := b.plan()
			require.NoError(t, err)
			require.Empty(t, plan.Problems)
			require.Equal(t, inspect.Headless, plan.Condition)
			require.Equal(t, was.Index.Objects() > 0, plan.Packed)
			require.Zero(t, plan.Beyond)
			newest := was.Index.Next() - 1 // in objects
			found := false
			for _, tip := range plan.Tips {
				other := b.clone(t)
				got := other.use(plan, tip)
				found = found || got.Version >= newest && other.digestAt(got, newest) == was.PackedDigest
			}
			require.True(t, found, "what was in objects is not offered")
		})
	}
}

// TestOldHeadsOfPackedChainsAreRolledForward puts each earlier head of chains of every
// shape back.
func TestOldHeadsOfPackedChainsAreRolledForward(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			b := k.bench(t)
			for i, past := range b.past {
				if !past.Exists() || i%2 != 0 || k.step > 1 && i%7 != 0 {
					continue
				}
				other := b.clone(t)
				other.head = past
				other.putBack(past)
				plan, err := other.plan()
				require.NoError(t, err)
				if plan.Condition == inspect.Standing {
					continue
				}
				require.Equal(t, inspect.Behind, plan.Condition)
				require.Empty(t, plan.Problems)
				for _, tip := range plan.Tips {
					require.Greater(t, tip.Version, past.Version)
					got := other.clone(t).use(plan, tip)
					require.Equal(t, past.Digest, other.digestAt(got, past.Version), "it does not descend from the head")
				}
				require.NotEmpty(t, plan.Tips)
			}
		})
	}
}

// TestTheTipThatARefusedAppendCopiedIsOffered loses a head whose tip has what was
// committed instead of a pack.
func TestTheTipThatARefusedAppendCopiedIsOffered(t *testing.T) {
	b := newBench(t, order)
	b.append(draft("old"))
	b.inline(draft("1"), draft("2"))
	copied := b.inline(draft("3"))[0]
	refused := b.orphanPack(draft("refused"))
	other := b.orphanPack(draft("refused, too"), draft("and longer"))
	b.inline(draft("won"))
	r := b.verify()
	require.Empty(t, r.Problems)
	require.Equal(t, 3, r.Lost, "copies of the tip are not lost")
	b.loseHead()
	plan, err := b.plan()
	require.NoError(t, err)
	ends := []changeset.Ref{other.Next.Ref, refused.Next.Ref, copied.Ref}
	require.Equal(t, ends, refs(plan.Tips), "the highest first")
	require.Len(t, tops(plan), 2)
	require.NotZero(t, plan.Tips[2].Under)
	require.True(t, plan.Packed)
	_, err = inspect.New(b, b, nil).Apply(t.Context(), plan, changeset.Ref{})
	require.ErrorIs(t, err, inspect.ErrNotATip, "there are two")

	got := b.clone(t).use(plan, plan.Tips[2])
	require.Equal(t, 3, strings.Count(got.Tip, "\n"))
	require.EqualValues(t, 1, got.Index.Next())
	require.Zero(t, got.Index.Objects())
	require.NotZero(t, got.Ancestors)

	b.Tamper(remove(other.Objects[0].Ref))
	plan, err = b.plan()
	require.NoError(t, err)
	require.Equal(t, ends[1:], refs(plan.Tips))
	got, err = inspect.New(b, b, nil).Apply(t.Context(), plan, changeset.Ref{})
	require.NoError(t, err)
	require.Equal(t, refused.Next.Ref, got.Ref, "the only tip that nothing was built on")
	require.Empty(t, got.Tip)
}

// TestAnAppendThatIsNotStoredAsAWholeIsLeftOut loses a head, and one pack of its last
// append: the pack before ends in the middle of the append, and has a tip in front.
func TestAnAppendThatIsNotStoredAsAWholeIsLeftOut(t *testing.T) {
	b := newBench(t, order)
	b.spill(draft("0"))
	copied := b.inline(draft("1"), draft("2"))[1]
	a := b.spill(half('x'), half('y'), half('z'))
	require.Len(t, a.Objects, 3)
	b.loseHead()
	for i, want := range map[int]int{1: 1, 2: 2} {
		other := b.clone(t)
		other.Tamper(remove(a.Objects[i].Ref))
		plan, err := other.plan()
		require.NoError(t, err)
		require.Equal(t, []changeset.Ref{copied.Ref}, refs(plan.Tips))
		require.Equal(t, a.Objects[0].Ref, plan.Tips[0].Object)
		require.Equal(t, 2, plan.Beyond, want)
		got := other.rebuild(changeset.Ref{})
		require.Equal(t, copied.Digest, got.Digest)
		require.Equal(t, 2, strings.Count(got.Tip, "\n"))
		require.EqualValues(t, 1, got.Index.Objects())
		require.Empty(t, other.verify().Problems)
	}
	b.Tamper(remove(a.Objects[0].Ref))
	plan, err := b.plan()
	require.NoError(t, err)
	require.EqualValues(t, 0, plan.Tips[0].Version)
	require.Equal(t, 2, plan.Beyond)
}

// TestAFlushThatLostIsNoTip has a flush of a tip that an append has put too.
func TestAFlushThatLostIsNoTip(t *testing.T) {
	b := newBench(t, order)
	b.inline(draft("0"), draft("1"))
	objects, _, err := link.Flush(b.head, false)
	require.NoError(t, err)
	b.put(objects...)
	b.spill(draft("2"))
	b.spill(draft("3"))
	b.loseHead()
	plan, err := b.plan()
	require.NoError(t, err)
	require.Equal(t, b.head.Ref, tops(plan)[0].Ref)
	require.Len(t, tops(plan), 1)
}

// TestAHeadIsNotRolledToAPackOfAnotherTip restores a head, and goes on with
// another tip after the same object.
func TestAHeadIsNotRolledToAPackOfAnotherTip(t *testing.T) {
	b := newBench(t, order)
	b.spill(draft("0"))
	before := b.head
	b.inline(draft("1"))
	b.spill(draft("2"))
	b.spill(draft("3"))
	b.putBack(before)
	b.head = before
	b.inline(draft("another 1"))
	plan, err := b.plan()
	require.NoError(t, err)
	require.Equal(t, inspect.Behind, plan.Condition)
	require.Empty(t, plan.Tips)
}

// TestAHeadIsNotRolledPastItsFence restores a head and fences it: what the packs have
// next was built on a revision that has passed.
func TestAHeadIsNotRolledPastItsFence(t *testing.T) {
	b := newBench(t, order)
	b.inline(draft("0"))
	before := b.head
	b.inline(draft("1"))
	b.spill(draft("2"))
	b.spill(draft("3"))
	b.putBack(before)
	b.head = before
	plan, err := b.plan()
	require.NoError(t, err)
	require.Len(t, tops(plan), 1)
	b.fence()
	plan, err = b.plan()
	require.NoError(t, err)
	require.Equal(t, inspect.Behind, plan.Condition)
	require.Empty(t, plan.Tips)
}

// TestAHeadIsNotRolledToWhereItIs restores a head whose tip was put with an append
// that is not stored as a whole.
func TestAHeadIsNotRolledToWhereItIs(t *testing.T) {
	b := newBench(t, order)
	b.inline(draft("0"))
	before := b.head
	b.fence()
	a := b.orphanPack(half('x'), half('y'))
	require.Len(t, a.Objects, 2)
	b.Tamper(remove(a.Objects[1].Ref))
	b.putBack(before)
	plan, err := b.plan()
	require.NoError(t, err)
	require.Equal(t, inspect.Behind, plan.Condition)
	require.Empty(t, plan.Tips)
	require.Equal(t, 1, plan.Beyond)
}

// TestATipThatNoHeadCanHaveIsRefused rebuilds from a pack of which more than a tip
// may have lies in front of the last append.
func TestATipThatNoHeadCanHaveIsRefused(t *testing.T) {
	b := newBench(t, order)
	parent := changeset.Header{Ref: changeset.Ref{AggregateID: b.id}}
	var all []changeset.Header
	var text []byte
	for i := range 4 {
		c, err := changeset.Seal(changeset.Changeset{
			Header: changeset.Header{
				Ref:           changeset.Ref{AggregateID: b.id, Version: uint64(i), ID: changeset.NewID()},
				AfterRevision: uint64(i), RecordedAt: now, ContentType: "text/plain",
			},
			Content: []byte(strings.Repeat("w", 100_000)),
		}, parent)
		require.NoError(t, err)
		all, parent, text = append(all, c.Header), c.Header, changeset.AppendLine(text, c)
	}
	last := all[3]
	pack := changeset.NewPack(last.ID, 3, changeset.ObjectIndex{}, changeset.Header{Ref: changeset.Ref{AggregateID: b.id}}, last, text)
	b.put(pack)
	plan, err := b.plan()
	require.NoError(t, err)
	require.Equal(t, []changeset.Ref{last.Ref}, refs(plan.Tips))
	require.Contains(t, plan.Problems[0].String(), "no head can name "+all[2].Ref.String())
	require.Equal(t, pack.Ref, plan.Problems[0].Ref)
	_, err = inspect.New(b, b, nil).Apply(t.Context(), plan, all[2].Ref)
	require.ErrorIs(t, err, inspect.ErrNotATip)
	require.Empty(t, b.clone(t).use(plan, plan.Tips[0]).Tip)
}

// TestAPackThatChangedSinceItWasPlannedIsNotTrusted applies plans whose pack, or whose
// newest changeset of format 1, is no longer what was proved.
func TestAPackThatChangedSinceItWasPlannedIsNotTrusted(t *testing.T) {
	b := newBench(t, order)
	b.append(draft("old"))
	b.inline(draft("1"))
	a := b.spill(draft("2"))
	b.loseHead()
	plan, err := b.plan()
	require.NoError(t, err)
	require.Len(t, plan.Tips, 2)
	for _, tip := range plan.Tips {
		other := b.clone(t)
		other.Tamper(func(m *memstore.Contents) { m.Objects[a.Objects[0].ObjectName()].Body[20] ^= 1 })
		_, err = inspect.New(other, other, nil).Apply(t.Context(), plan, tip.Ref)
		var bad *changeset.CorruptError
		require.ErrorAs(t, err, &bad)
		require.Equal(t, a.Objects[0].Ref, bad.Ref)
		forged := plan
		forged.Tips = []inspect.Tip{tip}
		forged.Tips[0].Digest[0] ^= 1
		_, err = inspect.New(b, b, nil).Apply(t.Context(), forged, tip.Ref)
		require.ErrorContains(t, err, "not what it was")
	}
	old, err := link.Locate(t.Context(), b, a.Next, 0)
	require.NoError(t, err)
	b.Tamper(remove(old.Object))
	_, err = inspect.New(b, b, nil).Apply(t.Context(), plan, plan.Tips[1].Ref)
	require.ErrorContains(t, err, "not what it was", "the index of the changesets of format 1 is in the newest of them")
}
