package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/faults"
)

// stuckRun runs a command whose stdout is not read, and interrupts it after a second.
func stuckRun(t *testing.T, p *testPlace, args []string) (exit int, stderr string, took time.Duration) {
	r, w := io.Pipe()
	errs := &strings.Builder{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	time.AfterFunc(time.Second, cancel)
	a := p.app("{\"aggregate\":\"new\"}\n")
	a.Out, a.Err = ui.NewStreams(nil, w, nil, nil).Out, errs
	start := time.Now()
	exit = a.run(ctx, args)
	took = time.Since(start)
	require.NoError(t, r.Close()) // ends the write that was left running
	synctest.Wait()
	return exit, errs.String(), took
}

// stuckCommands has arguments for every command, with which it writes to stdout.
func stuckCommands(ref, dir string) map[string][]string {
	return map[string][]string{
		"append": {"order", "--any"}, "archive": {dir}, "bench": {"test:", "--yes"}, "cat": {"order"}, "completion": {"bash"}, "copy": {"test:", "test:other"}, "diff": {"order", "0", "0"}, "doctor": nil, "erase": {"order", "--yes"}, "export": nil,
		"feed": {"status"}, "flush": {"--all"}, "gc": nil, "graph": {"order"}, "head": {"order"}, "import": {"-"}, "init": nil, "log": {"order"}, "ls": nil, "migrate": nil, "rebuild-head": {"order"}, "relay": nil,
		"schema": {"error"}, "settle": {ref}, "show": {"order"}, "stats": nil, "subscriptions": nil, "ui": nil, "verify": {"--all"}, "version": nil, "watch": {"--from", "start", "--until-end"},
	}
}

// The first signal ends every command, also while it writes into a full pipe.
func TestInterruptWhileStandardOutputIsFull(t *testing.T) {
	for _, cmd := range commands(newTestPlace().app("").parts()) {
		name := cmd.Name()
		if slices.Contains([]string{"backup", "demo", "restore"}, name) { // need a SQLite file, and print as the others do
			continue
		}
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			p := newTestPlace()
			require.Zero(t, p.run(t.Context(), "{}\n", "append", "order", "--new").exit)
			p.subscribe(t, "orders", nil)
			h, err := p.memory.Load(t.Context(), "order")
			require.NoError(t, err)
			args, ok := stuckCommands(h.Ref.String(), dir)[name]
			require.True(t, ok, "%s: say how it is run", name)
			for _, more := range [][]string{nil, {"--json"}} {
				exit, stderr, took := stuckRun(t, p, append(append([]string{name}, args...), more...))
				require.Equal(t, 130, exit, "%s: %s", name, stderr)
				require.Contains(t, stderr, "error: interrupted\n", name)
				require.Less(t, took, 2*time.Second, name)
				if name == "erase" {
					break // there is nothing left to erase
				}
			}
		})
	}
}

// A command that has changed the store says so on stderr if stdout is not read.
func TestInterruptedCommandsReportWhatIsCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPlace()
		_, stderr, _ := stuckRun(t, p, []string{"append", "order", "--new"})
		require.Regexp(t, `^warning: order@0\.\S+ is committed\nerror: interrupted\n$`, stderr)
		require.Len(t, p.contents(t)["order"], 1)
		_, stderr, _ = stuckRun(t, p, []string{"import", "-"})
		require.Contains(t, stderr, "warning: imported 1 aggregate, 1 changeset, 1 event\n")
		_, stderr, _ = stuckRun(t, p, []string{"erase", "order", "--yes"})
		require.Contains(t, stderr, "warning: order is erased\n")
	})
}

// An import that is interrupted while it waits for more lines says what it has
// imported so far, and how to go on.
func TestInterruptWhileAnImportWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPlace()
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		go func() {
			_, _ = w.Write([]byte("{\"aggregate\":\"a\"}\n"))
			synctest.Wait()
			cancel()
		}()
		a := p.app("")
		a.In = r
		got := runCommand(ctx, a, "import", "-")
		require.Equal(t, 130, got.exit)
		require.Equal(t, "imported 1 aggregate, 1 changeset, 1 event\n", got.stdout)
		require.Equal(t, "error: interrupted\nhint: run the same import again to continue\n", got.stderr)
		require.NoError(t, w.Close())
	})
}

// Reading from a terminal is announced, and from nothing else.
func TestInputFromATerminalIsAnnounced(t *testing.T) {
	const hint = "hint: content is read from the terminal; end it with Ctrl-D\n"
	p := newTestPlace()
	for _, args := range [][]string{{"append", "order", "--any", "--color", "never"}, {"import", "-", "--color", "never"}} {
		got := p.onTerminal(t, "{\"aggregate\":\"a\"}\n", args...)
		require.Zero(t, got.exit, got.stderr)
		require.Equal(t, hint, got.stderr)
		require.Empty(t, p.run(t.Context(), "{\"aggregate\":\"a\"}\n", args...).stderr)
		got = p.onTerminal(t, "", args...)
		require.Equal(t, 2, got.exit, "Ctrl-D at once")
		require.Contains(t, got.stderr, "--allow-empty")
	}
}

// Of several failures the first line of the file is reported, whichever append
// was the fastest.
func TestTheFirstBadLineIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPlace()
		line := func(id string, n int) string { return fmt.Sprintf("{\"aggregate\":%q,\"n\":%d}\n", id, n) }
		require.Zero(t, p.run(t.Context(), line("slow", 1)+line("slow", 2)+line("quick", 1), "import", "-").exit)
		p.script.On(faults.Stat, 1, faults.Fault{DelayBefore: time.Second})
		r, w := io.Pipe()
		go func() {
			_, _ = io.WriteString(w, line("slow", 1)+line("slow", 9))
			synctest.Wait() // until the slow one is under way
			_, _ = io.WriteString(w, line("quick", 9))
			_ = w.Close()
		}()
		a := p.app("")
		a.In = r
		got := runCommand(t.Context(), a, "import", "-")
		require.Equal(t, 4, got.exit)
		require.Contains(t, got.stderr, `error: -, line 2: aggregate "slow"`)
	})
}
