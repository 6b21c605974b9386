package sqlitestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// files are the files that an open store uses: the database at its path, and
// the -wal and -shm files that SQLite keeps beside it. If one of them is
// removed or replaced, the store's writes are lost with its old files, and may
// damage the new files.
type files []file

type file struct {
	path string
	info fs.FileInfo
}

// openFiles returns the files of a store that is open, whose database was at
// path before SQLite opened it. It follows links, as SQLite does.
func openFiles(path, target string, before fs.FileInfo) (files, error) {
	all := files{{path, before}}
	for _, name := range []string{walOf(target), shmOf(target)} {
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrReplaced, err)
		}
		all = append(all, file{name, info})
	}
	return all, all.check()
}

// check returns an error that matches [ErrReplaced] unless each file is still
// the file with its name.
func (all files) check() error {
	for _, f := range all {
		now, err := os.Stat(f.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%w: %s does not exist", ErrReplaced, f.path)
		case err != nil:
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		case !os.SameFile(f.info, now):
			return fmt.Errorf("%w: %s is another file", ErrReplaced, f.path)
		}
	}
	return nil
}

// walOf and shmOf name the files beside a database.
func walOf(path string) string { return path + "-wal" }

func shmOf(path string) string { return path + "-shm" }
