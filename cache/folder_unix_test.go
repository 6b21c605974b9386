//go:build unix

package cache_test

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/cache"
	"ropewalk/changeset"
)

// A folder that other users can write to is refused, at any depth, with what to
// do about it.
func TestFolderOfOthersIsRefused(t *testing.T) {
	for _, below := range []string{"", "order-1"} {
		for _, mode := range []os.FileMode{0o777, 0o770, 0o720, 0o702, os.ModeSticky | 0o777} {
			dir := filepath.Join(t.TempDir(), "cache")
			require.NoError(t, os.MkdirAll(filepath.Join(dir, below), 0o700))
			require.NoError(t, os.Chmod(filepath.Join(dir, below), mode))
			_, err := cache.New(memstore.New(), &cache.Options{Dir: dir})
			require.ErrorContains(t, err, filepath.Join(dir, below)+" can be written by other users", mode)
			require.ErrorContains(t, err, "chmod go-w")

			require.NoError(t, os.Chmod(filepath.Join(dir, below), 0o755))
			_, err = cache.New(memstore.New(), &cache.Options{Dir: dir})
			require.NoError(t, err)
		}
	}
}

func TestFolderOfAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	dir := newFolder(t)
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.Chown(dir, 65534, 65534))
	_, err := cache.New(memstore.New(), &cache.Options{Dir: dir})
	require.ErrorContains(t, err, "belongs to user 65534, not to user 0")
}

// The folder that a cache makes is closed to others under every umask.
func TestFolderIsMadeClosed(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	dir := filepath.Join(t.TempDir(), "a", "cache")
	db := memstore.New()
	c := stored(t, db, "order-1", []byte("content"))[0]
	_, err := newCache(t, db, &cache.Options{Dir: dir}).Get(t.Context(), c.Ref, nil)
	require.NoError(t, err)
	newCache(t, db, &cache.Options{Dir: dir})
}

// A Get neither waits for nor follows anything else than a regular file: the
// changeset comes from the storage.
func TestOnlyRegularFilesAreRead(t *testing.T) {
	for name, place := range map[string]func(t *testing.T, path string){
		"FIFO":   func(t *testing.T, path string) { require.NoError(t, syscall.Mkfifo(path, 0o600)) },
		"socket": placeSocket,
		"folder": func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o700)) },
		"full folder": func(t *testing.T, path string) {
			require.NoError(t, os.MkdirAll(filepath.Join(path, "x"), 0o700))
		},
		"link to a FIFO": func(t *testing.T, path string) {
			other := filepath.Join(t.TempDir(), "fifo")
			require.NoError(t, syscall.Mkfifo(other, 0o600))
			require.NoError(t, os.Symlink(other, path))
		},
		"link to a file": func(t *testing.T, path string) {
			other := filepath.Join(t.TempDir(), "file")
			require.NoError(t, os.Rename(path+".whole", other))
			require.NoError(t, os.Symlink(other, path))
		},
		"link to a device": func(t *testing.T, path string) { require.NoError(t, os.Symlink("/dev/zero", path)) },
		"dangling link":    func(t *testing.T, path string) { require.NoError(t, os.Symlink("nowhere", path)) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, late := range []bool{false, true} { // placed before the cache is made, or after
				requireStorage(t, late, place)
			}
		})
	}
}

func requireStorage(t *testing.T, late bool, place func(t *testing.T, path string)) {
	db, dir := memstore.New(), newFolder(t)
	c := stored(t, db, "order-1", []byte("content"))[0]
	_, err := newCache(t, db, &cache.Options{Bytes: -1, Dir: dir}).Get(t.Context(), c.Ref, nil)
	require.NoError(t, err)
	path := filepath.Join(dir, "order-1", filepath.Base(c.ObjectName()))
	replace := func() {
		require.NoError(t, os.Rename(path, path+".whole"))
		place(t, path)
	}
	if !late {
		replace()
	}
	cached := newCache(t, db, &cache.Options{Bytes: -1, Dir: dir})
	if late {
		replace()
	}
	for range 2 {
		got, err := getInTime(t, cached, c.Ref)
		require.NoError(t, err)
		require.Equal(t, c, got)
	}
	require.Positive(t, cached.Stats().Misses, "the first came from the storage")
}

// getInTime fails the test if a Get does not end.
func getInTime(t *testing.T, cached *cache.Cache, ref changeset.Ref) (got changeset.Changeset, err error) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		got, err = cached.Get(t.Context(), ref, nil)
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		require.FailNow(t, "Get hangs")
	}
	return got, err
}

func placeSocket(t *testing.T, path string) {
	t.Chdir(filepath.Dir(path)) // the path of a socket is short
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", "s")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	require.NoError(t, os.Rename("s", path))
}

// The folder stays the same if the working directory changes, and may be named
// by a symbolic link.
func TestFolderIsResolvedOnce(t *testing.T) {
	db, at := memstore.New(), t.TempDir()
	c := stored(t, db, "order-1", []byte("content"))[0]
	t.Chdir(at)
	require.NoError(t, os.MkdirAll("real", 0o700))
	require.NoError(t, os.Symlink("real", "link"))
	cached := newCache(t, db, &cache.Options{Bytes: -1, Dir: "link"})
	t.Chdir(t.TempDir())
	_, err := cached.Get(t.Context(), c.Ref, nil)
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(at, "real", "order-1", filepath.Base(c.ObjectName())))
	again := newCache(t, db, &cache.Options{Bytes: -1, Dir: filepath.Join(at, "link")})
	_, err = again.Get(t.Context(), c.Ref, nil)
	require.NoError(t, err)
	require.Equal(t, cache.Stats{Disk: 1}, again.Stats())
}
