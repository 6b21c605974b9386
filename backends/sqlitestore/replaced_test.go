package sqlitestore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
)

// TestReplacedWhileOpen removes or replaces a file of an open store. No write is
// acknowledged after that, in a file that no longer has the store's name.
func TestReplacedWhileOpen(t *testing.T) {
	remove := func(suffix string) func(*testing.T, string) {
		return func(t *testing.T, path string) { require.NoError(t, os.Remove(path+suffix)) }
	}
	for name, replace := range map[string]func(*testing.T, string){
		"removed":     remove(""),
		"wal removed": remove("-wal"),
		"shm removed": remove("-shm"),
		"another store": func(t *testing.T, path string) {
			other := openAt(t, filepath.Join(t.TempDir(), "other.db"), nil)
			appendTo(t, other, head.Head{}, "order-2", "two")
			require.NoError(t, other.Close())
			require.NoError(t, os.Rename(other.path, path))
		},
		"all removed": func(t *testing.T, path string) {
			for _, name := range []string{path, path + "-wal", path + "-shm"} {
				require.NoError(t, os.Remove(name))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(filepath.Join(t.TempDir(), "ropewalk.db"), nil)
			require.NoError(t, err)
			h := appendTo(t, s, head.Head{}, "order-1", "one")
			replace(t, s.path)

			changesets, next := extend(t, h, "order-1", "two")
			_, err = s.Commit(t.Context(), changesets, h, next)
			requireRefused(t, err, false)
			require.ErrorIs(t, err, ErrReplaced)
			_, err = s.Commit(t.Context(), changesets, head.Head{}, next) // would conflict
			requireRefused(t, err, false)
			require.ErrorIs(t, s.Put(t.Context(), changesets[0]), ErrReplaced)
			require.ErrorIs(t, s.Delete(t.Context(), h.Ref), ErrReplaced)
			require.ErrorIs(t, s.Provision(t.Context()), ErrReplaced)
			_, err = s.Check(t.Context())
			require.ErrorIs(t, err, ErrReplaced)
			require.ErrorIs(t, s.Backup(t.Context(), s.path+".copy"), ErrReplaced)
			require.NoFileExists(t, s.path+".copy")
			require.ErrorIs(t, s.Close(), ErrReplaced)
		})
	}
}

// TestReplacedByALink: a link that points to another file now.
func TestReplacedByALink(t *testing.T) {
	one, two := open(t), open(t)
	link := filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Symlink(one.path, link))
	s, err := Open(link, nil)
	require.NoError(t, err)
	h := appendTo(t, s, head.Head{}, "order-1", "one")
	require.NoError(t, errors.Join(os.Remove(link), os.Symlink(two.path, link)))
	_, err = tryAppend(s, h, "order-1", "two")
	require.ErrorIs(t, err, ErrReplaced)
	require.ErrorIs(t, s.Close(), ErrReplaced)
	appendTo(t, one, h, "order-1", "two")
}

// TestReplacedStoreIsLeftAlone: a store whose file was replaced closes, and
// leaves alone the -wal file of the program that uses the new file.
func TestReplacedStoreIsLeftAlone(t *testing.T) {
	old, err := Open(filepath.Join(t.TempDir(), "ropewalk.db"), nil)
	require.NoError(t, err)
	appendTo(t, old, head.Head{}, "order-1", "one")
	for _, name := range []string{old.path, walOf(old.path), shmOf(old.path)} {
		require.NoError(t, os.Rename(name, name+".moved"))
	}
	s, err := Open(old.path, nil)
	require.NoError(t, err)
	h := appendTo(t, s, head.Head{}, "order-2", strings.Repeat("x", 10_000))
	require.ErrorIs(t, old.Close(), ErrReplaced)
	h = appendTo(t, s, h, "order-2", "two")
	require.NoError(t, s.Close())
	requireSoundAfterKills(t, s.path, map[string]head.Head{"order-2": h})
}

// TestReadersOfAReplacedFile: connections that are opened later do not read the
// other file.
func TestReadersOfAReplacedFile(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "ropewalk.db"), nil)
	require.NoError(t, err)
	h := appendTo(t, s, head.Head{}, "order-1", "one")
	other := open(t)
	require.NoError(t, os.Rename(other.path, s.path))
	s.reader.db.SetMaxIdleConns(0) // closes the open connections
	for _, err := range []error{
		func() error { _, err := s.Load(t.Context(), "order-1"); return err }(),
		func() error { _, err := s.Get(t.Context(), h.Ref, nil); return err }(),
	} {
		require.ErrorIs(t, err, ErrReplaced)
	}
	require.ErrorIs(t, s.Close(), ErrReplaced)
	require.NoError(t, os.Rename(s.path, other.path)) // so that the other closes well
}
