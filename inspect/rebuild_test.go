package inspect_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
)

func (b *bench) plan() (inspect.Rebuilding, error) {
	return inspect.New(b, b, nil).Rebuild(ctx(b.t), b.id)
}

func (b *bench) rebuild(at changeset.Ref) head.Head {
	in := inspect.New(b, b, nil)
	plan, err := in.Rebuild(ctx(b.t), b.id)
	require.NoError(b.t, err)
	h, err := in.Apply(ctx(b.t), plan, at)
	require.NoError(b.t, err)
	return h
}

func (b *bench) loseHead() {
	b.Tamper(func(m *memstore.Contents) { delete(m.Heads, head.ObjectName(b.id)) })
}

// putBack stores an earlier head's record, as a restored table would have it.
func (b *bench) putBack(h head.Head) {
	record, err := head.EncodeJSON(h)
	require.NoError(b.t, err)
	b.Tamper(func(m *memstore.Contents) { m.Heads[head.ObjectName(b.id)] = record })
}

func refs(tips []inspect.Tip) (all []changeset.Ref) {
	for _, t := range tips {
		all = append(all, t.Ref)
	}
	return all
}

func TestALostHeadIsRebuilt(t *testing.T) {
	s := newSample(t)
	s.Tamper(remove(s.lost.Ref))
	was := s.head
	s.loseHead()
	plan, err := s.plan()
	require.NoError(t, err)
	require.Equal(t, inspect.Headless, plan.Condition)
	require.True(t, plan.Certain)
	require.Zero(t, plan.Beyond)
	require.Equal(t, []changeset.Ref{was.Ref}, refs(plan.Tips))
	got := s.rebuild(changeset.Ref{})
	require.Equal(t, was.WithToken(""), got.WithToken(""), "nothing fenced it, so that not even its revision differs")
	require.Empty(t, s.verify().Problems)
	plan, err = s.plan()
	require.NoError(t, err)
	require.Equal(t, inspect.Standing, plan.Condition)
	require.Equal(t, got, plan.Head)
}

func TestWhatIsNotChosenIsLostForGood(t *testing.T) {
	s := newSample(t)
	pending := s.orphan(draft("a"), draft("b"))
	next, h := s.build(s.head, draft("six"))
	s.put(next...)
	ahead, _ := s.build(h, draft("seven"))
	s.put(ahead...)
	s.loseHead()
	plan, err := s.plan()
	require.NoError(t, err)
	require.ElementsMatch(t, []changeset.Ref{ahead[0].Ref, pending[1].Ref, s.lost.Ref}, refs(plan.Tips))
	require.Equal(t, s.lost.Ref, plan.Tips[2].Ref, "the highest come first")
	require.Equal(t, ahead[0].Ref, plan.Tips[0].Ref)

	in := inspect.New(s, s, nil)
	for _, none := range []changeset.Ref{{}, s.chain[5].Ref, pending[0].Ref, {AggregateID: s.id, Version: 7, ID: changeset.NewID()}} {
		_, err = in.Apply(t.Context(), plan, none)
		require.ErrorIs(t, err, inspect.ErrNotATip)
	}
	got := s.rebuild(pending[1].Ref)
	require.Equal(t, ahead[0].AfterRevision+1, got.Revision)
	r := s.verify()
	require.Empty(t, r.Problems)
	require.Equal(t, 8, r.Committed)
	require.Equal(t, 3, r.Lost, "above every revision that anything was built on")

	_, err = s.Swap(t.Context(), s.head, h) // the writer of six, late
	require.Error(t, err)
	chain := ropewalk.New(s, s, nil).Chain(s.id)
	_, err = chain.Settle(t.Context(), next[0].Ref, next[0].AfterRevision)
	require.True(t, isConflict(err), "%v", err)
	settled, err := chain.Settle(t.Context(), pending[1].Ref, pending[1].AfterRevision)
	require.NoError(t, err)
	require.Equal(t, got, settled)
	_, err = chain.Append(t.Context(), got, draft("on"))
	require.NoError(t, err)
}

func isConflict(err error) bool {
	_, ok := err.(*ropewalk.ConflictError)
	return ok
}

