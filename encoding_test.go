package ropewalk_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/head"
)

func compressing(limit int64) *ropewalk.Options {
	return &ropewalk.Options{Compress: true, MaxContentSize: limit}
}

var (
	long  = []byte(strings.Repeat("a line of a log\n", 1000))
	short = []byte("short")
)

// Readers of either kind of store take what writers of either kind have made.
func TestCompressedContents(t *testing.T) {
	db, err := sqlitestore.Open(t.TempDir()+"/ropewalk.db", nil)
	require.NoError(t, err)
	defer db.Close()
	memory := memstore.New()
	for name, open := range map[string]func(*ropewalk.Options) *ropewalk.Store{
		"put and swap": func(o *ropewalk.Options) *ropewalk.Store { return ropewalk.New(memory, memory, o) },
		"one step":     func(o *ropewalk.Options) *ropewalk.Store { return ropewalk.New(db, db, o) },
	} {
		t.Run(name, func(t *testing.T) {
			plain, compressing := open(nil), open(compressing(0))
			h, err := plain.Chain("log").Create(t.Context(), changeset.Draft{Content: long})
			require.NoError(t, err)
			_, err = compressing.Chain("log").Append(t.Context(), h, changeset.Draft{Content: long}, changeset.Draft{Content: short}, changeset.Draft{})
			require.NoError(t, err)
			_, err = compressing.Chain("log").NewAppender(nil).Append(t.Context(), changeset.Draft{Content: long})
			require.NoError(t, err)
			for _, s := range []*ropewalk.Store{plain, compressing} {
				requireContents(t, s, long, long, short, nil, long)
			}
		})
	}
}

func requireContents(t *testing.T, s *ropewalk.Store, want ...[]byte) {
	t.Helper()
	r, err := s.Chain("log").Reader(t.Context())
	require.NoError(t, err)
	all, err := ropewalk.Collect(r.All(t.Context()))
	require.NoError(t, err)
	require.Len(t, all, len(want))
	var parent changeset.Digest
	for i, c := range all {
		content, err := s.Decode(c)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want[i], content), i)
		require.NoError(t, c.Verify(parent), "what is read can be verified as it is")
		parent = c.Digest
		if i == 0 || len(want[i]) < len(long) {
			require.Empty(t, c.Encoding, i)
			continue
		}
		require.Equal(t, "zstd", c.Encoding, i)
		require.Less(t, c.ContentSize, int64(len(long)/10), i)
	}
}

// The limit is one of the content, not of what it is compressed to.
func TestCompressedContentsAreLimited(t *testing.T) {
	db := memstore.New()
	limit := int64(len(long))
	store, lower := ropewalk.New(db, db, compressing(limit)), ropewalk.New(db, db, compressing(limit-1))
	draft := changeset.Draft{Content: long}
	for _, d := range []changeset.Draft{draft, changeset.Compress(draft)} {
		_, err := lower.Chain("log").Create(t.Context(), d)
		require.ErrorIs(t, err, ropewalk.ErrTooLarge)
		_, err = lower.Chain("log").NewAppender(nil).Append(t.Context(), d)
		require.ErrorIs(t, err, ropewalk.ErrTooLarge)
	}
	h, err := store.Chain("log").Create(t.Context(), draft)
	require.NoError(t, err)
	c, err := lower.Chain("log").ReaderAt(h).At(t.Context(), 0)
	require.NoError(t, err, "what is stored is small")
	_, err = lower.Decode(c)
	require.ErrorIs(t, err, ropewalk.ErrTooLarge)
	content, err := store.Decode(c)
	require.NoError(t, err)
	require.Equal(t, long, content)
}

// A writer with a command ID finds what it stored before, whatever it compresses now.
func TestCompressedCommandsAreIdempotent(t *testing.T) {
	db := memstore.New()
	var heads []head.Head
	for i := range 4 {
		store := ropewalk.New(db, db, &ropewalk.Options{Compress: i%2 == 0})
		h, err := store.Chain("log").Create(t.Context(), changeset.Draft{CommandID: "once", Content: long})
		require.NoError(t, err, fmt.Sprint("call ", i))
		heads = append(heads, h)
	}
	for _, h := range heads {
		require.Equal(t, heads[0].Ref, h.Ref)
	}
}
