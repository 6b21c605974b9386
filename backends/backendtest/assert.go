package backendtest

import (
	"bytes"
	"iter"
	"reflect"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// put stores changesets, which must succeed.
func put(t testing.TB, s changeset.Store, cs ...changeset.Changeset) {
	t.Helper()
	for _, c := range cs {
		require.NoError(t, s.Put(t.Context(), c), "put %s", c.Ref)
	}
}

// putAll is put for many: in parallel, and so in no order.
func putAll(t testing.TB, s changeset.Store, cs []changeset.Changeset) {
	t.Helper()
	errs := make([]error, len(cs))
	together(min(len(cs), 8), func(worker int) {
		for i := worker; i < len(cs); i += 8 {
			errs[i] = s.Put(t.Context(), cs[i])
		}
	})
	for _, err := range errs {
		require.NoError(t, err)
	}
}

// requireStored demands that Get and Stat return exactly this changeset.
func requireStored(t testing.TB, s changeset.Store, want changeset.Changeset) {
	t.Helper()
	got, err := s.Get(t.Context(), want.Ref, nil)
	require.NoError(t, err)
	requireEqual(t, want, got)
	info, err := s.Stat(t.Context(), want.Ref)
	require.NoError(t, err)
	require.Equal(t, want.Header, info.Header)
}

// requireEqual compares without printing the bodies, which may be large.
func requireEqual(t testing.TB, want, got changeset.Changeset) {
	t.Helper()
	require.Equal(t, want.Header, got.Header)
	require.True(t, bytes.Equal(want.Body, got.Body), "another body than was put")
	require.True(t, got.Content == nil, "Content is for the reader of chains to fill in")
}

// requireAbsent demands that there is no such object.
func requireAbsent(t testing.TB, s changeset.Store, ref changeset.Ref) {
	t.Helper()
	_, err := s.Stat(t.Context(), ref)
	require.ErrorIs(t, err, changeset.ErrNotFound)
	c, err := s.Get(t.Context(), ref, nil)
	require.ErrorIs(t, err, changeset.ErrNotFound)
	require.Empty(t, c.Body)
}

// load returns the head, which must load.
func load(t testing.TB, s head.Store, aggregateID string) head.Head {
	t.Helper()
	h, err := s.Load(t.Context(), aggregateID)
	require.NoError(t, err)
	return h
}

// swap swaps the head, which must succeed and return next.
func swap(t testing.TB, s head.Store, old, next head.Head) head.Head {
	t.Helper()
	got, err := s.Swap(t.Context(), old, next)
	require.NoError(t, err)
	requireRecord(t, next, got)
	return got
}

// create swaps in a new aggregate's first head.
func create(t testing.TB, s head.Store) head.Head {
	t.Helper()
	return swap(t, s, head.Head{}, next(t, head.Head{}, newAggregate()))
}

// requireRecord demands the same record and ignores the tokens.
func requireRecord(t testing.TB, want, got head.Head) {
	t.Helper()
	require.Equal(t, want.WithToken(""), got.WithToken(""))
}

// requireHead demands that this very record is stored.
func requireHead(t testing.TB, s head.Store, want head.Head) {
	t.Helper()
	requireRecord(t, want, load(t, s, want.AggregateID))
}

// requireConflict demands a conflict that names the stored head, if it names any head.
func requireConflict(t testing.TB, err error, stored head.Head) {
	t.Helper()
	var conflict *head.ConflictError
	require.ErrorAs(t, err, &conflict)
	if conflict.Winner != nil {
		requireRecord(t, stored, *conflict.Winner)
	}
}

// requireNotApplied demands a refusal.
func requireNotApplied(t testing.TB, err error) *head.NotAppliedError {
	t.Helper()
	var refused *head.NotAppliedError
	require.ErrorAs(t, err, &refused)
	return refused
}

// collect returns all that the sequence yields, which must not fail.
func collect[T any](t testing.TB, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var all []T
	for item, err := range seq {
		require.NoError(t, err)
		all = append(all, item)
	}
	return all
}

// take is collect for the first n.
func take[T any](t testing.TB, n int, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var all []T
	for item, err := range seq {
		require.NoError(t, err)
		if all = append(all, item); len(all) == n {
			break
		}
	}
	return all
}

// failure returns the error that ends a sequence, which must be its end.
func failure[T any](t testing.TB, seq iter.Seq2[T, error]) error {
	t.Helper()
	var failed error
	for _, err := range seq {
		require.NoError(t, failed, "the sequence goes on behind its error")
		failed = err
	}
	return failed
}

// together runs n goroutines that start at once, and waits for them.
func together(n int, work func(i int)) {
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			work(i)
		})
	}
	done.Wait()
}

// as returns the store as an optional interface, and skips the check if the
// store does not have it.
func as[T any](t testing.TB, s changeset.Store) T {
	t.Helper()
	v, ok := changeset.As[T](s)
	if !ok {
		t.Skipf("%T has no %s", s, reflect.TypeFor[T]())
	}
	return v
}

// headsAs is as for a store of heads.
func headsAs[T any](t testing.TB, s head.Store) T {
	t.Helper()
	v, ok := head.As[T](s)
	if !ok {
		t.Skipf("%T has no %s", s, reflect.TypeFor[T]())
	}
	return v
}
