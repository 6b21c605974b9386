package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/head"
)

// eventOf returns a line of NDJSON that compresses well.
func eventOf(n int) string {
	return fmt.Sprintf(`{"type":"added","data":{"n":%d,"text":%q}}`+"\n", n, strings.Repeat("again ", 50))
}

// mixed returns a place with a chain whose every second changeset is compressed,
// and one with the same content that is not.
func mixed(t *testing.T) (mixed, plain *testPlace) {
	t.Helper()
	mixed, plain = newTestPlace(), newTestPlace()
	for _, p := range []*testPlace{mixed, plain} {
		h := head.Head{}
		for n := range 6 {
			var err error
			compress := ropewalk.Options{Compress: p == mixed && n%2 == 1}
			h, err = p.store(t).with(compress).Chain("log").Append(t.Context(), h, changeset.Draft{Content: []byte(eventOf(n)), ContentType: ndjson.ContentType})
			require.NoError(t, err)
		}
	}
	return mixed, plain
}

// Commands print the same content, compressed or not.
func TestCompressionIsInvisible(t *testing.T) {
	mixed, plain := mixed(t)
	for _, args := range [][]string{
		{"cat", "log@0.."},
		{"cat", "log@1"},
		{"cat", "log"},
		{"export"},
		{"verify", "log"},
	} {
		want, got := plain.run(t.Context(), "", args...), mixed.run(t.Context(), "", args...)
		require.Zero(t, want.exit, want.stderr)
		if args[0] != "verify" { // its figures are of what is stored
			require.Equal(t, want.stdout, got.stdout, args)
		}
		require.Zero(t, got.exit, got.stderr)
	}
	got := mixed.run(t.Context(), "", "log", "log", "--events")
	require.Equal(t, 6, strings.Count(got.stdout, "added"), got.stdout)
	got = mixed.run(t.Context(), "", "show", "log@1")
	require.Contains(t, got.stdout, "bytes of zstd")
	require.Contains(t, got.stdout, `"n": 1`)
	all := mixed.run(t.Context(), "", "cat", "log@0..").stdout
	require.Equal(t, eventOf(0)+eventOf(1)+eventOf(2)+eventOf(3)+eventOf(4)+eventOf(5), all)
}

// A changeset that no chain has is decoded like any other.
func TestCompressedOrphanIsShown(t *testing.T) {
	from := newTestPlace()
	h, err := from.store(t).with(ropewalk.Options{Compress: true}).Chain("other").Create(t.Context(), changeset.Draft{Content: []byte(eventOf(7)), ContentType: ndjson.ContentType})
	require.NoError(t, err)
	orphan, err := from.memory.Get(t.Context(), h.Ref, nil)
	require.NoError(t, err)
	require.Equal(t, changeset.EncodingZstd, orphan.Encoding)

	p := newTestPlace()
	_, err = p.store(t).Chain("other").Create(t.Context(), changeset.Draft{Content: []byte(eventOf(8)), ContentType: ndjson.ContentType})
	require.NoError(t, err)
	require.NoError(t, p.memory.Put(t.Context(), orphan))
	got := p.run(t.Context(), "", "cat", orphan.Ref.String())
	require.Zero(t, got.exit, got.stderr)
	require.Equal(t, eventOf(7), got.stdout)
	got = p.run(t.Context(), "", "show", orphan.Ref.String())
	require.Zero(t, got.exit, got.stderr)
	require.Contains(t, got.stdout, "not in the chain: lost")
	require.Contains(t, got.stdout, `"n": 7`)
}
