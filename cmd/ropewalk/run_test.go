package main

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/link"
)

func TestUncertainAppends(t *testing.T) {
	schemas := compileSchemas(t)
	synctest.Test(t, func(t *testing.T) {
		p := newTestPlace()
		p.script.Every(faults.Commit, faults.Fault{Kind: faults.Dropped})
		got := p.run(t.Context(), "x", "append", "order", "--new", "--json")
		require.Equal(t, 5, got.exit)
		require.NoError(t, schemas.check([]byte(got.stdout)))
		require.Contains(t, got.stdout, `"code":"uncertain","exit":5`)
		require.Contains(t, got.stdout, `"ref":"order@0.`)
		require.Contains(t, got.stderr, "error: uncertain whether order@0.")
		require.Regexp(t, `(?m)^hint: end it for good: ropewalk settle order@0\.[0-9a-f-]{36} --after-revision 0$`, got.stderr)
		require.Contains(t, got.stdout, `"after_revision":0`)
	})
}

// An uncertain commit of several aggregates is settled by any of them, and the lines that
// it prints run as they are.
func TestUncertainCommits(t *testing.T) {
	schemas := compileSchemas(t)
	for arrives, want := range map[bool]int{false: 4, true: 0} {
		synctest.Test(t, func(t *testing.T) {
			p := newTestPlace()
			for _, id := range []string{"stock", "-odd"} {
				require.Zero(t, p.run(t.Context(), "x", "append", "--new", "--", id).exit)
			}
			p.script.Every(faults.SwapAll, faults.Fault{Kind: faults.Dropped})
			p.script.Next(faults.SwapAll, faults.Fault{Kind: faults.Late})
			p.script.Every(faults.Swap, faults.Fault{Kind: faults.Dropped})
			const lines = `{"aggregate":"stock","after":0,"content":1}
{"aggregate":"-odd","after":0,"content":1}
{"aggregate":"fresh","new":true,"content":1}
`
			got := p.run(t.Context(), lines, "append", "--commit", "-", "--json")
			require.Equal(t, 5, got.exit, got.stderr)
			require.NoError(t, schemas.check([]byte(got.stdout)))
			require.Regexp(t, `"after_revision":1,"others":\[\{"ref":"-odd@1\.[0-9a-f-]+","after_revision":1\},\{"ref":"fresh@0\.[0-9a-f-]+","after_revision":0\}\]`, got.stdout)
			require.Contains(t, got.stderr, "; that settles all 3 aggregates; or ropewalk settle ")
			p.script.Every(faults.Swap, faults.Fault{})
			if arrives {
				p.script.Release()
			}
			commands := shellWords(t, strings.TrimSpace(got.stderr))
			require.Len(t, commands, 2, "not the aggregate that does not exist yet")
			for _, words := range commands {
				require.Equal(t, want, p.run(t.Context(), "", words...).exit, words)
				p.script.Release()
			}
		})
	}
}

// The line that an uncertain append prints runs as it is, though nothing may be
// stored yet; what it refuses stays out, even if its commit arrives later.
func TestTheSettleLineRuns(t *testing.T) {
	for id, arrives := range map[string]bool{"order": false, "-order": false, "order-2": true, "-order-2": true} { // before it is settled
		synctest.Test(t, func(t *testing.T) {
			p := newTestPlace()
			require.Zero(t, p.run(t.Context(), "x", "append", "--new", "--", id).exit)
			p.script.Every(faults.Swap, faults.Fault{Kind: faults.Dropped})
			p.script.Next(faults.Swap, faults.Fault{Kind: faults.Late})
			got := p.run(t.Context(), "y", "append", "--after", "0", "--", id)
			require.Equal(t, 5, got.exit)
			_, line, ok := strings.Cut(got.stderr, "hint: end it for good: ropewalk ")
			require.True(t, ok)
			require.Empty(t, p.script.Unused())
			p.script.Every(faults.Swap, faults.Fault{})
			if arrives {
				p.script.Release()
			}
			want := map[bool]int{false: 4, true: 0}[arrives]
			for range 2 {
				require.Equal(t, want, p.run(t.Context(), "", strings.Fields(line)...).exit)
				p.script.Release()
			}
			require.Equal(t, map[bool]string{false: "x", true: "xy"}[arrives], p.run(t.Context(), "", "cat", "--", id+"@0..").stdout)
		})
	}
}

