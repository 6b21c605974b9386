//go:build integration

package integration_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/finding"
	"ropewalk/internal/link"
	"ropewalk/internal/reserved"
)

// roleStore is a store as the identity of one role has it.
type roleStore struct {
	objects interface {
		changeset.Store
		changeset.Lister
		changeset.Deleter
	}
	heads head.Store
	parts []rolePart
	// toScan says that to list heads is a right of its own.
	toScan bool
}

// rolePart is a backend that the store stands on.
type rolePart interface {
	Provision(ctx context.Context) error
	Check(ctx context.Context) ([]finding.Finding, error)
}

func (s roleStore) chain(id string) *ropewalk.Chain {
	return ropewalk.New(s.objects, s.heads, nil).Chain(id)
}

// setUp is what a maintainer does before there is a store, and again after.
func (s roleStore) setUp(t *testing.T) {
	t.Helper()
	for range 2 {
		for _, part := range s.parts {
			require.NoError(t, part.Provision(t.Context()))
		}
	}
	for _, part := range s.parts {
		findings, err := part.Check(t.Context())
		require.NoError(t, err)
		for _, f := range findings {
			require.True(t, f.OK, f.String())
		}
	}
}

// write is what a writer does. It returns what is left for a maintainer: an
// append that is pending.
func (s roleStore) write(t *testing.T) changeset.Header {
	t.Helper()
	ctx, chain := t.Context(), s.chain("order/1")
	_, err := chain.Head(ctx)
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
	first, err := chain.Create(ctx, draft("created"))
	require.NoError(t, err)
	_, err = chain.Append(ctx, first, draft("a"), draft("b"), draft("c"))
	require.NoError(t, err)
	_, err = chain.Append(ctx, first, draft("too late"))
	var conflict *ropewalk.ConflictError
	require.ErrorAs(t, err, &conflict)
	_, err = chain.Update(ctx, func(ctx context.Context, r *ropewalk.Reader) ([]changeset.Draft, error) {
		_, err := ropewalk.Collect(r.All(ctx))
		return []changeset.Draft{draft("d")}, err
	})
	require.NoError(t, err)

	pending := s.put(t, chain, 2, 2)
	require.NoError(t, s.objects.Put(ctx, pending[1]), "a second time")
	for range 2 {
		_, err = chain.Settle(ctx, pending[1].Ref, pending[1].AfterRevision)
		require.ErrorAs(t, err, &conflict)
	}
	h, err := chain.Head(ctx)
	require.NoError(t, err)
	h, err = chain.Append(ctx, h, draft("e"), draft("f"))
	require.NoError(t, err)
	_, err = chain.Settle(ctx, h.Ref, h.Revision-1)
	require.NoError(t, err)
	s.swapAll(t, h)
	_, err = s.objects.Stat(ctx, changeset.Ref{AggregateID: "order/1", Version: 9, ID: changeset.NewID()})
	require.ErrorIs(t, err, changeset.ErrNotFound, "such as a snapshot that is not made yet")
	return s.put(t, chain, 1, 1)[0].Header
}

// swapAll fences a head if another aggregate has none, where the heads can be swapped
// together.
func (s roleStore) swapAll(t *testing.T, h head.Head) {
	t.Helper()
	x, ok := head.As[head.Transactor](s.heads)
	if !ok {
		return
	}
	_, err := x.SwapAll(t.Context(), []head.Exchange{{AggregateID: h.AggregateID, Old: h, Next: link.Fence(h)}, {AggregateID: "order/2"}})
	require.NoError(t, err)
}

func draft(content string) changeset.Draft { return changeset.Draft{Content: []byte(content)} }

// put builds an append of n changesets and stores the last of them, so many.
func (s roleStore) put(t *testing.T, chain *ropewalk.Chain, n, last int) []changeset.Changeset {
	t.Helper()
	h, err := chain.Head(t.Context())
	require.NoError(t, err)
	drafts := make([]changeset.Draft, n)
	cs, _, err := link.Extend(h, chain.AggregateID(), drafts, time.Now())
	require.NoError(t, err)
	for _, c := range cs[n-last:] {
		require.NoError(t, s.objects.Put(t.Context(), c))
	}
	return cs
}

// read is what a reader does.
func (s roleStore) read(t *testing.T) {
	t.Helper()
	s.readChain(t)
	if !s.toScan {
		s.list(t)
	}
}

// readChain is what a reader does with one aggregate.
func (s roleStore) readChain(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	r, err := s.chain("order/1").Reader(ctx)
	require.NoError(t, err)
	all, err := ropewalk.Collect(r.Backward(ctx))
	require.NoError(t, err)
	require.Len(t, all, 7)
	_, err = s.objects.Stat(ctx, all[0].Ref)
	require.NoError(t, err)
	absent := changeset.Ref{AggregateID: "order/1", Version: 1, ID: changeset.NewID()}
	_, err = s.objects.Get(ctx, absent, nil)
	require.ErrorIs(t, err, changeset.ErrNotFound)
	_, err = s.chain("none").Head(ctx)
	require.ErrorIs(t, err, ropewalk.ErrNotFound)

	in := inspect.New(s.objects, s.heads, nil)
	report, err := in.Verify(ctx, "order/1")
	require.NoError(t, err)
	require.Empty(t, report.Problems)
	_, err = in.Graph(ctx, "order/1", 0)
	require.NoError(t, err)
}

