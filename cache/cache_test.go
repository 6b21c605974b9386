package cache_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/backendtest"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/cache"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
)

func newCache(t testing.TB, inner changeset.Store, o *cache.Options) *cache.Cache {
	t.Helper()
	c, err := cache.New(inner, o)
	require.NoError(t, err)
	return c
}

// newFolder returns the path of a folder that is still to be made: what t.TempDir
// returns can be written by the group, if the umask says so.
func newFolder(t testing.TB) string { return filepath.Join(t.TempDir(), "cache") }

// stored puts changesets with these contents into the store, and returns them.
func stored(t testing.TB, db changeset.Store, aggregateID string, contents ...[]byte) []changeset.Changeset {
	t.Helper()
	drafts := make([]changeset.Draft, len(contents))
	for i := range drafts {
		drafts[i] = changeset.Draft{Content: contents[i], Metadata: map[string]string{"a": "b"}}
	}
	cs, _, err := link.Extend(head.Head{}, aggregateID, drafts, time.Now())
	require.NoError(t, err)
	for i := range cs {
		cs[i].Content = nil // as a store returns it
		require.NoError(t, db.Put(t.Context(), cs[i]))
	}
	return cs
}

func TestConformance(t *testing.T) {
	file, err := sqlitestore.Open(filepath.Join(t.TempDir(), "ropewalk.db"), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, file.Close()) })
	db := memstore.New()
	for name, c := range map[string]struct {
		inner   changeset.Store
		options cache.Options
	}{
		"memory":            {db, cache.Options{}},
		"disk":              {db, cache.Options{Bytes: -1, Dir: newFolder(t)}},
		"both, very small":  {db, cache.Options{Bytes: 1, Dir: newFolder(t), DirBytes: 1}},
		"both":              {db, cache.Options{Dir: newFolder(t)}},
		"many by a request": {file, cache.Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			one := newCache(t, c.inner, &c.options)
			h := backendtest.Harness{Changesets: func(testing.TB) changeset.Store { return one }, MaxContent: 4 << 20, Racers: 4, Rounds: 3}
			if c.inner == changeset.Store(db) {
				h.CorruptObject = func(_ testing.TB, ref changeset.Ref) {
					db.Tamper(func(all *memstore.Contents) { delete(all.Objects[ref.ObjectName()].Metadata, "digest") })
				}
			}
			backendtest.TestChangesets(t, h)
		})
	}
}

func TestWhatWasReadIsNotReadAgain(t *testing.T) {
	for name, o := range map[string]cache.Options{"memory": {}, "disk": {Bytes: -1, Dir: newFolder(t)}, "both": {Dir: newFolder(t)}} {
		t.Run(name, func(t *testing.T) {
			db, m := memstore.New(), meter.New(0)
			c := stored(t, db, "order-1", []byte("content"))[0]
			cached := newCache(t, m.Changesets(db), &o)
			for range 3 {
				got, err := cached.Get(t.Context(), c.Ref, nil)
				require.NoError(t, err)
				require.Equal(t, c, got)
				clear(got.Body)
				clear(got.Metadata)
			}
			require.Equal(t, meter.Counts{Get: 1}, m.Count())
			m.Reset()
			missing := c.Ref
			missing.ID = changeset.NewID()
			for range 2 {
				_, err := cached.Get(t.Context(), missing, nil)
				require.ErrorIs(t, err, changeset.ErrNotFound)
			}
			require.Equal(t, meter.Counts{Get: 2}, m.Count(), "what is missing may come")
		})
	}
}

func TestHeadersAreKeptWithTheirTime(t *testing.T) {
	db, m := memstore.New(), meter.New(0)
	c := stored(t, db, "order-1", []byte("content"))[0]
	cached := newCache(t, m.Changesets(db), nil)
	want, err := db.Stat(t.Context(), c.Ref)
	require.NoError(t, err)
	for range 3 {
		info, err := cached.Stat(t.Context(), c.Ref)
		require.NoError(t, err)
		require.Equal(t, want, info)
		clear(info.Metadata)
	}
	require.Equal(t, meter.Counts{Stat: 1}, m.Count())
}