func TestARestoredHeadIsRolledForward(t *testing.T) {
	b := newBench(t, order)
	b.append(draft("0"))
	old := b.head
	b.orphan(draft("refused by the fence"))
	b.fence()
	fenced := b.head
	b.append(draft("1"), draft("2"))
	b.append(draft("3"))
	newest := b.head
	b.putBack(fenced)
	plan, err := b.plan()
	require.NoError(t, err)
	require.Equal(t, []changeset.Ref{newest.Ref}, refs(plan.Tips), "the head knows of its fence")

	b.putBack(old)
	plan, err = b.plan()
	require.NoError(t, err)
	require.Equal(t, inspect.Behind, plan.Condition)
	require.Len(t, plan.Tips, 2, "before the fence is told, what it has refused looks pending")
	require.Equal(t, newest.Ref, plan.Tips[0].Ref)
	got := b.rebuild(newest.Ref)
	require.Equal(t, newest.Ref, got.Ref)
	require.Equal(t, newest.Revision, got.Revision)
	r := b.verify()
	require.Empty(t, r.Problems)
	require.Equal(t, 4, r.Committed)
	require.Equal(t, 1, r.Lost)
}

func TestAStandingHeadIsLeftAlone(t *testing.T) {
	s := newSample(t)
	pending := s.orphan(draft("pending"))
	plan, err := s.plan()
	require.NoError(t, err)
	require.Equal(t, inspect.Standing, plan.Condition)
	require.Empty(t, plan.Tips)
	_, err = inspect.New(s, s, nil).Apply(t.Context(), plan, pending[0].Ref)
	require.ErrorIs(t, err, inspect.ErrNotATip)
}

func TestAHeadIsNeverRolledToWhatDoesNotDescendFromIt(t *testing.T) {
	s := newSample(t)
	was := s.head
	s.append(draft("six"))
	// A writer built another history on the restored head, and that stands now.
	s.putBack(was)
	s.head = was
	six := s.append(draft("another six"))
	s.append(draft("seven"))
	s.Tamper(remove(six[0].Ref))
	s.putBack(was)
	s.Tamper(func(m *memstore.Contents) {
		for name := range m.Objects {
			if ref, _ := changeset.ParseObjectName(name); ref.Version == 6 {
				delete(m.Objects, name)
			}
		}
	})
	plan, err := s.plan()
	require.NoError(t, err)
	require.Equal(t, inspect.Behind, plan.Condition)
	require.Empty(t, plan.Tips)
	require.Equal(t, 1, plan.Beyond)

	s = newSample(t)
	s.append(draft("six"))
	s.putBack(head.At(s.lost.Header)) // as if the other one had won
	plan, err = s.plan()
	require.NoError(t, err)
	require.Equal(t, inspect.Behind, plan.Condition)
	require.Empty(t, plan.Tips)
}

func TestWhatCannotBeRebuilt(t *testing.T) {
	refused := func(s sample) *changeset.CorruptError {
		_, err := s.plan()
		var bad *changeset.CorruptError
		require.ErrorAs(t, err, &bad)
		return bad
	}
	s := newSample(t)
	s.Tamper(func(m *memstore.Contents) { m.Heads[head.ObjectName(s.id)] = []byte("{") })
	bad := refused(s)
	require.Equal(t, "memory:heads/order%201", bad.Object)
	require.Contains(t, bad.Reason, "remove it by hand")

	s = newSample(t)
	s.Tamper(func(m *memstore.Contents) {
		record := m.Heads[head.ObjectName(s.id)]
		for _, field := range []string{head.FieldFormat, head.FieldMinReader, head.FieldMinWriter} {
			record = bytes.Replace(record, fmt.Appendf(nil, "%q:1", field), fmt.Appendf(nil, "%q:3", field), 1)
		}
		m.Heads[head.ObjectName(s.id)] = record
	})
	_, err := s.plan()
	require.ErrorIs(t, err, ropewalk.ErrUnsupportedFormat)
	require.NotContains(t, err.Error(), "by hand", "a head of a later format may have changesets in it")

	s = newSample(t)
	s.Tamper(remove(s.chain[5].Ref))
	require.Contains(t, refused(s).Reason, "cannot be rolled forward")
	s = newSample(t)
	wrong := s.head
	wrong.Digest[0] ^= 1
	s.putBack(wrong)
	require.Contains(t, refused(s).Reason, "its digest is not the digest")

	s = newSample(t)
	s.swap(link.Tombstone(s.head))
	_, err = s.plan()
	require.ErrorIs(t, err, ropewalk.ErrErased)
	_, err = newBench(t, "nobody").plan()
	require.ErrorIs(t, err, changeset.ErrNotFound)

	b := newBench(t, order)
	b.append(draft("0"))
	future := b.head
	future.Revision = math.MaxUint64 - 1
	built, _ := b.build(future, draft("absurd"))
	b.put(built...)
	_, err = b.plan()
	require.ErrorContains(t, err, "leaves no room")
}

