package sqlitestore

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// crashed returns the path of a store whose program was killed: its -wal file
// holds appends that the database file does not.
func crashed(t *testing.T) (path string, last head.Head) {
	t.Helper()
	s := open(t)
	h := head.Head{}
	for range 20 {
		h = appendTo(t, s, h, "order-1", strings.Repeat("x", 3000))
	}
	path = filepath.Join(t.TempDir(), "ropewalk.db")
	for _, suffix := range []string{"", "-wal"} {
		copyFile(t, s.path+suffix, path+suffix)
	}
	return path, h
}

// copyFile copies over an existing file, as cp does.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	require.NoError(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = io.Copy(out, in)
	require.NoError(t, err)
	require.NoError(t, out.Close())
}

// TestStaleWAL restores a backup over the file of a killed program, beside its
// -wal file. The store refuses to open it, and changes nothing.
func TestStaleWAL(t *testing.T) {
	path, _ := crashed(t)
	other := open(t)
	kept := appendTo(t, other, head.Head{}, "order-2", "two")
	backup := filepath.Join(t.TempDir(), "backup.db")
	require.NoError(t, other.Backup(t.Context(), backup))
	copyFile(t, backup, path)
	before, err := os.ReadFile(walOf(path))
	require.NoError(t, err)

	_, err = Open(path, nil)
	require.ErrorIs(t, err, ErrForeignWAL)
	require.ErrorAs(t, err, new(*changeset.CorruptError))
	require.ErrorContains(t, err, "belongs to another database")
	require.ErrorContains(t, err, walOf(path))
	requireFinding(t, path, "belongs to another database")
	_, err = Restore(t.Context(), backup, path)
	require.ErrorContains(t, err, "belongs to another database")
	requireSame(t, backup, path)
	after, err := os.ReadFile(walOf(path))
	require.NoError(t, err)
	require.Equal(t, before, after)

	// The advice in the error helps.
	require.NoError(t, os.Remove(walOf(path)))
	_ = os.Remove(shmOf(path))
	s := openAt(t, path, &Options{MustExist: true})
	h, err := s.Load(t.Context(), "order-2")
	require.NoError(t, err)
	require.Equal(t, kept, h)
}

// TestStaleWALOfItsOwnBackup: the -wal file is from the store of the backup.
func TestStaleWALOfItsOwnBackup(t *testing.T) {
	path, _ := crashed(t)
	original := filepath.Join(t.TempDir(), "original.db")
	for _, suffix := range []string{"", "-wal"} {
		copyFile(t, path+suffix, original+suffix)
	}
	s := openAt(t, original, nil)
	backup := filepath.Join(t.TempDir(), "backup.db")
	require.NoError(t, s.Backup(t.Context(), backup))
	require.NoError(t, openAt(t, backup, nil).Close()) // which was looked at
	copyFile(t, backup, path)
	_, err := Open(path, nil)
	require.ErrorContains(t, err, "belongs to another database")
}

// TestWALOfACrashIsReplayed: the -wal file of the file itself, also after the
// schema was changed and the file vacuumed by other programs.
func TestWALOfACrashIsReplayed(t *testing.T) {
	path, h := crashed(t)
	requireSoundAfterKills(t, path, map[string]head.Head{"order-1": h})

	s := open(t)
	h = appendTo(t, s, head.Head{}, "order-1", strings.Repeat("x", 3000))
	raw(t, s.path).run(t, "VACUUM", "CREATE VIEW v AS SELECT 1", "VACUUM", "DROP VIEW v", "VACUUM")
	copied := filepath.Join(t.TempDir(), "ropewalk.db")
	for _, suffix := range []string{"", "-wal"} {
		copyFile(t, s.path+suffix, copied+suffix)
	}
	requireSoundAfterKills(t, copied, map[string]head.Head{"order-1": h})
}

// TestStampsDiffer: no two stores, and no store and its backup, share a stamp.
func TestStampsDiffer(t *testing.T) {
	seen := map[int64]string{}
	note := func(path string) {
		n, err := stamp(t.Context(), path, "immutable")
		require.NoError(t, err)
		require.Greater(t, n, int64(stampTolerance))
		require.Empty(t, seen[n], path)
		seen[n] = path
	}
	for range 3 {
		s := open(t)
		appendTo(t, s, head.Head{}, "order-1", "one")
		for i := range 2 {
			backup := filepath.Join(t.TempDir(), fmt.Sprintf("backup-%d.db", i))
			require.NoError(t, s.Backup(t.Context(), backup))
			note(backup)
		}
		require.NoError(t, s.Close())
		note(s.path)
	}
}

func requireSame(t *testing.T, want, got string) {
	t.Helper()
	a, err := os.ReadFile(want)
	require.NoError(t, err)
	b, err := os.ReadFile(got)
	require.NoError(t, err)
	require.Equal(t, a, b)
}
