package main

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/cmd/ropewalk/internal/cliexit"
)

// The demo waits for nothing: in virtual time only waits count.
func TestDemoIsQuickAndLeavesAStoreToPlayWith(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out, errs bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		require.Zero(t, Run(t.Context(), []string{"demo"}, nil, &out, &errs, []string{"ROPEWALK_STORE=file:/nowhere/at/all"}))
		require.Less(t, time.Since(start), time.Second)
	})
	require.Empty(t, errs.String())

	env := regexp.MustCompile(`(?m)^\$ export (ROPEWALK_STORE=.*)$`).FindAllStringSubmatch(out.String(), -1)
	require.Len(t, env, 2, "at the beginning and at the end")
	for _, line := range []string{"log", "graph", "verify", "show"} {
		out.Reset()
		require.Zero(t, Run(t.Context(), []string{line, order}, nil, &out, &errs, []string{env[1][1]}), errs.String())
		require.NotEmpty(t, out.String())
	}
}

func TestAnInterruptedDemoLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	require.Equal(t, cliexit.Interrupted.Exit, Run(ctx, []string{"demo"}, nil, &out, &errs, nil))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}