func TestMemoryIsBounded(t *testing.T) {
	db := memstore.New()
	contents := make([][]byte, 100)
	for i := range contents {
		contents[i] = bytes.Repeat([]byte{byte(i)}, 10<<10)
	}
	cs := stored(t, db, "order-1", contents...)
	dir := newFolder(t)
	cached := newCache(t, db, &cache.Options{Bytes: 200 << 10, Dir: dir, DirBytes: 300 << 10})
	for range 3 {
		for _, c := range cs {
			got, err := cached.Get(t.Context(), c.Ref, nil)
			require.NoError(t, err)
			require.Equal(t, c, got)
		}
	}
	size, files := folderSize(t, dir)
	require.LessOrEqual(t, size, int64(300<<10))
	require.Greater(t, files, 10)
	stats := cached.Stats()
	require.LessOrEqual(t, stats.Memory, int64(2*20), "no more than fit in 200 KiB, twice")
	require.EqualValues(t, 300, stats.Memory+stats.Disk+stats.Misses)

	again := newCache(t, db, &cache.Options{Bytes: -1, Dir: dir, DirBytes: 150 << 10})
	size, _ = folderSize(t, dir)
	require.LessOrEqual(t, size, int64(150<<10), "a smaller bound holds from the beginning")
	kept := 0
	for _, c := range cs {
		if _, err := os.Stat(filepath.Join(dir, "order-1", filepath.Base(c.ObjectName()))); err == nil {
			kept++
			_, err := again.Get(t.Context(), c.Ref, nil)
			require.NoError(t, err)
		}
	}
	require.Greater(t, kept, 5)
	require.Equal(t, cache.Stats{Disk: int64(kept)}, again.Stats(), "what is on disk outlives the process")
}

func folderSize(t *testing.T, dir string) (size int64, files int) {
	t.Helper()
	require.NoError(t, filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			size += info.Size()
			files++
		}
		return err
	}))
	return size, files
}

// A damaged file of any kind is treated as a missing one.
func TestDamagedFilesAreMisses(t *testing.T) {
	db := memstore.New()
	cs := stored(t, db, "order-1", []byte("the content"), []byte("another"))
	dir := newFolder(t)
	path := func(c changeset.Changeset) string {
		return filepath.Join(dir, "order-1", filepath.Base(c.ObjectName()))
	}
	read := func(what any) cache.Stats {
		cached := newCache(t, db, &cache.Options{Bytes: -1, Dir: dir})
		got, err := cached.Get(t.Context(), cs[0].Ref, nil)
		require.NoError(t, err, what)
		require.Equal(t, cs[0], got, what)
		return cached.Stats()
	}
	require.Equal(t, cache.Stats{Misses: 1}, read("nothing there"))
	require.Equal(t, cache.Stats{Disk: 1}, read("intact"))
	whole, err := os.ReadFile(path(cs[0]))
	require.NoError(t, err)

	damage := func(what any, with []byte) {
		require.NoError(t, os.WriteFile(path(cs[0]), with, 0o600))
		require.Equal(t, cache.Stats{Misses: 1}, read(what), what)
		repaired, err := os.ReadFile(path(cs[0]))
		require.NoError(t, err)
		require.Equal(t, whole, repaired)
	}
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 1
		damage(i, flipped)
	}
	for i := range whole {
		damage(i, whole[:i])
	}
	damage("longer", append(bytes.Clone(whole), 'x'))
	damage("endless line", bytes.Repeat([]byte("x"), 1<<20))
	other := newCache(t, db, &cache.Options{Bytes: -1, Dir: dir})
	_, err = other.Get(t.Context(), cs[1].Ref, nil)
	require.NoError(t, err)
	foreign, err := os.ReadFile(path(cs[1]))
	require.NoError(t, err)
	damage("another's", foreign)
}