// list is what a maintainer does, and wherever heads are objects also a reader.
func (s roleStore) list(t *testing.T) {
	t.Helper()
	heads, err := ropewalk.Collect(s.heads.List(t.Context(), ""))
	require.NoError(t, err)
	require.Len(t, heads, 1)
	for report, err := range inspect.New(s.objects, s.heads, nil).VerifyAll(t.Context()) {
		require.NoError(t, err)
		require.Empty(t, report.Problems)
	}
}

// relay is what a relay does: it looks at all heads and takes hints, and writes
// the feed and its snapshots, of which it deletes old ones.
func (s roleStore) relay(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	s.readChain(t)
	_, err := ropewalk.Collect(s.heads.List(ctx, ""))
	require.NoError(t, err)
	if source, ok := head.As[head.Source](s.heads); ok {
		for p, err := range source.Hints(ctx, nil) {
			require.NoError(t, err)
			if p.CaughtUp {
				break
			}
		}
	}
	s.appendTwice(t, reserved.Register)
	s.appendTwice(t, reserved.Feed("0123456789abcdef"))

	cs, _, err := link.Extend(head.Head{}, reserved.Snapshots("order/1"), []changeset.Draft{draft("snapshot")}, time.Now())
	require.NoError(t, err)
	require.NoError(t, s.objects.Put(ctx, cs[0]))
	require.NoError(t, drainAWS(s.objects.Objects(ctx, cs[0].AggregateID)))
	require.NoError(t, s.objects.Delete(ctx, cs[0].Ref))
}

// subscribe is what a subscriber does: it reads, and keeps its position.
func (s roleStore) subscribe(t *testing.T) {
	t.Helper()
	s.readChain(t)
	s.appendTwice(t, reserved.Subscription("reports"))
	h, err := s.heads.Load(t.Context(), reserved.Subscription("reports"))
	require.NoError(t, err)
	next := link.Fence(h)
	next.Checkpoint = "c.1"
	_, err = s.heads.Swap(t.Context(), h, next)
	require.NoError(t, err)
}

// appendTwice creates and extends one of the library's own chains.
func (s roleStore) appendTwice(t *testing.T, id string) {
	t.Helper()
	h := head.Head{}
	for range 2 {
		var err error
		h, err = s.chain(id).Append(reserved.Open(t.Context()), h, draft("own"))
		require.NoError(t, err)
	}
}

// maintain is what a maintainer does with a store that is in use.
func (s roleStore) maintain(t *testing.T, pending changeset.Header) {
	t.Helper()
	ctx := t.Context()
	s.read(t)
	s.list(t)
	_, err := s.chain("order/1").Settle(ctx, pending.Ref, pending.AfterRevision)
	require.ErrorAs(t, err, new(*ropewalk.ConflictError))
}

// collect deletes the changesets that a chain can no longer reach. If there is a
// pending append, it fences the chain first.
func (s roleStore) collect(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	collector := gc.New(s.objects, s.heads, &gc.Options{Grace: -1, Delete: true})
	deleted := int64(0)
	for r, err := range collector.CollectAll(ctx, "") {
		require.NoError(t, errors.Join(err, r.Err))
		require.Equal(t, r.AggregateID == "order/1", r.Fenced)
		deleted += r.Deleted.Objects
	}
	require.Positive(t, deleted)
}

// erase erases an aggregate.
func (s roleStore) erase(t *testing.T, id string) {
	t.Helper()
	r, err := gc.New(s.objects, s.heads, nil).Erase(t.Context(), id)
	require.NoError(t, err)
	require.Positive(t, r.Deleted.Objects)
}

// putFirst stores the first append of an aggregate, and an append of another
// aggregate, but swaps neither head.
func (s roleStore) putFirst(t *testing.T) changeset.Ref {
	t.Helper()
	cs, _, err := link.Extend(head.Head{}, "order/2", []changeset.Draft{draft("created")}, time.Now())
	require.NoError(t, err)
	require.NoError(t, s.objects.Put(t.Context(), cs[0]))
	s.put(t, s.chain("order/1"), 1, 1)
	return cs[0].Ref
}

// rebuildFirst rebuilds the head of an aggregate of one append, which creates
// it; collects what is left over; and erases the aggregate.
func (s roleStore) rebuildFirst(t *testing.T, pending changeset.Ref) {
	t.Helper()
	in := inspect.New(s.objects, s.heads, nil)
	plan, err := in.Rebuild(t.Context(), pending.AggregateID)
	require.NoError(t, err)
	_, err = in.Apply(t.Context(), plan, pending)
	require.NoError(t, err)
	s.collect(t)
	s.erase(t, pending.AggregateID)
}
