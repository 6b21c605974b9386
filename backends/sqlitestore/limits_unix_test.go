//go:build unix

package sqlitestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
)

func init() {
	roles["filler"] = appendToTheLimit
	roles["stranger"] = openAsAStranger
}

// appendToTheLimit appends under a limit to the size of files until that
// fails, and once more when the limit is gone.
func appendToTheLimit(path string) error {
	signal.Ignore(syscall.SIGXFSZ) // writes then fail, as on a full disk
	s, err := Open(path, nil)
	if err != nil {
		return err
	}
	var unlimited syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &unlimited); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 300_000, Max: unlimited.Max}); err != nil {
		return err
	}
	h, err := fill(s, head.Head{}, "order-1")
	fmt.Printf("%d %v\n", h.Version, err)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &unlimited); err != nil {
		return err
	}
	if h, err = tryAppend(s, h, "order-1", "more"); err != nil {
		return err
	}
	fmt.Println(h.Version)
	return nil // without closing, as if it had been killed
}

// TestFileThatCannotGrow lets the operating system refuse to write more.
func TestFileThatCannotGrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ropewalk.db")
	p := start(t, "filler", path)
	lines := p.lines()
	require.NoError(t, p.Wait())
	require.Len(t, lines, 2)
	var full, more uint64
	_, err := fmt.Sscanf(lines[0]+" "+lines[1], "%d %s", &full, new(string))
	require.NoError(t, err, "the append that did not fit must fail: %s", lines[0])
	_, err = fmt.Sscan(lines[1], &more)
	require.NoError(t, err)
	require.Contains(t, lines[0], "I/O error")
	require.Greater(t, full, uint64(10))
	require.Equal(t, full+1, more)

	s := openAt(t, path, &Options{MustExist: true})
	h, err := s.Load(t.Context(), "order-1")
	require.NoError(t, err)
	require.Equal(t, more, h.Version)
	requireSoundAfterKills(t, path, map[string]head.Head{"order-1": h})
}

// openAsAStranger opens a file that it may not write.
func openAsAStranger(path string) error {
	if os.Getuid() == 0 { // root may write everything
		if err := errors.Join(syscall.Setgid(65534), syscall.Setuid(65534)); err != nil {
			return err
		}
	}
	s, err := Open(path, nil)
	if err == nil {
		_, err = tryAppend(s, head.Head{}, "order-2", "two")
	}
	fmt.Println(errors.Is(err, ErrUnavailable), errors.Is(err, fs.ErrPermission), err)
	return nil
}

// TestReadOnly: what may not be written is refused, and stays as it is.
func TestReadOnly(t *testing.T) {
	for name, modes := range map[string][2]fs.FileMode{"file": {0o755, 0o444}, "folder": {0o555, 0o444}} {
		t.Run(name, func(t *testing.T) {
			folder, err := os.MkdirTemp("", "ropewalk-read-only-") // where strangers may look
			require.NoError(t, err)
			path := filepath.Join(folder, "ropewalk.db")
			t.Cleanup(func() { require.NoError(t, errors.Join(os.Chmod(folder, 0o700), os.RemoveAll(folder))) })
			s, err := Open(path, nil)
			require.NoError(t, err)
			h := appendTo(t, s, head.Head{}, "order-1", "one")
			require.NoError(t, s.Close())
			before, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, errors.Join(os.Chmod(path, modes[1]), os.Chmod(folder, modes[0])))

			p := start(t, "stranger", path)
			lines := p.lines()
			require.NoError(t, p.Wait())
			require.Len(t, lines, 1)
			require.Contains(t, lines[0], "true true ")
			require.Contains(t, lines[0], "readonly")
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, before, after)

			require.NoError(t, errors.Join(os.Chmod(folder, 0o755), os.Chmod(path, 0o600)))
			requireSoundAfterKills(t, path, map[string]head.Head{"order-1": h})
		})
	}
}

// TestFilesThatCannotBeLookedAt: what is at such a path is unknown, and not said to be
// another file.
func TestFilesThatCannotBeLookedAt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	info, err := os.Stat(file)
	require.NoError(t, err)
	err = files{{filepath.Join(file, "ropewalk.db"), info}}.check()
	require.ErrorIs(t, err, ErrUnavailable)
	require.NotErrorIs(t, err, ErrReplaced)
}
