package inspect_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/meter"
)

// shape is a graph in short: "version kind", newest first.
func shape(g inspect.Graph) (lines []string) {
	for _, n := range g.Nodes {
		line := fmt.Sprintf("%d %s", n.Version, n.Kind)
		if n.LostTo != (changeset.Ref{}) {
			line += fmt.Sprintf(" to %d", n.LostTo.Version)
		}
		if n.Fault != nil {
			line += ": " + n.Fault.Reason
		}
		lines = append(lines, line)
	}
	return lines
}

func (b *bench) graph(last uint64) inspect.Graph {
	g, err := inspect.New(b, b, nil).Graph(ctx(b.t), b.id, last)
	require.NoError(b.t, err)
	return g
}

func TestGraph(t *testing.T) {
	b := newBench(t, order)
	b.append(draft("0"))
	lost := b.orphan(draft("1"), draft("2"), draft("3"))
	won := b.append(draft("1"), draft("2"))
	b.orphan(draft("fenced"))
	b.fence()
	b.append(draft("3"))
	next, h := b.build(b.head, draft("4"), draft("5"))
	b.put(next[1]) // the other one is still on its way
	ahead, _ := b.build(h, draft("6"))
	b.put(ahead...)

	g := b.graph(0)
	require.Equal(t, []string{
		"6 ahead", "5 pending", "3 committed", "3 lost to 1", "3 lost to 3",
		"2 committed", "2 lost to 1", "1 committed", "1 lost to 1", "0 committed",
	}, shape(g))
	require.Equal(t, b.head, g.Head)
	require.Zero(t, g.First)
	require.Equal(t, lost[0].Header, g.Nodes[8].Header)
	require.Equal(t, won[0].Ref, g.Nodes[8].LostTo)
}

func TestGraphOfTheLatestVersions(t *testing.T) {
	s := newSample(t)
	m := meter.New(0)
	in := inspect.New(m.Changesets(s).(inspect.Changesets), m.Heads(s), nil)
	g, err := in.Graph(t.Context(), s.id, 2)
	require.NoError(t, err)
	require.Equal(t, []string{"5 committed", "4 committed", "4 lost to 4"}, shape(g))
	require.EqualValues(t, 4, g.First)
	require.Equal(t, meter.Counts{Stat: 3, Load: 1, List: 1}, m.Count())
	for _, all := range []uint64{0, 6, 7, 1 << 63} {
		g := s.graph(all)
		require.Len(t, g.Nodes, 7)
		require.Zero(t, g.First)
	}
}

func TestGraphOfWhatIsBroken(t *testing.T) {
	s := newSample(t)
	s.Tamper(remove(s.chain[1].Ref))
	s.Tamper(func(m *memstore.Contents) {
		m.Objects[s.chain[4].ObjectName()].Metadata["digest"] = "!"
		m.Objects[s.lost.ObjectName()].Metadata["digest"] = "?"
	})
	lines := shape(s.graph(0))
	require.Len(t, lines, 7)
	require.Equal(t, "5 committed", lines[0])
	require.Contains(t, lines[1], `4 committed: metadata digest: "!"`)
	require.Contains(t, lines[2], "4 unknown: metadata digest")
	require.Equal(t, []string{"3 committed", "2 committed", "1 missing", "0 committed"}, lines[3:])
}

func TestGraphWithoutAHead(t *testing.T) {
	s := newSample(t)
	s.Tamper(func(m *memstore.Contents) { clear(m.Heads) })
	g := s.graph(0)
	require.Equal(t, head.Head{}, g.Head)
	require.Nil(t, g.HeadFault)
	require.Equal(t, "5 unknown", shape(g)[0])
	require.Equal(t, "0 unknown", shape(g)[6], "it is no append that may still be committed")

	s = newSample(t)
	s.Tamper(func(m *memstore.Contents) { m.Heads[head.ObjectName(s.id)] = []byte("{") })
	g = s.graph(3)
	require.NotNil(t, g.HeadFault)
	require.Equal(t, []string{"5 unknown", "4 unknown", "4 unknown", "3 unknown"}, shape(g))

	creating := newBench(t, "new")
	creating.orphan(draft("a"), draft("b"))
	require.Equal(t, []string{"1 pending", "0 pending"}, shape(creating.graph(0)))
	require.Equal(t, inspect.Report{AggregateID: "new", Pending: 2}, creating.verify())
}
