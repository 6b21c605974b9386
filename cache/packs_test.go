package cache_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/cache"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
)

// packs puts the objects of a packed chain into the store: lines, compressed lines and
// one changeset alone.
func packs(t *testing.T, db changeset.Store) (h head.Head, objects []changeset.Ref) {
	for i, size := range []int{100, 1000, link.MaxLine + 1, 10} {
		drafts := []changeset.Draft{{Content: make([]byte, size), Metadata: map[string]string{"a": "b"}}}
		a, err := link.Build(h, "order-1", [][]body.Draft{body.Drafts(drafts, false)}, time.Now(), link.Layout{Packed: true, Compress: i == 1})
		require.NoError(t, err)
		for _, o := range a.Objects {
			require.NoError(t, db.Put(t.Context(), o))
			objects = append(objects, o.Ref)
		}
		h = a.Next
	}
	return h, objects
}

// A pack is kept like any object, in memory and on disk, and is the same when it comes
// from there.
func TestPacksAreKept(t *testing.T) {
	db := memstore.New()
	h, objects := packs(t, db)
	dir := newFolder(t)
	for name, o := range map[string]cache.Options{"memory": {}, "disk": {Bytes: -1, Dir: dir}} {
		t.Run(name, func(t *testing.T) {
			m := meter.New(0)
			cached := newCache(t, m.Changesets(db), &o)
			for range 3 {
				for _, ref := range objects {
					want, err := db.Get(t.Context(), ref, nil)
					require.NoError(t, err)
					got, err := cached.Get(t.Context(), ref, nil)
					require.NoError(t, err)
					require.Equal(t, want, got)
					got.Pack.Lines, got.Body[0] = !got.Pack.Lines, 'x' // is the caller's own
				}
				all, err := ropewalk.Collect(ropewalk.New(cached, db, nil).Chain("order-1").ReaderAt(h).All(t.Context()))
				require.NoError(t, err)
				require.Len(t, all, 4)
			}
			require.Equal(t, meter.Counts{Get: len(objects)}, m.Count())
		})
	}
	again := newCache(t, memstore.New(), &cache.Options{Bytes: -1, Dir: dir})
	all, err := ropewalk.Collect(ropewalk.New(again, db, nil).Chain("order-1").ReaderAt(h).Backward(t.Context()))
	require.NoError(t, err)
	require.Len(t, all, 4)

	path := filepath.Join(dir, "order-1", filepath.Base(objects[1].ObjectName()))
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	file[len(file)-1] ^= 1
	require.NoError(t, os.WriteFile(path, file, 0o600))
	_, err = again.Get(t.Context(), objects[1], nil)
	require.ErrorIs(t, err, changeset.ErrNotFound, "a damaged file is a missing one")
	require.NoError(t, again.Forget("order-1"))
	require.NoDirExists(t, filepath.Dir(path))
}

// A header that was asked for alone is the caller's own too.
func TestHeadersOfPacksAreKept(t *testing.T) {
	db, m := memstore.New(), meter.New(0)
	_, objects := packs(t, db)
	cached := newCache(t, m.Changesets(db), nil)
	for range 3 {
		for _, ref := range objects {
			want, err := db.Stat(t.Context(), ref)
			require.NoError(t, err)
			got, err := cached.Stat(t.Context(), ref)
			require.NoError(t, err)
			require.Equal(t, want, got)
			got.Pack.ParentDigest = changeset.Digest{}
		}
	}
	require.Equal(t, meter.Counts{Stat: len(objects)}, m.Count())
}
