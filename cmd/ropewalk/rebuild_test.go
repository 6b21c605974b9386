package main

import (
	"maps"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/faults"
)

// headlessPlace is a store whose only chain has lost its head.
func headlessPlace(t *testing.T) *testPlace {
	p := newTestPlace()
	require.Zero(t, p.run(t.Context(), "x", "append", "a b", "--new").exit)
	require.Zero(t, p.run(t.Context(), "x", "append", "a b", "--any").exit)
	p.memory.Tamper(func(c *memstore.Contents) { clear(c.Heads) })
	p.script = &faults.Script{} // which counts from here
	return p
}

func TestRebuildAsksForTheID(t *testing.T) {
	p := headlessPlace(t)
	for _, typed := range []string{"", "\n", "y\n", "a\n", "A B\n"} {
		got := p.onTerminal(t, typed, "rebuild-head", "a b")
		require.Equal(t, 2, got.exit, typed)
		require.Contains(t, got.stdout, "Unknown:")
		require.Contains(t, got.stderr, "Type a b to write this head: ")
		require.Contains(t, got.stderr, "not confirmed: nothing was changed")
	}
	require.Equal(t, 2, p.onTerminal(t, "a b\n", "rebuild-head", "a b", "--json").exit)
	require.Equal(t, 3, p.run(t.Context(), "", "head", "a b").exit, "nothing was written")
	got := p.onTerminal(t, "a b\n", "rebuild-head", "a b")
	require.Zero(t, got.exit, got.stderr)
	require.Contains(t, got.stdout, "written: a b@1.")
	require.Zero(t, p.run(t.Context(), "", "verify", "a b").exit)
}

func TestRebuildSaysWhatIsUnknown(t *testing.T) {
	schemas := compileSchemas(t)
	synctest.Test(t, func(t *testing.T) {
		p := headlessPlace(t)
		p.script.Every(faults.Swap, faults.Fault{Kind: faults.Lost})
		p.script.Every(faults.Load, faults.Fault{Kind: faults.Dropped})
		p.script.On(faults.Load, 1, faults.Fault{})
		p.script.On(faults.Load, 2, faults.Fault{})
		got := p.run(t.Context(), "", "rebuild-head", "a b", "--yes", "--json")
		require.Equal(t, 5, got.exit, got.stderr)
		require.NoError(t, schemas.check([]byte(got.stdout)))
		require.Contains(t, got.stderr, "hint: run it again: it looks at the head first")
	})
}

// Another writer is faster: its head decides, and nothing is written over it.
func TestRebuildPlansAnewWhereTheHeadHasMoved(t *testing.T) {
	p := headlessPlace(t)
	p.script.On(faults.Swap, 1, faults.Fault{Before: func() {
		require.Zero(t, (&testPlace{memory: p.memory, script: &faults.Script{}}).run(t.Context(), "", "rebuild-head", "a b", "--yes").exit)
		require.Zero(t, (&testPlace{memory: p.memory, script: &faults.Script{}}).run(t.Context(), "x", "append", "a b", "--any").exit)
	}})
	got := p.run(t.Context(), "", "rebuild-head", "a b", "--yes")
	require.Zero(t, got.exit, got.stderr)
	require.Contains(t, got.stdout, "a b has its head, a b@2.")
	require.Contains(t, got.stdout, "nothing to do")

	p = newTestPlace()
	require.Zero(t, p.run(t.Context(), "x", "append", "a b", "--new").exit)
	var first, second map[string][]byte
	keep := func(kept *map[string][]byte) {
		p.memory.Tamper(func(c *memstore.Contents) { *kept = maps.Clone(c.Heads) })
	}
	putBack := func(kept map[string][]byte) {
		p.memory.Tamper(func(c *memstore.Contents) { c.Heads = maps.Clone(kept) })
	}
	keep(&first)
	require.Zero(t, p.run(t.Context(), "x", "append", "a b", "--any").exit)
	keep(&second)
	require.Zero(t, p.run(t.Context(), "x", "append", "a b", "--any").exit)
	require.Zero(t, p.run(t.Context(), "x", "append", "a b", "--any").exit)
	putBack(first)
	p.script.Next(faults.Swap, faults.Fault{Before: func() { putBack(second) }})
	got = p.run(t.Context(), "", "rebuild-head", "a b", "--yes")
	require.Equal(t, 4, got.exit, got.stderr)
	require.Contains(t, got.stderr, "hint: nothing was written; run it again")
}
