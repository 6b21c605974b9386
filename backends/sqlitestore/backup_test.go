package sqlitestore

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"ropewalk/head"
)

// TestBackupWhileWriting copies a store while appends go on: each copy is
// whole, and holds all that was acknowledged before it began.
func TestBackupWhileWriting(t *testing.T) {
	s := open(t)
	h := appendTo(t, s, head.Head{}, "order-1", "one")
	ctx, stop := context.WithCancel(t.Context())
	var writing errgroup.Group
	last := h
	writing.Go(func() (err error) {
		for ctx.Err() == nil && err == nil {
			last, err = tryAppend(s, last, "order-1", "more", "and more")
		}
		return err
	})
	for range 5 {
		before, err := s.Load(t.Context(), "order-1")
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "copy.db")
		require.NoError(t, s.Backup(t.Context(), path))

		findings, err := CheckFile(t.Context(), path)
		require.NoError(t, err)
		require.Empty(t, findings)
		copied := openAt(t, path, &Options{MustExist: true})
		h, err := copied.Load(t.Context(), "order-1")
		require.NoError(t, err)
		require.GreaterOrEqual(t, h.Version, before.Version)
		requireChain(t, copied, h, head.Head{})
		appendTo(t, copied, h, "order-1", "the copy goes its own way")
	}
	stop()
	require.NoError(t, writing.Wait())
	requireChain(t, s, last, head.Head{})
}

func TestBackupOverwritesNothing(t *testing.T) {
	s := open(t)
	path := filepath.Join(t.TempDir(), "copy.db")
	write(t, path, "mine")
	require.ErrorIs(t, s.Backup(t.Context(), path), fs.ErrExist)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "mine", string(content))
	require.ErrorIs(t, s.Backup(t.Context(), s.path), fs.ErrExist)
}

func TestBackupThatFailsLeavesNoFile(t *testing.T) {
	s := open(t)
	path := filepath.Join(t.TempDir(), "copy.db")
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	require.ErrorIs(t, s.Backup(ctx, path), context.DeadlineExceeded)
	require.NoFileExists(t, path)
	require.ErrorIs(t, s.Backup(t.Context(), filepath.Join(path, "x")), fs.ErrNotExist)
}
