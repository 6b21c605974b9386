package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ropewalk"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/faults"
	"ropewalk/head"
)

// events returns NDJSON of many aggregates, mixed, with the lines by aggregate.
func events(r *rand.Rand, aggregates, n int) (text string, byAggregate map[string][]string) {
	var b strings.Builder
	byAggregate = map[string][]string{}
	for i := range n {
		id := "order-" + strconv.Itoa(r.IntN(aggregates))
		line := fmt.Sprintf(`{"n":%d,"aggregate":%q, "text":%q}`+"\n", i, id, strings.Repeat("x", r.IntN(50)))
		b.WriteString(line)
		byAggregate[id] = append(byAggregate[id], line)
	}
	return b.String(), byAggregate
}

// grouped joins the lines of each aggregate, size by size.
func grouped(byAggregate map[string][]string, size int) map[string][]string {
	out := map[string][]string{}
	for id, lines := range byAggregate {
		for i := 0; i < len(lines); i += size {
			out[id] = append(out[id], strings.Join(lines[i:min(i+size, len(lines))], ""))
		}
	}
	return out
}

func counts(t *testing.T, stdout string) importJSON {
	t.Helper()
	line, _, _ := strings.Cut(stdout, "\n")
	var out importJSON
	require.NoError(t, json.Unmarshal([]byte(line), &out), stdout)
	return out
}

// An import that is interrupted anywhere, any number of times, ends with what
// an undisturbed one gives; and repeated it adds nothing.
func TestImportContinuesWhereItStopped(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		group := rapid.IntRange(1, 5).Draw(rt, "group")
		parallel := rapid.IntRange(1, 8).Draw(rt, "parallel")
		input, byAggregate := events(rand.New(rand.NewPCG(seed, 1)), 40, 120)
		args := []string{"import", "-", "--json", "--group", strconv.Itoa(group), "--parallel", strconv.Itoa(parallel)}

		p := newTestPlace()
		p.apart = rapid.Bool().Draw(rt, "apart")
		op, calls := faults.SwapAll, 4 // the lines are a few steps
		if p.apart {
			op, calls = faults.Commit, 50
		}
		for _, kill := range rapid.SliceOfN(rapid.IntRange(1, calls), 1, 4).Draw(rt, "kills") {
			ctx, cancel := context.WithCancel(t.Context())
			p.script.On(op, kill, faults.Fault{Before: cancel})
			got := p.run(ctx, input, args...)
			if ctx.Err() != nil && got.exit != 130 && got.exit != 0 {
				rt.Fatalf("exit %d: %s", got.exit, got.stderr)
			}
			cancel()
			p.script.Reset()
		}
		got := p.run(t.Context(), input, args...)
		require.Zero(rt, got.exit, got.stderr)
		want := grouped(byAggregate, group)
		require.Equal(rt, want, p.contents(t))

		before := p.script.Calls(op)
		got = p.run(t.Context(), input, args...)
		require.Zero(rt, got.exit, got.stderr)
		require.Equal(rt, before, p.script.Calls(op), "nothing is put")
		done := counts(t, got.stdout)
		require.Equal(rt, countsJSON{}, done.Imported)
		require.Equal(rt, int64(len(want)), done.Skipped.Aggregates)
		require.Equal(rt, int64(120), done.Skipped.Events)
	})
}

// The export equals the import, in order for each aggregate.
func TestExportEqualsImport(t *testing.T) {
	input, byAggregate := events(rand.New(rand.NewPCG(1, 2)), 300, 3000)
	p := newTestPlace()
	got := p.run(t.Context(), input, "import", "-", "--group", "7", "--json")
	require.Zero(t, got.exit, got.stderr)
	require.Equal(t, int64(3000), counts(t, got.stdout).Imported.Events)

	out := p.run(t.Context(), "", "export")
	require.Zero(t, out.exit, out.stderr)
	exported := map[string][]string{}
	for line := range strings.Lines(out.stdout) {
		id, err := ndjson.AggregateOf([]byte(line), "aggregate")
		require.NoError(t, err)
		exported[id] = append(exported[id], line[:len(line)-1]+"\n")
	}
	require.Equal(t, byAggregate, exported)
	require.Equal(t, out, p.run(t.Context(), "", "export"), "the same in every run")
}

// Two imports of the same input at the same time both succeed, and it is stored
// once.
func TestImportsOfTheSameAtTheSameTime(t *testing.T) {
	input, byAggregate := events(rand.New(rand.NewPCG(3, 4)), 110, 800)
	p := newTestPlace()
	var both sync.WaitGroup
	var results [2]result
	for i := range results {
		both.Go(func() { results[i] = p.run(t.Context(), input, "import", "-") })
	}
	both.Wait()
	require.Zero(t, results[0].exit, results[0].stderr)
	require.Zero(t, results[1].exit, results[1].stderr)
	require.Equal(t, grouped(byAggregate, 1), p.contents(t))
}

