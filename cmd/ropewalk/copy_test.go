package main

import (
	"context"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/cmd/ropewalk/internal/location"
	"ropewalk/faults"
)

// runBetween runs a command on two places, which the URLs from: and to: name.
func runBetween(ctx context.Context, from, to *testPlace, args ...string) result {
	a := newCommand(strings.NewReader(""), io.Discard, io.Discard, nil)
	a.IsTerminal = func(any) bool { return false }
	a.parse = func(rawURL string, _ map[string]string) (location.Location, error) {
		return map[string]*testPlace{"from:": from, "to:": to}[rawURL], nil
	}
	return runCommand(ctx, a, args...)
}

// A destination that is unreachable ends the copy, and nothing reads as an empty source.
func TestCopyToAnUnreachableStorage(t *testing.T) {
	from, to := withTips(t, "a", "b", "c"), newTestPlace()
	to.script.Every(faults.Load, faults.Fault{Kind: faults.Refused, Err: &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}})
	got := runBetween(t.Context(), from, to, "copy", "from:", "to:")
	require.Equal(t, 7, got.exit, got.stderr)
	require.Empty(t, got.stdout)
}

// An interrupt says what was copied, and the next run copies the rest.
func TestCopyIsInterrupted(t *testing.T) {
	from, to := withTips(t, "a", "b", "c"), newTestPlace()
	ctx, cancel := context.WithCancel(t.Context())
	to.script.On(faults.Swap, 3, faults.Fault{Before: cancel}) // the third begins after the report of the first
	got := runBetween(ctx, from, to, "copy", "from:", "to:", "--parallel", "1")
	require.Equal(t, 130, got.exit, got.stderr)
	require.Regexp(t, `^copied [12] aggregates? with \d changesets?: `, got.stdout)
	got = runBetween(t.Context(), from, to, "copy", "from:", "to:")
	require.Zero(t, got.exit, got.stderr)
	require.Equal(t, from.contents(t), to.contents(t))
}

// An aggregate whose head cannot be read does not end the others.
func TestCopyGoesOn(t *testing.T) {
	from, to := withTips(t, "a", "b"), newTestPlace()
	from.script.On(faults.Load, 1, faults.Fault{Kind: faults.Dropped})
	got := runBetween(t.Context(), from, to, "copy", "from:", "to:", "--json")
	require.Equal(t, 1, got.exit, got.stderr)
	require.NoError(t, compileSchemas(t).check([]byte(got.stdout)))
	require.Contains(t, got.stdout, `"failed":1}`)
	require.Contains(t, got.stderr, "hint: see what is wrong: ropewalk verify --store from: ")
	require.Len(t, to.contents(t), 1)
}

// copyFollowing runs copy --follow while work is done, and interrupts it a minute later.
func copyFollowing(t *testing.T, from, to *testPlace, work func(), flags ...string) result {
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan result)
	go func() {
		got <- runBetween(ctx, from, to, append([]string{"copy", "from:", "to:", "--follow"}, flags...)...)
	}()
	time.Sleep(time.Minute)
	work()
	time.Sleep(time.Minute)
	cancel()
	return <-got
}

// A copy that follows copies what comes, with and without a feed, and is ended by an
// interrupt with exit code 0.
func TestCopyFollows(t *testing.T) {
	for _, bare := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			from, to := withTips(t, "a", "b"), newTestPlace()
			from.bare = bare
			work := func() {
				require.Zero(t, from.run(t.Context(), "{}\n", "append", "c", "--new").exit)
				time.Sleep(30 * time.Second)
				require.Zero(t, from.run(t.Context(), "{}\n", "append", "c", "--any").exit)
			}
			got := copyFollowing(t, from, to, work, "--json")
			require.Zero(t, got.exit, got.stderr)
			require.NoError(t, compileSchemas(t).check([]byte(got.stdout)))
			require.Contains(t, got.stdout, `{"v":1,"kind":"following","caught_up":true,"lag_seconds":0,"aggregates":2,`)
			require.Contains(t, got.stdout, `"aggregate":"c","outcome":"copied"`)
			require.Equal(t, from.contents(t), to.contents(t))
			got = copyFollowing(t, from, to, func() {})
			require.Regexp(t, `^copied 0 aggregates with 0 changesets: .*; 3 equal, `, got.stdout)
		})
	}
}

