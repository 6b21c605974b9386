package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// errNotRegular means that a name in the folder is not an ordinary file.
var errNotRegular = errors.New("not a regular file")

// prepareFolder makes the folder if it is missing, and returns its absolute path
// without symbolic links, which a later change of the working directory leaves valid.
func prepareFolder(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(dir)
}

// checkFolder returns an error if other users can write to a folder: they could
// replace what the cache returns.
func checkFolder(path string, info fs.FileInfo) error {
	if problem := openToOthers(info); problem != "" {
		return fmt.Errorf("folder %s %s: run the cache as its owner and remove the others' access (chmod go-w), "+
			"or name a folder inside it, which is then created", path, problem)
	}
	return nil
}

// openRegular opens a regular file. It never waits for a pipe's other end, and
// opens no device.
func openRegular(path string) (*os.File, error) {
	before, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, errNotRegular
	}
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	after, err := f.Stat()
	if err == nil && !os.SameFile(before, after) { // replaced between the two calls
		err = errNotRegular
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
