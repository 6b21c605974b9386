package main

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/cmd/ropewalk/internal/importer"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/faults"
)

func TestContentTooLarge(t *testing.T) {
	a := newTestPlace().app("")
	a.In = io.LimitReader(zeros{}, importer.MaxContent+1)
	got := runCommand(t.Context(), a, "append", "order", "--new", "--json")
	require.Equal(t, 2, got.exit)
	require.Contains(t, got.stdout, `"code":"too-large"`)
	require.Contains(t, got.stderr, "error: -: content too large: more than 67108864 bytes")
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// brokenWriter fails every write.
type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestBrokenStdout(t *testing.T) {
	p := newTestPlace()
	require.Zero(t, p.run(t.Context(), `{}`, "append", "order", "--new").exit)
	for _, args := range [][]string{
		{"append", "order", "--any", "--allow-empty"},
		{"settle", "order@0.ff"},
		{"head", "order"},
		{"log", "order"},
		{"log", "order", "--json"},
		{"ls"},
		{"ls", "-l"},
		{"show", "order"},
		{"show", "order", "--json"},
		{"cat", "order"},
		{"cat", "order@0.."},
		{"export"},
		{"export", "--format", "parquet"},
		{"import", "-", "--allow-empty"},
		{"init"},
		{"init", "--print-policy", "reader"},
		{"relay"},
		{"watch", "--from", "start"},
		{"watch", "--from", "start", "--json"},
		{"watch", "--from", "start", "--content"},
		{"feed", "status"},
		{"feed", "verify"},
		{"feed", "verify", "--json"},
		{"feed", "sweep"},
		{"subscriptions"},
		{"migrate"},
		{"version"},
		{"completion", "bash"},
		{"schema", "error"},
	} {
		if args[0] == "settle" {
			h, err := p.memory.Load(t.Context(), "order")
			require.NoError(t, err)
			args[1] = h.Ref.String()
		}
		var stderr strings.Builder
		a := p.app("")
		a.Out, a.Err = ui.NewStreams(nil, brokenWriter{&os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}}, nil, nil).Out, &stderr
		require.Equal(t, 141, a.run(t.Context(), args), args)
		require.Empty(t, stderr.String(), args)

		a = p.app("")
		a.Out, a.Err = ui.NewStreams(nil, brokenWriter{errors.New("disk full")}, nil, nil).Out, &stderr
		require.Equal(t, 1, a.run(t.Context(), args), args)
		require.Equal(t, "error: write to stdout: disk full\n", stderr.String(), args)
	}
}

// A pipe that breaks on the way to a storage is not mistaken for stdout.
func TestBrokenConnections(t *testing.T) {
	p := newTestPlace()
	p.script.Every(faults.Load, faults.Fault{Kind: faults.Dropped, Err: &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}})
	got := p.run(t.Context(), "", "head", "order", "--json")
	require.Equal(t, 7, got.exit)
	require.Contains(t, got.stdout, `"code":"storage"`)
}
