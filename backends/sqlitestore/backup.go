package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Backup writes a copy of the store as of one moment to a new file at path,
// for its owner only, and returns once it is on the disk. The store may be in
// use meanwhile, by this process and others. An existing file is an error that
// matches [io/fs.ErrExist] and is left as it is; after any other error there
// is no file. A backup that is killed leaves an unfinished file behind.
func (s *Store) Backup(ctx context.Context, path string) error {
	if err := createFile(path); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	err := s.vacuumInto(ctx, path)
	if err == nil {
		err = finishBackup(path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("backup: %w", err), os.Remove(path))
	}
	return nil
}

func (s *Store) vacuumInto(ctx context.Context, path string) error {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	db, err := openDB(s.path, s.busy)
	if err != nil {
		return s.failure(err)
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", absolute)
	return s.failure(errors.Join(err, db.Close()))
}

// finishBackup makes the copy what Open makes, and durable: VACUUM INTO leaves
// WAL mode off, and does not sync.
func finishBackup(path string) error {
	copied, err := Open(path, &Options{MustExist: true})
	if err != nil {
		return err
	}
	if err := copied.Close(); err != nil {
		return err
	}
	if err := syncFile(path, os.O_RDWR); err != nil || runtime.GOOS == "windows" {
		return err // Windows has no sync for folders
	}
	return syncFile(filepath.Dir(path), os.O_RDONLY)
}

// syncFile makes a file's content, or a folder's entries, durable.
func syncFile(path string, flag int) error {
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