// A changeset that cannot be proved is never in a history that is offered, and
// is counted if it lies above.
func TestOnlyWhatIsProvedIsOffered(t *testing.T) {
	for i, want := range map[int]int{0: -1, 1: 0, 2: 0, 3: 0, 4: 3, 5: 4} {
		for _, damage := range []func(*memstore.Contents, changeset.Changeset){
			func(m *memstore.Contents, c changeset.Changeset) { m.Objects[c.ObjectName()].Body[0] ^= 1 },
			func(m *memstore.Contents, c changeset.Changeset) { m.Objects[c.ObjectName()].Metadata["user"] = "x=y" },
			func(m *memstore.Contents, c changeset.Changeset) { delete(m.Objects, c.ObjectName()) },
		} {
			s := newSample(t)
			s.Tamper(remove(s.lost.Ref))
			s.loseHead()
			s.Tamper(func(m *memstore.Contents) { damage(m, s.chain[i]) })
			plan, err := s.plan()
			require.NoError(t, err)
			if want < 0 {
				require.Empty(t, plan.Tips)
				require.Positive(t, plan.Beyond)
				continue
			}
			require.Equal(t, []changeset.Ref{s.chain[want].Ref}, refs(plan.Tips), "without %d", i)
			var stored int
			s.Tamper(func(m *memstore.Contents) { stored = len(m.Objects) })
			require.Equal(t, stored-want-1, plan.Beyond, "without %d", i)
		}
	}
}

func TestHeadersOnlyRebuildsPastHurtContents(t *testing.T) {
	s := newSample(t)
	s.Tamper(remove(s.lost.Ref))
	s.loseHead()
	s.Tamper(func(m *memstore.Contents) { m.Objects[s.chain[1].ObjectName()].Body[0] ^= 1 })
	plan, err := inspect.New(s, s, &inspect.Options{HeadersOnly: true}).Rebuild(t.Context(), s.id)
	require.NoError(t, err)
	require.Equal(t, []changeset.Ref{s.head.Ref}, refs(plan.Tips))
}

// After any history of a chain, a lost head is among the tips. Rebuilding it
// there commits nothing that was not committed, unless it was pending on top,
// and loses nothing that was.
func TestTheLostHeadIsAmongTheTips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{bench: newBench(t, "a/b")}
		t.Repeat(h.actions())
		if !h.head.Exists() {
			t.Skip("nothing is lost")
		}
		var want []changeset.Ref
		for _, p := range h.puts {
			for _, c := range p.stored {
				if p.committed {
					want = append(want, c.Ref)
				}
			}
		}
		newest := h.head
		h.loseHead()
		plan, err := h.plan()
		require.NoError(t, err)
		at := slices.IndexFunc(plan.Tips, func(tip inspect.Tip) bool { return descends(h, tip.Ref, newest.Ref) })
		require.GreaterOrEqual(t, at, 0)
		got := h.rebuild(plan.Tips[at].Ref)
		for _, p := range h.puts {
			for _, c := range p.stored {
				require.Less(t, c.AfterRevision, got.Revision)
			}
		}
		r, err := ropewalk.New(h, h, nil).Chain(h.id).Reader(ctx(t))
		require.NoError(t, err)
		var chain []changeset.Ref
		for c, err := range r.All(ctx(t)) {
			require.NoError(t, err)
			chain = append(chain, c.Ref)
		}
		require.Equal(t, want, chain[:len(want)])
		report := h.verify()
		require.Empty(t, report.Problems)
		require.Zero(t, report.Pending+report.Ahead, fmt.Sprint(report))
	})
}

// descends reports whether one changeset is another or descends from it.
func descends(h *history, ref, from changeset.Ref) bool {
	for ref.Version > from.Version {
		info, err := h.Stat(ctx(h.t), ref)
		require.NoError(h.t, err)
		ref.Version, ref.ID = ref.Version-1, info.Parent
	}
	return ref.Version == from.Version && bytes.Equal(ref.ID[:], from.ID[:])
}
