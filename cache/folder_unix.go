//go:build unix

package cache

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// openFlags keep an open from following a symbolic link and from waiting for the
// other end of a pipe: either can replace the file after Lstat.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// openToOthers says how other users can write to a folder; empty if they cannot.
func openToOthers(info fs.FileInfo) string {
	if owner := info.Sys().(*syscall.Stat_t).Uid; int64(owner) != int64(os.Geteuid()) {
		return fmt.Sprintf("belongs to user %d, not to user %d", owner, os.Geteuid())
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Sprintf("can be written by other users (mode %04o)", mode)
	}
	return ""
}
