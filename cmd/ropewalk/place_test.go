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
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/finding"
)

// testPlace is a store in memory that outlives a command, and whose requests
// go wrong by script.
type testPlace struct {
	memory *memstore.Store
	script *faults.Script
}

func newTestPlace() *testPlace { return &testPlace{memstore.New(), &faults.Script{}} }

func (p *testPlace) open(context.Context, bool) (*storageOf, error) {
	o := p.script.Changesets(p.memory).(objects)
	h := p.script.Heads(p.memory).(heads)
	return &storageOf{o, h, func() error { return nil }}, nil
}

func (*testPlace) provision(context.Context) error { return nil }

func (*testPlace) check(context.Context) ([]finding.Finding, error) { return nil, nil }

func (*testPlace) policy(string) (string, error) { return "{\n  \"Version\": \"2012-10-17\"\n}\n", nil }

// store opens the place as a command does.
func (p *testPlace) store(t *testing.T) *store {
	t.Helper()
	s, err := p.app("").openURL(t.Context(), "test:", true)
	require.NoError(t, err)
	return s
}

// pend puts a changeset after the head, and does not swap it.
func (p *testPlace) pend(t *testing.T, id string) changeset.Ref {
	t.Helper()
	h, err := p.memory.Load(t.Context(), id)
	require.NoError(t, err)
	built, _, err := head.Extend(h, id, []changeset.Draft{{}}, time.Now())
	require.NoError(t, err)
	require.NoError(t, p.memory.Put(t.Context(), built[0]))
	return built[0].Ref
}

// app returns a command that works on the place.
func (p *testPlace) app(stdin string) *app {
	a := newApp(strings.NewReader(stdin), io.Discard, io.Discard, nil)
	a.IsTerminal = func(any) bool { return false }
	a.place = func(string, map[string]string) (place, error) { return p, nil }
	return a
}

// result is what a command has done.
type result struct {
	exit           int
	stdout, stderr string
}

// run runs a command on the place.
func (p *testPlace) run(ctx context.Context, stdin string, args ...string) result {
	return runApp(ctx, p.app(stdin), args...)
}

func runApp(ctx context.Context, a *app, args ...string) result {
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
