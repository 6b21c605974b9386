package main

import (
	"context"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
)

// withTips has aggregates with changesets in the tips of their heads.
func withTips(t *testing.T, ids ...string) *testPlace {
	p := newTestPlace()
	store := ropewalk.New(p.memory, faults.TwoSteps(p.memory), &ropewalk.Options{Packed: true, TipSize: 4096})
	for _, id := range ids {
		_, err := store.Chain(id).Create(t.Context(), changeset.Draft{Content: []byte("{}")})
		require.NoError(t, err)
	}
	return p
}

// An aggregate whose flush fails does not end the others.
func TestFlushGoesOn(t *testing.T) {
	schemas := compileSchemas(t)
	p := withTips(t, "a", "b", "c")
	p.script.On(faults.Put, 1, faults.Fault{Kind: faults.Dropped})
	got := p.run(t.Context(), "", "flush", "--all", "--json")
	require.Equal(t, 1, got.exit, got.stderr)
	require.NoError(t, schemas.check([]byte(got.stdout)))
	require.Contains(t, got.stdout, `"changesets":0,"objects":{"objects":0,"bytes":0},"fault":"flush \"`)
	require.Contains(t, got.stdout, `{"v":1,"kind":"flush","aggregates":2,"changesets":2,`)
	require.Contains(t, got.stdout, `"failed":1}`)
	require.Contains(t, got.stderr, "see what is wrong: ropewalk verify ")
	require.Contains(t, p.run(t.Context(), "", "flush", "--all").stdout, "moved 1 changeset into 1 object")
	require.Contains(t, p.run(t.Context(), "", "flush", "--all").stdout, "moved 0 changesets")
}

// A storage that is unreachable ends it, and nothing reads as a store without tips.
func TestFlushOfAnUnreachableStorage(t *testing.T) {
	p := withTips(t, "a", "b", "c")
	p.script.Every(faults.Put, faults.Fault{Kind: faults.Refused, Err: &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}})
	got := p.run(t.Context(), "", "flush", "--all")
	require.Equal(t, 7, got.exit, got.stderr)
	require.Empty(t, got.stdout)
}

// An interrupt says what was moved.
func TestFlushIsInterrupted(t *testing.T) {
	p := withTips(t, "a", "b")
	ctx, cancel := context.WithCancel(t.Context())
	p.script.On(faults.Put, 2, faults.Fault{Before: cancel})
	got := p.run(ctx, "", "flush", "a", "b")
	require.Equal(t, 130, got.exit, got.stderr)
	require.True(t, strings.HasPrefix(got.stdout, "moved 1 changeset into 1 object"), got.stdout)
	got = p.run(t.Context(), "", "flush", "a", "b")
	require.Zero(t, got.exit, got.stderr)
	require.Contains(t, got.stdout, "of 1 aggregate\n")
}
