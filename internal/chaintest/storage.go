// Package chaintest holds tests of the append protocol that run over any
// storage: in virtual time over memory, in real time over a service. Each
// compares the outcomes that callers get with the chain, while requests go
// wrong in every way that package faults knows.
package chaintest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// Storage is the storage under test, without faults.
type Storage struct {
	Changesets changeset.Store
	Heads      head.Store
	// AggregateID is a chain that does not exist yet.
	AggregateID string
	// Unit is the unit of all waiting: callers wait for one, requests are
	// delayed by a few, appends settle for ten. In virtual time it is a second;
	// in real time it must be well above a request's duration.
	Unit time.Duration
	// Mine and Others are the options of the chain under test, and of other writers,
	// apart from the timeouts.
	Mine, Others ropewalk.Options
	// Slack is how much longer an append, and the settling of an append, may take than
	// virtual time allows. It is zero in virtual time; in real time it covers a busy machine.
	Slack time.Duration
}

// Direct returns the chain under test, without faults.
func (s Storage) Direct() *ropewalk.Chain {
	heads := s.Heads
	if s.Others.Packed {
		heads = faults.TwoSteps(heads) // in one step there is no tip
	}
	return ropewalk.New(s.Changesets, heads, &s.Others).Chain(s.AggregateID)
}

// Faulty returns the chain under test, under the script's faults; twoSteps
// keeps a combined storage from putting and swapping in one.
func (s Storage) Faulty(script *faults.Script, twoSteps bool) *ropewalk.Chain {
	return s.faulty(script, twoSteps, 10*s.Unit)
}

func (s Storage) faulty(script *faults.Script, twoSteps bool, timeout time.Duration) *ropewalk.Chain {
	heads := script.Heads(s.Heads)
	if twoSteps {
		heads = faults.TwoSteps(heads)
	}
	options := s.Mine
	options.SettleTimeout = timeout
	return ropewalk.New(script.Changesets(s.Changesets), heads, &options).Chain(s.AggregateID)
}

// Contents returns all contents of the chain, none if the chain does not exist.
func (s Storage) Contents(t testing.TB) (contents []string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	r, err := s.Direct().Reader(ctx)
	require.True(t, err == nil || errors.Is(err, ropewalk.ErrNotFound), err)
	for c, err := range r.All(ctx) {
		require.NoError(t, err)
		contents = append(contents, string(c.Content))
	}
	return contents
}

// Fence swaps the head to itself with the next revision, or to a void head if there is
// no head.
func (s Storage) Fence(t testing.TB) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	h, err := s.Heads.Load(ctx, s.AggregateID)
	require.NoError(t, err)
	next := link.Fence(h)
	if h.IsZero() {
		next = link.Void(s.AggregateID)
	}
	_, err = s.Heads.Swap(ctx, h, next)
	require.NoError(t, err)
}

// canSettle reports whether a chain can settle every append: there is a head to fence, or
// the chain may write a void head.
func (s Storage) canSettle(t testing.TB, options ropewalk.Options) bool {
	t.Helper()
	h, err := s.Heads.Load(context.WithoutCancel(t.Context()), s.AggregateID)
	require.NoError(t, err)
	return options.Packed || !h.IsZero()
}

// Draft returns a draft of a small text.
func Draft(content string) changeset.Draft { return changeset.Draft{Content: []byte(content)} }

// IsConflict reports whether an append was refused for good.
func IsConflict(err error) bool {
	return errors.Is(err, ropewalk.ErrConflict)
}