// A folder that cannot be written fails no read.
func TestUnusableFolders(t *testing.T) {
	db := memstore.New()
	c := stored(t, db, "order-1", []byte("content"))[0]
	dir := newFolder(t)
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "order-1"), nil, 0o600)) // where a folder is to be
	cached := newCache(t, db, &cache.Options{Bytes: -1, Dir: dir})
	for range 2 {
		got, err := cached.Get(t.Context(), c.Ref, nil)
		require.NoError(t, err)
		require.Equal(t, c, got)
	}
	_, err := cache.New(db, &cache.Options{Dir: filepath.Join(dir, "order-1")})
	require.Error(t, err)
}

// A changeset that is damaged in the storage is not kept: it may be repaired.
func TestDamageIsNotKept(t *testing.T) {
	db := memstore.New()
	c := stored(t, db, "order-1", []byte("content"))[0]
	flip := func(all *memstore.Contents) { all.Objects[c.ObjectName()].Body[0] ^= 1 }
	db.Tamper(flip)
	cached := newCache(t, db, &cache.Options{Dir: newFolder(t)})
	got, err := cached.Get(t.Context(), c.Ref, nil)
	require.NoError(t, err)
	require.Error(t, got.VerifyBody(), "the reader says so")
	db.Tamper(flip)
	got, err = cached.Get(t.Context(), c.Ref, nil)
	require.NoError(t, err)
	require.NoError(t, got.VerifyBody())
}

func TestOneRequestForAllWhoMiss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, m := memstore.New(), meter.New(time.Second)
		c := stored(t, db, "order-1", []byte("content"))[0]
		cached := newCache(t, m.Changesets(db), &cache.Options{Bytes: -1}) // nothing but the flight
		var readers sync.WaitGroup
		for range 20 {
			readers.Go(func() {
				got, err := cached.Get(t.Context(), c.Ref, nil)
				if err != nil || !bytes.Equal(got.Body, []byte("content")) {
					t.Error(got, err)
				}
				clear(got.Body) // each has its own
			})
		}
		readers.Wait()
		require.Equal(t, meter.Counts{Get: 1}, m.Count())
	})
}

// A caller that waits for another's request does not suffer from the other's
// own troubles.
func TestWaitersStandAlone(t *testing.T) {
	for name, trouble := range map[string]struct {
		timeout   time.Duration
		admission changeset.Admission
	}{
		"its context ends": {time.Second / 2, nil},
		"it has no room":   {time.Hour, func(changeset.Header) error { return errors.New("full") }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db, m := memstore.New(), meter.New(time.Second)
				c := stored(t, db, "order-1", []byte("content"))[0]
				cached := newCache(t, m.Changesets(db), nil)
				var others sync.WaitGroup
				others.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), trouble.timeout)
					defer cancel()
					if _, err := cached.Get(ctx, c.Ref, trouble.admission); err == nil {
						t.Error("no error")
					}
				})
				synctest.Wait()
				admitted := 0
				got, err := cached.Get(t.Context(), c.Ref, func(changeset.Header) error { admitted++; return nil })
				require.NoError(t, err)
				require.Equal(t, c, got)
				require.Equal(t, 1, admitted)
				others.Wait()
				require.Equal(t, meter.Counts{Get: 2}, m.Count())
			})
		})
	}
	t.Run("an error of the storage is shared", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			db, script := memstore.New(), &faults.Script{}
			c := stored(t, db, "order-1", []byte("content"))[0]
			script.Next(faults.Get, faults.Fault{Kind: faults.Dropped, DelayBefore: time.Second})
			cached := newCache(t, script.Changesets(db), nil)
			var readers sync.WaitGroup
			for range 5 {
				readers.Go(func() {
					if _, err := cached.Get(t.Context(), c.Ref, nil); !errors.Is(err, faults.ErrInjected) {
						t.Error(err)
					}
				})
			}
			readers.Wait()
			_, err := cached.Get(t.Context(), c.Ref, nil)
			require.NoError(t, err, "and not kept")
		})
	})
}

