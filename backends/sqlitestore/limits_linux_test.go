package sqlitestore

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
)

// TestFullDisk fills a small file system, which only root can make: COMMIT is
// the first statement that writes, so it is COMMIT that fails.
func TestFullDisk(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mount("none", folder, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("no file system of its own: ", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(folder, syscall.MNT_DETACH)) })
	path := filepath.Join(folder, "ropewalk.db")
	s, err := Open(path, nil)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "ballast"), make([]byte, 500_000), 0o600))
	h, err := fill(s, head.Head{}, "order-1")
	requireRefused(t, err, false)
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Greater(t, h.Version, uint64(2), "it was full from the beginning")
	loaded, err := s.Load(t.Context(), "order-1")
	require.NoError(t, err)
	require.Equal(t, h, loaded)

	require.NoError(t, os.Remove(filepath.Join(folder, "ballast")))
	h = appendTo(t, s, h, "order-1", "more")
	require.NoError(t, s.Close())
	requireSoundAfterKills(t, path, map[string]head.Head{"order-1": h})
}
