//go:build unix

package main

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The first signal ends every command that reads files, also while a named
// pipe waits for a writer, and while its writer is silent.
func TestInterruptWhileANamedPipeIsSilent(t *testing.T) {
	for _, args := range [][]string{{"import"}, {"append", "order", "--new"}} {
		for _, written := range []bool{false, true} {
			pipe := filepath.Join(t.TempDir(), "pipe")
			require.NoError(t, syscall.Mkfifo(pipe, 0o600))
			if written {
				w, err := os.OpenFile(pipe, os.O_RDWR, 0)
				require.NoError(t, err)
				defer w.Close()
			}
			ctx, interrupt := context.WithCancel(t.Context())
			time.AfterFunc(10*time.Millisecond, interrupt)
			got := newTestPlace().run(ctx, "", append(args, pipe)...)
			require.Equal(t, 130, got.exit, got.stderr)
			require.Contains(t, got.stderr, "error: interrupted\n")
			releasePipe(t, pipe)
		}
	}
}

// releasePipe lets an open that still waits for a writer end.
func releasePipe(t *testing.T, pipe string) {
	w, err := os.OpenFile(pipe, os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, w.Close())
}
