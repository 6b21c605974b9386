package inspect_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
)

// newVoid returns a chain that was fenced before it existed, with a first append that was
// refused.
func newVoid(t *testing.T) (b *bench, refused changeset.Ref) {
	b = newBench(t, "order-1")
	refused = b.orphan(draft("refused"))[0].Ref
	b.swap(link.Void(b.id))
	return b, refused
}

// A void head is well formed, and objects that were built on a lower revision are lost.
func TestVerifyAVoidHead(t *testing.T) {
	b, refused := newVoid(t)
	r := b.verify()
	require.Empty(t, r.Problems)
	require.Equal(t, b.head, r.Head)
	require.Equal(t, []int{0, 1, 0, 0, 0}, []int{r.Committed, r.Lost, r.Pending, r.Ahead, r.Unknown})
	pending := b.orphan(draft("pending"), draft("pending too"))
	_, ahead := b.build(b.head, draft("a"))
	later, _ := b.build(ahead, draft("ahead"))
	b.put(later...)
	r = b.verify()
	require.Empty(t, r.Problems)
	require.Equal(t, []int{0, 1, 2, 1, 0}, []int{r.Committed, r.Lost, r.Pending, r.Ahead, r.Unknown})

	kinds := map[changeset.Ref]inspect.Kind{}
	for _, n := range b.graph(0).Nodes {
		kinds[n.Ref] = n.Kind
		require.Nil(t, n.Fault)
	}
	require.Equal(t, map[changeset.Ref]inspect.Kind{
		refused: inspect.Lost, pending[0].Ref: inspect.Pending, pending[1].Ref: inspect.Pending, later[0].Ref: inspect.Ahead,
	}, kinds)
}

func TestAVoidHeadWithoutObjects(t *testing.T) {
	b := newBench(t, "order-1")
	b.swap(link.Void(b.id))
	r := b.verify()
	require.Empty(t, r.Problems)
	require.Equal(t, head.Void, r.Head.State)
	_, err := inspect.New(b, b, nil).Graph(t.Context(), b.id, 0)
	require.ErrorIs(t, err, changeset.ErrNotFound)

	b.Tamper(func(m *memstore.Contents) {
		m.Heads[head.ObjectName(b.id)] = []byte(`{"state":"void"}`)
	})
	require.Len(t, b.verify().Problems, 1)
}

// The chain that begins after a void head is proved like any other, in either format.
func TestVerifyAChainAfterAVoidHead(t *testing.T) {
	for _, packed := range []bool{false, true} {
		b, _ := newVoid(t)
		b.swap(link.Fence(b.head))
		for range 3 {
			if packed {
				b.commit(b.buildPacked(link.Layout{Packed: true}, draft("a"), draft("b")))
			} else {
				b.append(draft("a"), draft("b"))
			}
		}
		r := b.verify()
		require.Empty(t, r.Problems)
		require.Equal(t, 6, r.Committed)
		require.Equal(t, 1, r.Lost)

		was := b.head
		b.loseHead()
		plan, err := b.plan()
		require.NoError(t, err)
		require.Equal(t, inspect.Headless, plan.Condition)
		require.True(t, plan.Certain)
		got := b.rebuild(was.Ref)
		require.Equal(t, was.WithToken(""), got.WithToken(""))
	}
}

// An append that a void head has refused never comes into a rebuilt head. An append that
// was built on the void head does, if the head was restored since.
func TestRebuildAboveAVoidHead(t *testing.T) {
	b, refused := newVoid(t)
	plan, err := b.plan()
	require.NoError(t, err)
	require.Equal(t, inspect.Standing, plan.Condition)
	b.orphan(draft("pending"))
	plan, err = b.plan()
	require.NoError(t, err)
	require.Equal(t, inspect.Standing, plan.Condition, "settle it")

	for _, packed := range []bool{false, true} {
		b, _ = newVoid(t)
		void := b.head
		for range 2 {
			if packed {
				b.commit(b.buildPacked(link.Layout{Packed: true}, draft("a")))
			} else {
				b.append(draft("a"))
			}
		}
		was := b.head
		b.putBack(void)
		plan, err = b.plan()
		require.NoError(t, err)
		require.Equal(t, inspect.Behind, plan.Condition)
		require.Zero(t, plan.Beyond)
		for _, tip := range plan.Tips {
			require.NotEqual(t, refused, tip.Ref)
			require.GreaterOrEqual(t, tip.AfterRevision, void.Revision)
		}
		require.Contains(t, refs(plan.Tips), was.Ref)
		got := b.rebuild(was.Ref)
		require.Equal(t, was.WithToken(""), got.WithToken(""))
		require.Empty(t, b.verify().Problems)
	}
}
