package inspect_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/inspect"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
)

// TestGraphOfAPackedChain has forks of the changesets that are not in the chain, and
// none of the copies beside them.
func TestGraphOfAPackedChain(t *testing.T) {
	b := newBench(t, order)
	b.append(draft("0"))
	b.inline(draft("1"), draft("2"))
	lost := b.orphanPack(draft("lost"), draft("lost"))
	won := b.inline(draft("3"))[0]
	pack := b.spill(draft("4")).Objects[0]
	b.inline(draft("5"))
	pending := b.orphanPack(draft("6"))
	ahead, err := link.Build(pending.Next, b.id, bodies(draft("7")), now, link.Layout{})
	require.NoError(t, err)
	b.put(ahead.Objects...)

	g := b.graph(0)
	require.Equal(t, []string{
		"7 ahead", "6 pending", "5 committed", "4 committed", "4 lost to 3", "3 committed", "3 lost to 3",
		"2 committed", "1 committed", "0 committed",
	}, shape(g))
	require.Equal(t, pending.Changesets[0].Header, g.Nodes[1].Header)
	require.Equal(t, pending.Objects[0].Ref, g.Nodes[1].Object)
	require.Zero(t, g.Nodes[2].Object, "it is in the tip")
	require.Equal(t, pack.Ref, g.Nodes[3].Object)
	require.Equal(t, won.Ref, g.Nodes[4].LostTo)
	require.Equal(t, lost.Objects[0].Ref, g.Nodes[4].Object)
	require.Equal(t, pack.Ref, g.Nodes[8].Object, "and not the lost one")
	require.Equal(t, g.Nodes[9].Ref, g.Nodes[9].Object)

	g = b.graph(2)
	require.Equal(t, []string{"7 ahead", "6 pending", "5 committed", "4 committed", "4 lost"}, shape(g))
}

func TestGraphOfAPackedChainReadsOnlyItsLines(t *testing.T) {
	b := newBench(t, order)
	b.append(draft("0"))
	b.spill(draft("1"), large('x'))
	b.spill(draft("3"), draft("4"))
	b.inline(draft("5"))
	m := meter.New(0)
	in := inspect.New(m.Changesets(b).(inspect.Changesets), m.Heads(b), nil)
	g, err := in.Graph(t.Context(), b.id, 2)
	require.NoError(t, err)
	require.Equal(t, []string{"5 committed", "4 committed"}, shape(g))
	require.EqualValues(t, 4, g.First)
	require.Equal(t, meter.Counts{Get: 1, Load: 1, List: 1}, m.Count())
	m.Reset()
	_, err = in.Graph(t.Context(), b.id, 0)
	require.NoError(t, err)
	require.Equal(t, meter.Counts{Get: 3, Stat: 1, Load: 1, List: 1}, m.Count())
	alone := b.objects()[2]
	in = inspect.New(unreadable{b, alone.Ref}, b, nil)
	g, err = in.Graph(t.Context(), b.id, 0)
	require.NoError(t, err, "content that is an object alone is not read")
	require.Len(t, g.Nodes, 6)
}

func TestGraphOfABrokenPackedChain(t *testing.T) {
	b := newBench(t, order)
	var packs []changeset.Changeset
	for range 4 {
		packs = append(packs, b.spill(draft("a"), draft("b"), draft("c")).Objects...)
	}
	b.inline(draft("t"))
	b.Tamper(remove(packs[1].Ref))
	b.Tamper(func(m *memstore.Contents) { m.Objects[packs[2].ObjectName()].Body[3] ^= 1 })
	g := b.graph(0)
	require.Equal(t, []string{
		"12 committed", "11 committed", "10 committed", "9 committed", "8 committed: content does not match its sha256",
		"5 missing", "2 committed", "1 committed", "0 committed",
	}, shape(g))
	require.Equal(t, packs[2].Ref, g.Nodes[4].Ref)
	require.Equal(t, packs[1].Ref, g.Nodes[5].Ref)

	b.Tamper(func(m *memstore.Contents) { clear(m.Heads) })
	require.Equal(t, []string{"11 unknown", "10 unknown", "9 unknown", "8 unknown: content does not match its sha256", "2 unknown"}, shape(b.graph(0))[:5])
}

// unreadable admits the content of an object, and can do no more.
type unreadable struct {
	inspect.Changesets
	ref changeset.Ref
}

func (u unreadable) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	c, err := u.Changesets.Get(ctx, ref, admission)
	if err == nil && ref == u.ref {
		err = errors.New("its content was read")
	}
	return c, err
}