// An append that an interrupt leaves uncertain must be settled: 5 wins over 130.
func TestUncertainWinsOverInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPlace()
		ctx, cancel := context.WithCancel(t.Context())
		p.script.Every(faults.Commit, faults.Fault{Kind: faults.HangAfter, Before: cancel})
		p.script.Every(faults.Load, faults.Fault{Kind: faults.Dropped})
		got := p.run(ctx, "x", "append", "order", "--new")
		require.Equal(t, 5, got.exit, got.stderr)
	})
}

func TestInterrupts(t *testing.T) {
	p := newTestPlace()
	require.Zero(t, p.run(t.Context(), "x", "append", "order", "--new").exit)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{
		{"log", "order"},
		{"show", "order"},
		{"cat", "order@0.."},
		{"head", "order"},
		{"ls"},
		{"export"},
		{"export", "order"},
		{"append", "order", "--any"},
		{"import", "-"},
		{"settle", "order@0.ff"},
	} {
		got := p.run(ctx, `{"aggregate":"a"}`, append(args, "--json")...)
		require.Equal(t, 130, got.exit, args)
		require.True(t, strings.HasPrefix(got.stderr, "error: interrupted\n"), args)
		require.Contains(t, got.stdout, `"error":{"code":"interrupted","exit":130,"message":"interrupted"}`, args)
	}
}

// A command that waits for its input can be interrupted.
func TestInterruptWhileStandardInputIsSilent(t *testing.T) {
	for _, args := range [][]string{{"append", "order", "--new"}, {"import", "-"}} {
		silent, w := io.Pipe()
		ctx, interrupt := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, interrupt)
		a := newTestPlace().app("")
		a.In = silent
		got := runCommand(ctx, a, args...)
		require.Equal(t, 130, got.exit, got.stderr)
		require.NoError(t, w.Close()) // ends the read that is still waiting
	}
}

func TestErasedAggregates(t *testing.T) {
	p := newTestPlace()
	for _, id := range []string{"alive", "gone"} {
		require.Zero(t, p.run(t.Context(), "{}\n", "append", id, "--new").exit)
	}
	h, err := p.memory.Load(t.Context(), "gone")
	require.NoError(t, err)
	tombstone := link.Fence(h)
	tombstone.State = head.Erased
	_, err = p.memory.Swap(t.Context(), h, tombstone)
	require.NoError(t, err)

	for _, args := range [][]string{
		{"head", "gone"},
		{"log", "gone"},
		{"show", "gone@0"},
		{"show", h.Ref.String()},
		{"cat", "gone"},
		{"append", "gone", "--any"},
		{"append", "gone", "--new"},
		{"append", "gone", "--after", "0"},
		{"settle", h.Ref.String()},
		{"export", "gone"},
	} {
		got := p.run(t.Context(), "{}\n", append(args, "--json")...)
		require.Equal(t, 4, got.exit, args)
		require.Contains(t, got.stdout, `"code":"erased"`, args)
		require.Equal(t, "error: chain \"gone\": erased\n", got.stderr, args)
	}
	require.Equal(t, "alive\n", p.run(t.Context(), "", "ls").stdout)
	require.Equal(t, "alive\ngone\n", p.run(t.Context(), "", "ls", "--erased").stdout)
	require.Equal(t, "{\"aggregate\":\"alive\"}\n", p.run(t.Context(), "", "export").stdout)
	got := p.run(t.Context(), `{"aggregate":"gone"}`, "import", "-")
	require.Equal(t, 4, got.exit)
	require.Contains(t, got.stderr, `error: -, line 1: aggregate "gone": chain "gone": erased`)
}

// A changeset that is not as it was written is named, and nothing of it is printed.
func TestCorruptChangesets(t *testing.T) {
	schemas := compileSchemas(t)
	p := newTestPlace()
	for range 4 {
		require.Zero(t, p.run(t.Context(), "{}\n", "append", "order", "--any").exit)
	}
	sp, err := p.store(t).span(t.Context(), reference.Reference{ID: "order"})
	require.NoError(t, err)
	c, err := sp.reader.At(t.Context(), 1)
	require.NoError(t, err)

	check := func(args ...string) {
		t.Helper()
		got := p.run(t.Context(), "", append(args, "--json")...)
		require.Equal(t, 6, got.exit, args)
		require.NoError(t, schemas.check([]byte(got.stdout)))
		require.Contains(t, got.stdout, `"object":"`+p.memory.Locate(c.Ref)+`"`, args)
		require.Contains(t, got.stderr, p.memory.Locate(c.Ref), args)
	}
	p.memory.Tamper(func(all *memstore.Contents) { all.Objects[c.ObjectName()].Body[0] ^= 1 })
	check("show", "order@1")
	check("show", c.Ref.String())
	check("cat", "order@0..")
	check("cat", "order@1")
	check("export")
	got := p.run(t.Context(), "", "cat", "order@0..")
	require.Equal(t, "{}\n", got.stdout, "what comes before is whole")
	require.Zero(t, p.run(t.Context(), "", "log", "order").exit, "log reads no contents")

	p.memory.Tamper(func(all *memstore.Contents) { delete(all.Objects, c.ObjectName()) })
	check("log", "order")
	check("show", "order@1")
	got = p.run(t.Context(), "", "show", "order@2")
	require.Equal(t, 6, got.exit)
	require.Contains(t, got.stderr, "its parent is missing")
}

