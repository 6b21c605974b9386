package sqlitestore

import (
	"bytes"
	"encoding/binary"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
)

// packTo commits an append to a packed chain: without a tip, as in one step.
func packTo(t testing.TB, s *Store, after head.Head, aggregateID string, contents ...string) ([]changeset.Changeset, head.Head) {
	t.Helper()
	drafts := make([]changeset.Draft, len(contents))
	for i, c := range contents {
		drafts[i].Content = []byte(c)
	}
	a, err := link.Build(after, aggregateID, [][]body.Draft{body.Drafts(drafts, false)}, time.Now(), link.Layout{Packed: true})
	require.NoError(t, err)
	h, err := s.Commit(t.Context(), a.Objects, after, a.Next)
	require.NoError(t, err)
	return a.Objects, h
}

// TestKeysSortByName: the keys of the objects of an aggregate sort as their names do, as
// the order of a listing demands. The library's IDs are times of this century.
func TestKeysSortByName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ref := rapid.Custom(func(t *rapid.T) changeset.Ref {
			r := changeset.Ref{AggregateID: "a", ID: changeset.NewID()}
			first := rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64Range(0, 1<<55)).Draw(t, "first")
			r.Count = rapid.OneOf(rapid.Just(uint16(0)), rapid.Uint16Range(1, 3), rapid.Uint16Range(1, changeset.MaxCount)).Draw(t, "count")
			r.Version = first + uint64(max(r.Count, 1)) - 1
			return r
		})
		one, other := ref.Draw(t, "one"), ref.Draw(t, "other")
		id, a := key(one)
		_, b := key(other)
		if strings.Compare(one.ObjectName(), other.ObjectName()) != bytes.Compare(a, b) {
			t.Fatalf("%s and %s", one, other)
		}
		if got, ok := refOf(id, a); !ok || got != one {
			t.Fatalf("%s is read as %s", one, got)
		}
	})
}

// TestKeysOfNoObject name nothing: a foreign row must not look like an object.
func TestKeysOfNoObject(t *testing.T) {
	id := changeset.NewID()
	pack := func(first, last uint64) []byte {
		return append(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, first), last), id[:]...)
	}
	for _, good := range [][]byte{pack(0, 0), pack(3, 3), pack(0, changeset.MaxCount-1), pack(math.MaxUint64-1, math.MaxUint64-1)} {
		ref, ok := refOf("a", good)
		require.True(t, ok)
		_, again := key(ref)
		require.Equal(t, good, again)
	}
	for name, bad := range map[string][]byte{
		"it ends before it begins": pack(1, 0), "it has too many changesets": pack(0, changeset.MaxCount), "all versions": pack(0, math.MaxUint64),
		"no ID": make([]byte, packedSize), "a byte more": append(pack(0, 0), 0), "a byte less": pack(0, 0)[1:], "nothing": {},
	} {
		_, ok := refOf("a", bad)
		require.False(t, ok, name)
	}
}

// TestPagesOfBothFormats: a listing goes on across its pages, also between two formats.
func TestPagesOfBothFormats(t *testing.T) {
	s := open(t)
	h := appendTo(t, s, head.Head{}, "order-1", slices.Repeat([]string{"x"}, pageSize-2)...)
	var orphans []changeset.Changeset
	for range 2 * pageSize {
		_, h = packTo(t, s, h, "order-1", "a", "b")
		if len(orphans) < 5 {
			cs, _ := extend(t, head.Head{}, "order-1", "orphan")
			cs[0].Version = 0
			orphans = append(orphans, cs...)
			require.NoError(t, s.Put(t.Context(), cs[0]))
		}
	}
	n, last := 0, ""
	for o, err := range s.Objects(t.Context(), "order-1") {
		require.NoError(t, err)
		require.Greater(t, o.ObjectName(), last)
		n, last = n+1, o.ObjectName()
	}
	require.Equal(t, pageSize-2+2*pageSize+5, n)
	require.EqualValues(t, pageSize-2+4*pageSize-1, h.Version)
}

// TestAPackedStoreComesBack from a backup, with packs, heads and log.
func TestAPackedStoreComesBack(t *testing.T) {
	s := open(t)
	stored := appendTo(t, s, head.Head{}, "order-0", "of format 1")
	objects, h := packTo(t, s, stored, "order-0", "one", "two")
	more, h := packTo(t, s, h, "order-0", strings.Repeat("x", link.MaxLine+1))
	objects = append(objects, more...)
	drafts := body.Drafts([]changeset.Draft{{Content: []byte("in the tip")}}, false)
	a, err := link.Build(h, "order-0", [][]body.Draft{drafts}, time.Now(), link.Layout{Tip: 4000})
	require.NoError(t, err)
	h, err = s.Swap(t.Context(), h, a.Next) // as a copy from other storage
	require.NoError(t, err)

	path, restored := filepath.Join(t.TempDir(), "backup.db"), filepath.Join(t.TempDir(), "restored.db")
	require.NoError(t, s.Backup(t.Context(), path))
	_, err = Restore(t.Context(), path, restored)
	require.NoError(t, err)
	findings, err := CheckFile(t.Context(), restored)
	require.NoError(t, err)
	require.Empty(t, findings)
	require.NoError(t, Migrate(t.Context(), restored, nil))
	again := openAt(t, restored, &Options{MustExist: true})
	got, err := again.Load(t.Context(), "order-0")
	require.NoError(t, err)
	require.Equal(t, h, got)
	for _, o := range objects {
		c, err := again.Get(t.Context(), o.Ref, nil)
		require.NoError(t, err)
		require.Equal(t, o.Body, c.Body)
	}
	end, err := again.LogEnd(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 4, end.Row)
}

// TestTamperedPacksAreCorrupt: a row is held to its key, and to the letter.
func TestTamperedPacksAreCorrupt(t *testing.T) {
	s := open(t)
	_, h := packTo(t, s, head.Head{}, "order-1", "zero")
	objects, _ := packTo(t, s, h, "order-1", "one", "two")
	packTo(t, s, head.Head{}, "order-2", "zero", "one", "two")
	ref := objects[0].Ref
	for name, change := range map[string]string{
		"a count":         `fields = json_set(fields, '$.changesets', '3')`,
		"no object ID":    `fields = json_remove(fields, '$.object-id')`,
		"a time":          `fields = json_set(fields, '$.recorded-at', '2026-01-01T00:00:00.000000000Z')`,
		"no index":        `ancestors = x''`,
		"another index":   `ancestors = zeroblob(27)`,
		"another's":       `fields = (SELECT fields FROM changesets WHERE aggregate_id = 'order-2')`,
		"a type of lines": `content_type = 'text/plain'`,
		"format 1":        `fields = json_set(fields, '$.format', '1')`,
	} {
		heal := damage(t, s.path, "changesets", change)
		_, err := s.Stat(t.Context(), ref)
		requireCorrupt(t, err, s.Locate(ref))
		_, err = s.Get(t.Context(), ref, nil)
		requireCorrupt(t, err, s.Locate(ref))
		got, err := s.GetMany(t.Context(), []changeset.Ref{ref}, nil)
		require.NoError(t, err, name)
		require.Empty(t, got, name)
		heal()
	}
	_, err := s.Stat(t.Context(), ref)
	require.NoError(t, err)
}