func TestAdmissionIsAskedOnceBeforeTheContent(t *testing.T) {
	db := memstore.New()
	c := stored(t, db, "order-1", []byte("content"))[0]
	dir := newFolder(t)
	full := errors.New("full")
	for _, o := range []cache.Options{{}, {Bytes: -1, Dir: dir}, {Bytes: -1, Dir: dir}} {
		cached := newCache(t, db, &o)
		for range 2 {
			asked := 0
			_, err := cached.Get(t.Context(), c.Ref, func(changeset.Header) error { asked++; return full })
			require.Same(t, full, err)
			_, err = cached.Get(t.Context(), c.Ref, func(changeset.Header) error { asked++; return nil })
			require.NoError(t, err)
			require.Equal(t, 2, asked)
		}
	}
	// A file whose content is damaged is admitted before that is seen.
	files, err := filepath.Glob(filepath.Join(dir, "order-1", "*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	whole, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(files[0], append(whole[:len(whole)-1], 'x'), 0o600))
	asked := 0
	_, err = newCache(t, db, &cache.Options{Bytes: -1, Dir: dir}).Get(t.Context(), c.Ref, func(changeset.Header) error { asked++; return nil })
	require.NoError(t, err)
	require.Equal(t, 1, asked)
}

func TestForget(t *testing.T) {
	db, dir := memstore.New(), newFolder(t)
	secret, other := stored(t, db, "order-1", []byte("secret"))[0], stored(t, db, "order-10", []byte("other"))[0]
	cached := newCache(t, db, &cache.Options{Dir: dir})
	for _, c := range []changeset.Changeset{secret, other} {
		_, err := cached.Get(t.Context(), c.Ref, nil)
		require.NoError(t, err)
		_, err = cached.Stat(t.Context(), c.Ref)
		require.NoError(t, err)
		require.NoError(t, db.Delete(t.Context(), c.Ref)) // unseen by the cache
	}
	require.NoError(t, cached.Forget("order-1"))
	_, err := cached.Get(t.Context(), secret.Ref, nil)
	require.ErrorIs(t, err, changeset.ErrNotFound)
	_, err = cached.Stat(t.Context(), secret.Ref)
	require.ErrorIs(t, err, changeset.ErrNotFound)
	require.NoDirExists(t, filepath.Join(dir, "order-1"))
	_, err = cached.Get(t.Context(), other.Ref, nil)
	require.NoError(t, err)
	_, err = newCache(t, db, &cache.Options{Dir: dir}).Get(t.Context(), other.Ref, nil)
	require.NoError(t, err)
}

// A changeset that is read while its aggregate is forgotten is not kept.
func TestForgetDuringARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, m := memstore.New(), meter.New(time.Second)
		c := stored(t, db, "order-1", []byte("secret"))[0]
		cached := newCache(t, m.Changesets(db), &cache.Options{Dir: newFolder(t)})
		var reader sync.WaitGroup
		reader.Go(func() { _, _ = cached.Get(t.Context(), c.Ref, nil) })
		synctest.Wait()
		require.NoError(t, cached.Forget("order-1"))
		reader.Wait()
		require.NoError(t, db.Delete(t.Context(), c.Ref))
		_, err := cached.Get(t.Context(), c.Ref, nil)
		require.ErrorIs(t, err, changeset.ErrNotFound)
	})
}

func TestChainsShareOneCache(t *testing.T) {
	const n = 300
	db, m := memstore.New(), meter.New(0)
	plain := ropewalk.New(db, db, nil).Chain("order-1")
	var h head.Head
	for range n {
		var err error
		h, err = plain.Append(t.Context(), h, changeset.Draft{Content: make([]byte, 1000)})
		require.NoError(t, err)
	}
	store := ropewalk.New(newCache(t, m.Changesets(db), nil), db, nil)
	for range 3 {
		all, err := ropewalk.Collect(store.Chain("order-1").ReaderAt(h).Backward(t.Context()))
		require.NoError(t, err)
		require.Len(t, all, n)
	}
	require.Equal(t, meter.Counts{Get: n}, m.Count())
}

func TestCacheHasWhatItWraps(t *testing.T) {
	backendtest.TestChangesetDecorator(t, func(t testing.TB, inner changeset.Store) changeset.Store {
		cached, err := cache.New(inner, nil)
		require.NoError(t, err)
		return cached
	})
}
