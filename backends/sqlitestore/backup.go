package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Backup writes a copy of the store as of one moment to a new file at path,
// for its owner only, and returns once it is on the disk. The store may be in
// use in the meantime, by this process and others. The copy is one file, which
// [Restore] and [Open] take. An existing file is an error that matches
// [io/fs.ErrExist] and is left as it is; after any other error there is no
// file. A backup that is killed leaves an unfinished file.
func (s *Store) Backup(ctx context.Context, path string) error {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := createFile(absolute); err != nil {
		return fmt.Errorf("backup: %w", missing(absolute, err))
	}
	err = s.backUp(ctx, absolute)
	if err == nil {
		err = syncFolder(filepath.Dir(absolute))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("backup: %w", err), os.Remove(absolute))
	}
	return nil
}

func (s *Store) backUp(ctx context.Context, path string) error {
	db, err := openDB(s.path, s.busy, s.files.check)
	if err == nil {
		err = errors.Join(copyInto(ctx, db, path), db.Close())
	}
	return failure(s.name, s.closed.Load(), err)
}

// copyInto copies a database to an empty file, with a stamp of its own, and
// makes the copy durable.
func copyInto(ctx context.Context, source *sql.DB, path string) error {
	if _, err := source.ExecContext(ctx, vacuumInto, path); err != nil {
		return err
	}
	copied, err := openDB(path, 0, nil)
	if err != nil {
		return err
	}
	_, err = copied.ExecContext(ctx, setStamp(newStamp()))
	if err := errors.Join(err, copied.Close()); err != nil {
		return err
	}
	return syncFile(path, os.O_RDWR) // VACUUM INTO does not sync
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil // has no sync for folders
	}
	return syncFile(path, os.O_RDONLY)
}

// syncFile makes a file's content, or a folder's entries, durable.
func syncFile(path string, flag int) error {
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
