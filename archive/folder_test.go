package archive_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/archive"
	"ropewalk/archive/archivetest"
	"ropewalk/internal/finding"
)

func TestFolderIsADestination(t *testing.T) {
	archivetest.TestDestination(t, func(t *testing.T) archive.Destination {
		return archive.NewFolder(filepath.Join(t.TempDir(), "archive"))
	})
}

// The files of an archive are for the owner alone, and nothing else is left in the
// folder.
func TestFilesOfFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive")
	f := archive.NewFolder(path)
	require.NoError(t, f.Create(t.Context(), "day=1/a.parquet", []byte("content")))
	require.ErrorIs(t, f.Create(t.Context(), "day=1/a.parquet", []byte("content")), fs.ErrExist)
	entries, err := os.ReadDir(filepath.Join(path, "day=1"))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	info, err := entries[0].Info()
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())
}

// No reader sees a part of a file, while it is being written.
func TestFolderShowsWholeFiles(t *testing.T) {
	f := archive.NewFolder(t.TempDir())
	content := bytes.Repeat([]byte("x"), 1<<20)
	ctx, cancel := context.WithCancel(t.Context())
	var reader sync.WaitGroup
	reader.Go(func() {
		for ctx.Err() == nil {
			if got, err := f.Read(t.Context(), "a", 1<<20); err == nil && len(got) != len(content) {
				t.Errorf("%d bytes", len(got))
			}
			for name := range f.List(t.Context(), "") {
				if name != "a" && !strings.HasSuffix(name, ".tmp") {
					t.Error(name)
				}
			}
		}
	})
	for range 50 {
		require.NoError(t, f.Create(t.Context(), "a", content))
		require.NoError(t, f.Delete(t.Context(), "a"))
	}
	cancel()
	reader.Wait()
}

// What only people can change is an error with a hint.
func TestFolderThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for path, want := range map[string]string{
		filepath.Join(dir, "missing", "archive"): "there is no folder " + filepath.Join(dir, "missing"),
		file:                                     "cannot be used",
		filepath.Join(file, "archive"):           "cannot be used",
	} {
		var setup *finding.SetupError
		require.ErrorAs(t, archive.NewFolder(path).Create(t.Context(), "a/b", nil), &setup, path)
		require.Contains(t, setup.What, want)
		require.NotEmpty(t, setup.Hint)
	}
	for _, err := range archive.NewFolder(file).List(t.Context(), "") {
		var setup *finding.SetupError
		require.ErrorAs(t, err, &setup)
		return
	}
	require.Fail(t, "a file is listed as an empty folder")
}
