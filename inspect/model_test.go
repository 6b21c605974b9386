package inspect_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
)

// model is several writers and collectors that know nothing of each other, on
// one chain. It is the test of the invariant that all collection rests on: a
// changeset enters its chain only by the swap from the very head revision that
// it was built on.
type model struct {
	*bench
	writers    [3]writer
	collectors [2][]changeset.Ref // lost when they looked
	committed  []changeset.Ref
	swaps      int
	collected  int
}

// writer holds an append that it has built at some time, and goes on with at
// any later time, if ever.
type writer struct {
	after, next head.Head
	built       []changeset.Changeset
	stored      int
}

const swapWrongly = "swap in what was built on another revision"

// step is one thing that one of them does.
type step struct {
	Do  string
	Who int
}

var (
	right = []string{"append", "build", "put one", "put all", "put all", "swap", "fence", "look", "collect"}
	wrong = append([]string{swapWrongly, swapWrongly, "fence", "look", "collect"}, right...)
)

func steps(doings []string) *rapid.Generator[[]step] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{rapid.SampledFrom(doings).Draw(t, "do"), rapid.IntRange(0, 5).Draw(t, "who")}
	}), 30, 90)
}

func (m *model) do(s step) {
	w := &m.writers[s.Who%len(m.writers)]
	seen := &m.collectors[s.Who%len(m.collectors)]
	switch s.Do {
	case "append":
		for _, do := range []string{"build", "put all", "swap"} {
			m.do(step{do, s.Who})
		}
	case "build":
		*w = writer{after: m.current()}
		w.built, w.next = m.build(w.after, make([]changeset.Draft, 1+s.Who%2)...)
	case "put one":
		m.putNext(w, 1)
	case "put all":
		m.putNext(w, len(w.built))
	case "swap":
		if w.complete() {
			if _, err := m.Swap(ctx(m.t), w.after, w.next); err == nil {
				m.enter(w)
			}
		}
	case "fence":
		if h := m.current(); h.Exists() {
			_, err := m.Swap(ctx(m.t), h, link.Fence(h))
			require.NoError(m.t, err)
		}
	case "look":
		*seen = m.lost()
	case "collect": // at any time after the look
		for _, ref := range *seen {
			require.NoError(m.t, m.Delete(ctx(m.t), ref))
			m.collected++
		}
		*seen = nil
	case swapWrongly:
		m.swapWrongly(w)
	}
}

func (m *model) putNext(w *writer, n int) {
	more := w.built[w.stored:]
	more = more[:min(n, len(more))]
	m.put(more...)
	w.stored += len(more)
}

func (w *writer) complete() bool { return w.built != nil && w.stored == len(w.built) }

func (m *model) current() head.Head {
	h, err := m.Load(ctx(m.t), m.id)
	require.NoError(m.t, err)
	return h
}

func (m *model) enter(w *writer) {
	for _, c := range w.built {
		m.committed = append(m.committed, c.Ref)
	}
	m.swaps++
	*w = writer{}
}

// lost returns what a collector may delete, by all that it can see.
func (m *model) lost() (refs []changeset.Ref) {
	g, err := inspect.New(m, m, nil).Graph(ctx(m.t), m.id, 0)
	if err != nil {
		require.ErrorIs(m.t, err, changeset.ErrNotFound)
	}
	for _, n := range g.Nodes {
		if n.Kind == inspect.Lost {
			refs = append(refs, n.Ref)
		}
	}
	return refs
}

// swapWrongly commits an append that fits the head's changeset, but was built
// on another revision of it, past all that keeps a writer from it.
func (m *model) swapWrongly(w *writer) {
	h := m.current()
	if !w.complete() || h.Ref != w.after.Ref || h.Revision == w.after.Revision {
		return
	}
	next := w.next
	next.Revision = h.Revision + 1
	record, err := head.EncodeJSON(next)
	require.NoError(m.t, err)
	m.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName(m.id)] = record })
	m.enter(w)
}

// check returns what is wrong: what is committed must be there, for ever.
func (m *model) check() error {
	for _, ref := range m.committed {
		if _, err := m.Stat(ctx(m.t), ref); err != nil {
			return fmt.Errorf("committed, and collected: %w", err)
		}
	}
	r, err := inspect.New(m, m, nil).Verify(ctx(m.t), m.id)
	if err == nil && len(r.Problems) > 0 {
		return fmt.Errorf("verify found %v", r.Problems)
	}
	if err == nil && r.Committed != len(m.committed) {
		return fmt.Errorf("%d changesets are in the chain, %d were committed", r.Committed, len(m.committed))
	}
	return nil
}

func run(t require.TestingT, all []step) (*model, error) {
	m := &model{bench: newBench(t, order)}
	for i, s := range all {
		m.do(s)
		if err := m.check(); err != nil {
			return m, fmt.Errorf("step %d, %v: %w", i+1, s, err)
		}
	}
	return m, nil
}

func TestNoCommittedChangesetIsEverCollected(t *testing.T) {
	swaps, collected := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		m, err := run(t, steps(right).Draw(t, "steps"))
		require.NoError(t, err)
		swaps, collected = swaps+m.swaps, collected+m.collected
	})
	require.NotZero(t, swaps)
	require.NotZero(t, collected)
}

func TestAWriterThatBreaksTheInvariantIsCaught(t *testing.T) {
	caught := 0
	for seed := range 200 {
		if testing.Short() && caught > 2 {
			break
		}
		if _, err := run(t, steps(wrong).Example(seed)); err != nil {
			require.ErrorIs(t, err, changeset.ErrNotFound, "it is caught by what it loses")
			caught++
		}
	}
	t.Logf("caught in %d runs", caught)
	require.NotZero(t, caught)
}

// The same, step by step: this is what the invariant is for.
func TestWhatTheInvariantIsFor(t *testing.T) {
	_, err := run(t, []step{
		{"build", 0},
		{"put all", 0},
		{"swap", 0},
		{"build", 0},
		{"put all", 0}, // built on revision 1
		{"fence", 0},
		{"look", 0}, // lost, for good
		{swapWrongly, 0},
		{"collect", 0},
	})
	require.ErrorIs(t, err, changeset.ErrNotFound)
	require.ErrorContains(t, err, "committed, and collected")
}
