package sqlitestore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// backedUp returns the path of a closed store with two appends, and a backup of
// the first.
func backedUp(t *testing.T) (path, backup string, first, second head.Head) {
	t.Helper()
	s := open(t)
	first = appendTo(t, s, head.Head{}, "order-1", "one")
	backup = filepath.Join(t.TempDir(), "backup.db")
	require.NoError(t, s.Backup(t.Context(), backup))
	second = appendTo(t, s, first, "order-1", "two")
	require.NoError(t, s.Close())
	return s.path, backup, first, second
}

func requireHead(t *testing.T, path string, want head.Head) {
	t.Helper()
	s := openAt(t, path, &Options{MustExist: true})
	got, err := s.Load(t.Context(), "order-1")
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.NoError(t, s.Close())
}

// requireFiles demands that the folder of the store holds these files alone.
func requireFiles(t *testing.T, path string, suffixes ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	var got, want []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	for _, suffix := range suffixes {
		want = append(want, filepath.Base(path)+suffix)
	}
	require.ElementsMatch(t, want, got)
}

func TestRestore(t *testing.T) {
	path, backup, first, second := backedUp(t)
	before, err := os.ReadFile(backup)
	require.NoError(t, err)
	former, err := Restore(t.Context(), backup, path)
	require.NoError(t, err)
	require.Equal(t, path+".before-restore-1", former)
	requireHead(t, path, first)
	requireHead(t, former, second)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	after, err := os.ReadFile(backup)
	require.NoError(t, err)
	require.Equal(t, before, after)
	requireFiles(t, backup, "")
	requireFiles(t, path, "", ".before-restore-1")

	former, err = Restore(t.Context(), former, path)
	require.NoError(t, err)
	require.Equal(t, path+".before-restore-2", former)
	requireHead(t, path, second)
}

func TestRestoreToANewPlace(t *testing.T) {
	_, backup, first, _ := backedUp(t)
	path := filepath.Join(t.TempDir(), "new.db")
	former, err := Restore(t.Context(), backup, path)
	require.NoError(t, err)
	require.Empty(t, former)
	requireFiles(t, path, "")
	requireHead(t, path, first)
}

// TestRestoreAfterAKill: the -wal file of a killed program goes with its store.
func TestRestoreAfterAKill(t *testing.T) {
	path, last := crashed(t)
	_, backup, first, _ := backedUp(t)
	former, err := Restore(t.Context(), backup, path)
	require.NoError(t, err)
	requireHead(t, path, first)
	requireHead(t, former, last)

	path, _ = crashed(t)
	require.NoError(t, os.Remove(path)) // only the -wal file is left
	former, err = Restore(t.Context(), backup, path)
	require.NoError(t, err)
	require.FileExists(t, walOf(former))
	requireHead(t, path, first)
}

// TestRestoreOfAFileWithAWAL: the backup is a copy of all files of a killed
// program.
func TestRestoreOfAFileWithAWAL(t *testing.T) {
	backup, last := crashed(t)
	path := filepath.Join(t.TempDir(), "new.db")
	_, err := Restore(t.Context(), backup, path)
	require.NoError(t, err)
	requireHead(t, path, last)
}

// TestRestoreOverDamage: the former store need not be sound.
func TestRestoreOverDamage(t *testing.T) {
	for name, content := range map[string]string{"text": "This is a letter to my aunt, and it is long enough.", "empty": ""} {
		_, backup, first, _ := backedUp(t)
		path := filepath.Join(t.TempDir(), "ropewalk.db")
		write(t, path, content)
		former, err := Restore(t.Context(), backup, path)
		require.NoError(t, err, name)
		kept, err := os.ReadFile(former)
		require.NoError(t, err)
		require.Equal(t, content, string(kept))
		requireHead(t, path, first)
	}
}

// TestRestoreWhileInUse: the store is open in this process or in another, with
// appends or without.
func TestRestoreWhileInUse(t *testing.T) {
	path, backup, _, second := backedUp(t)
	s := openAt(t, path, nil)
	_, err := Restore(t.Context(), backup, path)
	require.ErrorIs(t, err, ErrBusy)
	require.ErrorContains(t, err, "has the store open")
	requireFiles(t, path, "", "-wal", "-shm")
	h := appendTo(t, s, second, "order-1", "three")
	require.NoError(t, s.Close())

	p := start(t, "appender", path)
	require.True(t, p.stdout.Scan())
	_, err = Restore(t.Context(), backup, path)
	require.ErrorIs(t, err, ErrBusy)
	require.NoError(t, p.Process.Kill())
	p.lines()
	_ = p.Wait()
	former, err := Restore(t.Context(), backup, path)
	require.NoError(t, err)
	requireHead(t, former, h)
}

// TestRestoreOfSomethingElse: the backup is refused, and the store stays.
func TestRestoreOfSomethingElse(t *testing.T) {
	path, backup, _, second := backedUp(t)
	text := filepath.Join(t.TempDir(), "text.db")
	write(t, text, "This is a letter to my aunt, and it is long enough.")
	empty := filepath.Join(t.TempDir(), "empty.db")
	write(t, empty, "")
	damagedBackup := filepath.Join(t.TempDir(), "damaged.db")
	copyFile(t, backup, damagedBackup)
	overwrite(t, damagedBackup, 4096, 3*4096)
	foreign := filepath.Join(t.TempDir(), "foreign.db")
	copyFile(t, backup, foreign)
	conn := raw(t, foreign)
	conn.run(t, "CREATE TRIGGER g AFTER INSERT ON changesets BEGIN DELETE FROM heads; END")
	require.NoError(t, conn.Close())
	for _, other := range []struct {
		path string
		want error
	}{{text, ErrNotRopewalk}, {empty, ErrNotRopewalk}, {damagedBackup, nil}, {foreign, nil}, {filepath.Join(path, "x"), nil}, {text + "2", fs.ErrNotExist}, {path, nil}} {
		_, err := Restore(t.Context(), other.path, path)
		require.Error(t, err, other.path)
		if other.want != nil {
			require.ErrorIs(t, err, other.want)
		}
		if other.path == damagedBackup || other.path == foreign {
			require.ErrorAs(t, err, new(*changeset.CorruptError))
		}
		requireFiles(t, path, "")
	}
	requireHead(t, path, second)
	_, err := Restore(t.Context(), backup, filepath.Join(t.TempDir(), "missing", "x.db"))
	var gone *MissingError
	require.True(t, errors.As(err, &gone))
	require.NotEmpty(t, gone.Folder)
}

func TestRestoreThroughALink(t *testing.T) {
	path, backup, first, _ := backedUp(t)
	link := filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Symlink(path, link))
	former, err := Restore(t.Context(), backup, link)
	require.NoError(t, err)
	require.Equal(t, path+".before-restore-1", former)
	requireHead(t, path, first)
	requireHead(t, link, first)
}
