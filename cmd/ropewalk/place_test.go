package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/location"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/finding"
	"ropewalk/internal/link"
)

// testPlace is a store in memory that outlives a command, and whose requests
// go wrong by script.
type testPlace struct {
	memory *memstore.Store
	script *faults.Script
	bare   bool // the heads have no log, as in a cloud
	apart  bool // heads are not swapped together
}

func newTestPlace() *testPlace { return &testPlace{memory: memstore.New(), script: &faults.Script{}} }

// bareHeads hides every optional interface except the locator.
type bareHeads struct {
	head.Store
	head.Locator
}

// apart swaps no heads together.
type apart struct{ head.PassThrough }

func (apart) Members() int { return 0 }

func (p *testPlace) Open(context.Context, bool) (*location.Opened, error) {
	o := p.script.Changesets(p.memory).(location.Objects)
	h := p.script.Heads(p.memory).(location.Heads)
	if p.bare {
		h = bareHeads{p.script.Heads(p.memory), p.memory}
	}
	if p.apart {
		h = apart{head.NewPassThrough(h)}
	}
	return &location.Opened{Objects: o, Heads: h}, nil
}

func (*testPlace) Provision(context.Context) error { return nil }

func (*testPlace) Check(context.Context) ([]finding.Finding, error) { return nil, nil }

func (*testPlace) Policy(string) (string, error) { return "{\n  \"Version\": \"2012-10-17\"\n}\n", nil }

// store opens the place as a command does.
func (p *testPlace) store(t *testing.T) *store {
	t.Helper()
	s, err := p.app("").open(t.Context(), "test:", true)
	require.NoError(t, err)
	return s
}

// pend puts a changeset after the head, and does not swap it.
func (p *testPlace) pend(t *testing.T, id string) changeset.Ref {
	t.Helper()
	h, err := p.memory.Load(t.Context(), id)
	require.NoError(t, err)
	built, _, err := link.Extend(h, id, []changeset.Draft{{}}, time.Now())
	require.NoError(t, err)
	require.NoError(t, p.memory.Put(t.Context(), built[0]))
	return built[0].Ref
}

// command is a run of the command: its streams, and the store that it works on.
type command struct {
	*ui.Streams
	*storeFlags
}

func newCommand(stdin io.Reader, stdout, stderr io.Writer, env []string) *command {
	std := ui.NewStreams(stdin, stdout, stderr, env)
	return &command{std, newStoreFlags(std)}
}

// parts returns the command as its functions take it.
func (c *command) parts() (*ui.Streams, *storeFlags) { return c.Streams, c.storeFlags }

func (c *command) run(ctx context.Context, args []string) int {
	return run(ctx, c.Streams, c.storeFlags, args)
}

// app returns a command that works on the place.
func (p *testPlace) app(stdin string) *command {
	a := newCommand(strings.NewReader(stdin), io.Discard, io.Discard, nil)
	a.IsTerminal = func(any) bool { return false }
	a.parse = func(string, map[string]string) (location.Location, error) { return p, nil }
	return a
}

// result is what a command has done.
type result struct {
	exit           int
	stdout, stderr string
}

// run runs a command on the place.
func (p *testPlace) run(ctx context.Context, stdin string, args ...string) result {
	return runCommand(ctx, p.app(stdin), args...)
}

func runCommand(ctx context.Context, a *command, args ...string) result {
	var stdout, stderr bytes.Buffer
	a.Out, a.Err = &stdout, &stderr
	exit := a.run(ctx, args)
	return result{exit, stdout.String(), stderr.String()}
}

// contents returns what the chains hold, by aggregate.
func (p *testPlace) contents(t *testing.T) map[string][]string {
	t.Helper()
	s := ropewalk.New(p.memory, p.memory, nil)
	all := map[string][]string{}
	for h, err := range s.Heads(t.Context(), "") {
		require.NoError(t, err)
		for c, err := range s.Chain(h.AggregateID).ReaderAt(h).All(t.Context()) {
			require.NoError(t, err)
			all[h.AggregateID] = append(all[h.AggregateID], string(c.Content))
		}
	}
	return all
}
