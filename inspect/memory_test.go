package inspect_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
)

// heap returns the bytes that are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A million changesets in one aggregate must leave room in 128 MiB, also while
// the garbage of as much again is not collected yet.
func TestVerifyKeepsLittleOfEachChangeset(t *testing.T) {
	const most = 64
	n := 25_600
	if testing.Short() {
		n = 10_240
	}
	b := newBench(t, order)
	for range n / changeset.MaxPerAppend {
		b.append(make([]changeset.Draft, changeset.MaxPerAppend)...)
	}
	before, seen, kept := heap(), 0, int64(0)
	r, err := inspect.New(b, b, &inspect.Options{Parallel: 2, Progress: func() {
		if seen++; seen == n {
			kept = heap() - before
		}
	}}).Verify(t.Context(), b.id)
	require.NoError(t, err)
	require.Equal(t, n, r.Committed)
	t.Logf("%d bytes of each changeset", kept/int64(n))
	require.Less(t, kept/int64(n), int64(most))
}

// many is a storage with nothing but names of aggregates, and measures what is
// in use when the last one is listed.
type many struct {
	inspect.Changesets
	head.Store
	n    int
	kept int64
}

func (m *many) Aggregates(context.Context, string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for i := 0; i < m.n && yield(fmt.Sprintf("an aggregate with a long name, number %d", i), nil); i++ {
		}
	}
}

func (m *many) List(ctx context.Context, _ string) iter.Seq2[head.Head, error] {
	return func(yield func(head.Head, error) bool) {
		for id := range m.Aggregates(ctx, "") {
			if !yield(head.Head{Ref: changeset.Ref{AggregateID: id}}, nil) {
				return
			}
		}
		m.kept = heap()
	}
}

func TestVerifyAllKeepsLittleOfEachAggregate(t *testing.T) {
	const n, most = 50_000, 64
	s := memstore.New()
	m := &many{Changesets: s, Store: s, n: n}
	before := heap()
	for r, err := range inspect.New(m, m, nil).VerifyAll(t.Context()) {
		require.NoError(t, err)
		require.Fail(t, "nothing is stored", r.AggregateID)
	}
	t.Logf("%d bytes of each aggregate", (m.kept-before)/n)
	require.Less(t, (m.kept-before)/n, int64(most))
}

// Objects of packed chains take as much memory, whatever they contain.
func TestVerifyKeepsLittleOfEachPack(t *testing.T) {
	const n, most = 2_000, 80
	b := newBench(t, order)
	for range n {
		b.commit(b.buildPacked(link.Layout{}, draft("a"), draft("b")))
	}
	before, seen, kept := heap(), 0, int64(0)
	r, err := inspect.New(b, b, &inspect.Options{Parallel: 2, Progress: func() {
		if seen++; seen == 2*n {
			kept = heap() - before
		}
	}}).Verify(t.Context(), b.id)
	require.NoError(t, err)
	require.Equal(t, 2*n, r.Committed)
	t.Logf("%d bytes of each object", kept/n)
	require.Less(t, kept/n, int64(most))
}
