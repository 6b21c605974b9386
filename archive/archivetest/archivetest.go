// Package archivetest holds destinations of archives to their contract.
package archivetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/archive"
)

// odd is a name like the names of files whose events have a type that needs escapes.
const odd = "day=2026-11-28/type=a%2Fb%20%C3%A4/000000000001-00000000000000000000000000000000.parquet"

// TestDestination holds a destination to the contract of [archive.Destination]. Each
// call of newDestination must return an empty destination.
func TestDestination(t *testing.T, newDestination func(t *testing.T) archive.Destination) {
	for name, test := range map[string]func(t *testing.T, d archive.Destination){
		"a file": testFile, "names": testNames, "races": testRaces, "ended context": testEnded,
	} {
		t.Run(name, func(t *testing.T) { test(t, newDestination(t)) })
	}
}

func list(t *testing.T, d archive.Destination, prefix string) (names []string) {
	t.Helper()
	for name, err := range d.List(t.Context(), prefix) {
		require.NoError(t, err)
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// testFile: a file is created once, read, and deleted.
func testFile(t *testing.T, d archive.Destination) {
	ctx := t.Context()
	require.Empty(t, list(t, d, ""))
	_, err := d.Read(ctx, odd, 10)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, d.Delete(ctx, odd), "it does not exist")

	content := bytes.Repeat([]byte("0123456789"), 1000)
	require.NoError(t, d.Create(ctx, odd, content))
	require.ErrorIs(t, d.Create(ctx, odd, []byte("other")), fs.ErrExist)
	require.ErrorIs(t, d.Create(ctx, odd, content), fs.ErrExist, "also with the same content")
	for limit, want := range map[int64][]byte{0: content[:1], 9: content[:10], 9_999: content, 10_000: content, 1 << 40: content} {
		got, err := d.Read(ctx, odd, limit)
		require.NoError(t, err)
		require.Equal(t, want, got, "limit %d", limit)
	}
	require.NoError(t, d.Create(ctx, "empty", nil))
	got, err := d.Read(ctx, "empty", 10)
	require.NoError(t, err)
	require.Empty(t, got)

	require.NoError(t, d.Delete(ctx, odd))
	require.NoError(t, d.Delete(ctx, odd), "again")
	_, err = d.Read(ctx, odd, 10)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, d.Create(ctx, odd, []byte("other")), "the name is free")
}

// testNames: names are listed as they are.
func testNames(t *testing.T, d archive.Destination) {
	names := []string{"README", odd, "day=2026-11-28/type=b/2.parquet", "manifests/000000000001.ndjson", "manifests/000000000002.ndjson"}
	for _, name := range names {
		require.NoError(t, d.Create(t.Context(), name, []byte(name)))
		require.NotEmpty(t, d.Locate(name))
	}
	require.Equal(t, names, list(t, d, ""))
	require.Equal(t, names[3:], list(t, d, "manifests/"))
	require.Equal(t, names[1:3], list(t, d, "day="))
	require.Empty(t, list(t, d, "day=2027"))
	for range d.List(t.Context(), "") {
		break
	}
}

// testRaces: of several that create a file at once, one succeeds, and the file is whole.
func testRaces(t *testing.T, d archive.Destination) {
	contents := make([][]byte, 8)
	for i := range contents {
		contents[i] = bytes.Repeat(fmt.Append(nil, i), 100_000)
	}
	errs := make([]error, len(contents))
	var group sync.WaitGroup
	for i, content := range contents {
		group.Go(func() { errs[i] = d.Create(t.Context(), odd, content) })
	}
	group.Wait()
	winner := slices.Index(errs, nil)
	require.NotEqual(t, -1, winner, "%v", errs)
	for i, err := range errs {
		require.True(t, i == winner || errors.Is(err, fs.ErrExist), "%v", err)
	}
	got, err := d.Read(t.Context(), odd, 1<<20)
	require.NoError(t, err)
	require.True(t, bytes.Equal(contents[winner], got))
}

// testEnded: nothing is done after the context has ended.
func testEnded(t *testing.T, d archive.Destination) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, d.Create(ctx, odd, nil), context.Canceled)
	require.ErrorIs(t, d.Delete(ctx, odd), context.Canceled)
	_, err := d.Read(ctx, odd, 1)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, list(t, d, ""))
}
