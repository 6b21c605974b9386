package main

import (
	"context"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

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