// A storage that fails while the copy follows is tried again. One that is unavailable from
// the beginning ends the copy.
func TestCopyFollowsThroughAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unreachable := faults.Fault{Kind: faults.Refused, Err: &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}}
		from, to := withTips(t, "a"), newTestPlace()
		got := copyFollowing(t, from, to, func() {
			to.script.Every(faults.Load, unreachable)
			require.Zero(t, from.run(t.Context(), "{}\n", "append", "c", "--new").exit)
			time.Sleep(time.Minute)
			to.script.Reset()
		})
		require.Zero(t, got.exit, got.stderr)
		require.Contains(t, got.stderr, `warning: copy "c": load the head of the destination: `)
		require.Contains(t, got.stderr, "; it is tried again\n")
		require.Equal(t, from.contents(t), to.contents(t))
		to.script.Every(faults.Load, unreachable)
		got = runBetween(t.Context(), from, to, "copy", "from:", "to:", "--follow")
		require.Equal(t, 7, got.exit, got.stderr)
		require.Empty(t, got.stdout)
	})
}

// A refused aggregate does not end the copy, and decides about its exit code.
func TestCopyFollowsPastARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := withTips(t, "a"), newTestPlace()
		require.Zero(t, to.run(t.Context(), "{}\n", "append", "a", "--new").exit)
		got := copyFollowing(t, from, to, func() {
			require.Zero(t, from.run(t.Context(), "{}\n", "append", "c", "--new").exit)
		})
		require.Equal(t, 4, got.exit, got.stderr)
		require.Contains(t, got.stderr, `warning: copy "a": conflict: `)
		require.Contains(t, to.contents(t), "c")
	})
}

// A cut-over that is interrupted at any request goes on when it is run again. Nothing is moved
// before everything is copied.
func TestCutOverIsInterrupted(t *testing.T) {
	for _, side := range []string{"from", "to"} {
		for call := 1; ; call++ {
			from, to := withTips(t, "a", "b"), newTestPlace()
			ctx, cancel := context.WithCancel(t.Context())
			script := map[string]*faults.Script{"from": from.script, "to": to.script}[side]
			script.Reset()
			script.On(faults.Swap, call, faults.Fault{Before: cancel})
			_ = runBetween(ctx, from, to, "copy", "from:", "to:", "--cut-over")
			cancel()
			met := len(script.Unused()) == 0
			script.Reset()
			got := runBetween(t.Context(), from, to, "copy", "from:", "to:", "--cut-over")
			require.Zero(t, got.exit, got.stderr)
			require.Equal(t, from.contents(t), to.contents(t))
			for _, id := range []string{"a", "b"} {
				require.Equal(t, 4, from.run(t.Context(), "{}\n", "append", id, "--any").exit)
				require.Zero(t, to.run(t.Context(), "{}\n", "append", id, "--any").exit)
			}
			if !met {
				break
			}
		}
	}
	from, to := withTips(t, "a", "b"), newTestPlace()
	require.Zero(t, to.run(t.Context(), "{}\n", "append", "a", "--new").exit)
	got := runBetween(t.Context(), from, to, "copy", "from:", "to:", "--cut-over")
	require.Equal(t, 4, got.exit, got.stderr)
	require.Contains(t, got.stderr, "warning: nothing was moved, since not everything could be copied\n")
	require.Zero(t, from.run(t.Context(), "{}\n", "append", "b", "--any").exit)
}

// A cut-over that goes on moves what is created later.
func TestCutOverFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := withTips(t, "a"), newTestPlace()
		got := copyFollowing(t, from, to, func() {
			require.Zero(t, from.run(t.Context(), "{}\n", "append", "c", "--new").exit)
		}, "--cut-over", "--json")
		require.Zero(t, got.exit, got.stderr)
		require.NoError(t, compileSchemas(t).check([]byte(got.stdout)))
		require.Contains(t, got.stdout, `"aggregate":"c","outcome":"moved"`)
		require.Equal(t, 4, from.run(t.Context(), "{}\n", "append", "c", "--any").exit)
		require.Equal(t, from.contents(t), to.contents(t))
	})
}