// At the same places but with other content it is a conflict, whenever it comes.
func TestImportsOfOtherContentAtTheSameTime(t *testing.T) {
	p := newTestPlace()
	p.apart = true
	p.script.On(faults.Commit, 2, faults.Fault{Before: func() {
		got := p.run(t.Context(), `{"aggregate":"a","n":1}`+"\n"+`{"aggregate":"a","n":"other"}`, "import", "-")
		require.Zero(t, got.exit, got.stderr)
	}})
	got := p.run(t.Context(), `{"aggregate":"a","n":1}`+"\n"+`{"aggregate":"a","n":2}`, "import", "-", "--json")
	require.Equal(t, 4, got.exit)
	require.Contains(t, got.stderr, `error: -, line 2: aggregate "a": conflict: a is at 1, not at 0`)
	require.Contains(t, got.stdout, `"line":2`)
}

// An uncertain append ends an import with 5; the next import finds out.
func TestUncertainImports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPlace()
		p.apart = true
		p.script.On(faults.Commit, 2, faults.Fault{Kind: faults.Lost})
		p.script.Draw(func(op faults.Op, call int) faults.Fault {
			if op == faults.Load && call > 1 {
				return faults.Fault{Kind: faults.Dropped}
			}
			return faults.Fault{}
		})
		const input = `{"aggregate":"a","n":1}` + "\n" + `{"aggregate":"a","n":2}` + "\n" + `{"aggregate":"a","n":3}` + "\n"
		got := p.run(t.Context(), input, "import", "-", "--json")
		require.Equal(t, 5, got.exit, got.stderr)
		require.Contains(t, got.stdout, `"ref":"a@1.`)
		require.Contains(t, got.stderr, "hint: run the same import again: it finds out, and adds nothing twice")
		p.script.Reset()
		p.script.Draw(nil)
		got = p.run(t.Context(), input, "import", "-", "--json")
		require.Zero(t, got.exit, got.stderr)
		require.Equal(t, int64(1), counts(t, got.stdout).Imported.Events)
		require.Len(t, p.contents(t)["a"], 3)
	})
}

// Aggregates are worked on at the same time, as many as were asked for.
func TestImportIsParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPlace()
		p.apart = true
		var now, most atomic.Int64
		p.script.Every(faults.Commit, faults.Fault{
			Before:      func() { most.Store(max(most.Load(), now.Add(1))) },
			After:       func() { now.Add(-1) },
			DelayBefore: time.Second,
		})
		input, byAggregate := events(rand.New(rand.NewPCG(5, 6)), 150, 1500)
		start := time.Now()
		got := p.run(t.Context(), input, "import", "-", "--parallel", "10")
		require.Zero(t, got.exit, got.stderr)
		require.Equal(t, int64(10), most.Load())
		require.Less(t, time.Since(start), 250*time.Second, "1,500 appends of a second, 10 at a time")
		require.Equal(t, grouped(byAggregate, 1), p.contents(t))
	})
}

// The first failure ends an import; waiting groups are no longer sent.
func TestImportStopsAtTheFirstFailure(t *testing.T) {
	input, _ := events(rand.New(rand.NewPCG(7, 8)), 20, 2000)
	for apart, most := range map[bool]int{true: 33, false: 100} { // a step that fails has up to 20 aggregates
		p := newTestPlace()
		p.apart = apart
		p.script.Draw(func(op faults.Op, call int) faults.Fault {
			if op == faults.SwapAll || op == faults.Commit && call >= 30 {
				return faults.Fault{Kind: faults.Refused}
			}
			return faults.Fault{}
		})
		got := p.run(t.Context(), input, "import", "-", "--parallel", "4", "--json")
		require.Equal(t, 1, got.exit)
		require.LessOrEqual(t, p.script.Calls(faults.Commit), most)
		require.Equal(t, int64(29), counts(t, got.stdout).Imported.Events)
	}
}

// An import finds what it has imported before, also if a program has stored the
// same compressed.
func TestImportFindsCompressedContent(t *testing.T) {
	line := func(letter string) string {
		return `{"aggregate":"log","text":"` + strings.Repeat(letter, 500) + `"}` + "\n"
	}
	imported := newTestPlace()
	require.Zero(t, imported.run(t.Context(), line("a")+line("b"), "import", "-", "--group", "1").exit)
	p := newTestPlace()
	h := head.Head{}
	source := imported.store(t).Chain("log")
	r, err := source.Reader(t.Context())
	require.NoError(t, err)
	for c, err := range r.All(t.Context()) {
		require.NoError(t, err)
		compress := ropewalk.Options{Compress: c.Version == 0}
		h, err = p.store(t).with(compress).Chain("log").Append(t.Context(), h, changeset.Draft{Content: c.Content, ContentType: c.ContentType, CommandID: c.CommandID})
		require.NoError(t, err)
	}
	first, err := p.store(t).Chain("log").ReaderAt(h).At(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, changeset.EncodingZstd, first.Encoding)

	got := p.run(t.Context(), line("a")+line("b"), "import", "-", "--group", "1", "--json")
	require.Zero(t, got.exit, got.stderr)
	require.Zero(t, counts(t, got.stdout).Imported.Changesets)
	got = p.run(t.Context(), line("c")+line("b"), "import", "-", "--group", "1")
	require.Equal(t, 4, got.exit, got.stderr)
	require.Contains(t, got.stderr, "is not what would be imported there")
}
