package sqlitestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// creation is held while a file is created and its descriptor closed, which
// would drop the locks of any SQLite connection that this process opened on it
// in between.
var creation sync.Mutex

// findFile returns the absolute path of a file and its identity. It creates the
// file empty unless the file must exist. Only the owner may read a new file.
func findFile(path string, mustExist bool) (absolute string, info fs.FileInfo, err error) {
	if path == "" {
		return "", nil, fmt.Errorf("open store: the path is empty")
	}
	if absolute, err = filepath.Abs(path); err != nil {
		return "", nil, fmt.Errorf("open store: %w", err)
	}
	if !mustExist {
		if err := createFile(absolute); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", nil, missing(absolute, fmt.Errorf("create store: %w", err))
		}
	}
	info, err = os.Stat(absolute)
	switch {
	case err != nil:
		return "", nil, missing(absolute, fmt.Errorf("open store: %w", err))
	case !info.Mode().IsRegular():
		return "", nil, fmt.Errorf("%s: %w: not a regular file", absolute, ErrNotRopewalk)
	}
	return absolute, info, nil
}

// createFile creates an empty file, or returns an error that matches [fs.ErrExist].
func createFile(path string) error {
	creation.Lock()
	defer creation.Unlock()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// MissingError says which part of a path does not exist. It matches
// [fs.ErrNotExist].
type MissingError struct {
	// Path is the file that was to be opened or created.
	Path string
	// Folder is the folder that does not exist, and empty if that is not the reason.
	Folder string
	// Target is where the symbolic link at Path points, and empty if Path is no link.
	Target string
}

// Error says what does not exist.
func (e *MissingError) Error() string {
	switch {
	case e.Folder != "":
		return fmt.Sprintf("folder %s does not exist", e.Folder)
	case e.Target != "":
		return fmt.Sprintf("%s is a symbolic link to %s, which does not exist", e.Path, e.Target)
	default:
		return fmt.Sprintf("%s does not exist", e.Path)
	}
}

// Unwrap returns [fs.ErrNotExist].
func (e *MissingError) Unwrap() error { return fs.ErrNotExist }

// missing makes a [*MissingError] of an error that matches [fs.ErrNotExist].
func missing(path string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	e := &MissingError{Path: path}
	if folder := filepath.Dir(path); !exists(folder) {
		e.Folder = folder
	} else if target, err := os.Readlink(path); err == nil {
		e.Target = target
	}
	return e
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// resolve follows symbolic links, as SQLite does before it names the -wal file.
func resolve(path string) (string, error) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", missing(path, fmt.Errorf("open store: %w", err))
	}
	return target, nil
}