func TestCorruptHeads(t *testing.T) {
	p := newTestPlace()
	require.Zero(t, p.run(t.Context(), "x", "append", "order", "--new").exit)
	p.memory.Tamper(func(all *memstore.Contents) {
		name := head.ObjectName("order")
		all.Heads[name] = []byte(strings.Replace(string(all.Heads[name]), `"min-reader":1`, `"min-reader":3`, 1))
		all.Heads[name] = []byte(strings.Replace(string(all.Heads[name]), `"format":1`, `"format":3`, 1))
	})
	got := p.run(t.Context(), "", "head", "order", "--json")
	require.Equal(t, 6, got.exit)
	require.Contains(t, got.stdout, `"code":"unsupported-format"`)
	p.memory.Tamper(func(all *memstore.Contents) { all.Heads[head.ObjectName("order")] = []byte("{}") })
	got = p.run(t.Context(), "", "ls", "--json")
	require.Equal(t, 6, got.exit)
	require.Contains(t, got.stdout, `"code":"corrupt"`)
	require.Contains(t, got.stdout, `"object":"memory:heads/order"`)
}

func TestLostHeads(t *testing.T) {
	p := newTestPlace()
	require.Zero(t, p.run(t.Context(), "x", "append", "order", "--new").exit)
	p.script.Next(faults.Commit, faults.Fault{Before: func() {
		p.memory.Tamper(func(all *memstore.Contents) { delete(all.Heads, head.ObjectName("order")) })
	}})
	got := p.run(t.Context(), "x", "append", "order", "--any", "--json")
	require.Equal(t, 6, got.exit)
	require.Contains(t, got.stdout, `"code":"head-lost"`)
	require.Contains(t, got.stderr, "hint: the storage was restored or tampered with")
}

// --any never loses an update, however many get in between.
func TestAppendAnyIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPlace()
		other := p.store(t).Chain("order")
		for i := range 3 {
			p.script.On(faults.Commit, 2*i+1, faults.Fault{Before: func() {
				_, err := other.Update(t.Context(), appendOne)
				require.NoError(t, err)
			}})
		}
		got := p.run(t.Context(), "x", "append", "order", "--any")
		require.Zero(t, got.exit, got.stderr)
		require.Equal(t, []string{"other", "other", "other", "x"}, p.contents(t)["order"])
		require.True(t, strings.HasPrefix(got.stdout, "order@3."), got.stdout)
	})
}

// A committed append is reported as committed, even if it cannot be looked up.
func TestReferencesOfACommittedAppendCannotBeRead(t *testing.T) {
	p := newTestPlace()
	p.script.Every(faults.Stat, faults.Fault{Kind: faults.Dropped})
	empty := t.TempDir() + "/empty"
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	got := p.run(t.Context(), "x", "append", "order", "--new", "--allow-empty", "-", empty)
	require.Zero(t, got.exit)
	require.Contains(t, got.stdout, "order@1.")
	require.Contains(t, got.stderr, "warning: all is committed, but not all references could be read")
}

func TestPolicies(t *testing.T) {
	schemas := compileSchemas(t)
	p := newTestPlace()
	got := p.run(t.Context(), "", "init", "--print-policy", "reader")
	require.Equal(t, "{\n  \"Version\": \"2012-10-17\"\n}\n", got.stdout)
	got = p.run(t.Context(), "", "init", "--print-policy", "reader", "--json")
	require.NoError(t, schemas.check([]byte(got.stdout)))
}

func appendOne(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
	return []changeset.Draft{{Content: []byte("other")}}, nil
}
