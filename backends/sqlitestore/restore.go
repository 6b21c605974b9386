package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ropewalk/changeset"
)

// lockTimeout is how long Restore waits for other programs to close the file.
const lockTimeout = time.Second

// Restore puts the store in the file backup, which [Store.Backup] or a copy of a
// closed file has made, in the place of the store at path. The backup is read
// and checked first, and stays as it is. The former store is kept under the name
// that Restore returns, with its -wal file; the name is empty if no store was there.
//
// Errors match [ErrBusy] where a program has the store at path open,
// [fs.ErrNotExist] where the backup or the folder of path is missing,
// [ErrNotRopewalk] and [changeset.ErrUnsupportedFormat] where the backup is
// something else, and are a [*changeset.CorruptError] where the backup is
// damaged. After an error the store at path is as it was.
func Restore(ctx context.Context, backup, path string) (former string, err error) {
	source, info, err := findFile(backup, true)
	if err == nil {
		source, err = resolve(source)
	}
	if err != nil {
		return "", fmt.Errorf("restore: %w", err)
	}
	target, err := restoreTarget(path)
	if err != nil {
		return "", fmt.Errorf("restore: %w", err)
	}
	if now, err := os.Stat(target); err == nil && os.SameFile(info, now) {
		return "", fmt.Errorf("restore: %s is the store itself, not a backup of it", backup)
	}
	copied, err := copyBackup(ctx, source, target)
	if err != nil {
		return "", fmt.Errorf("restore: %w", err)
	}
	former, err = replaceStore(ctx, target, copied)
	if err != nil {
		return "", errors.Join(fmt.Errorf("restore: %w", err), os.Remove(copied))
	}
	return former, nil
}

// restoreTarget returns the absolute path of the file to replace. It follows
// symbolic links.
func restoreTarget(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Dir(absolute)); err != nil {
		return "", missing(absolute, err)
	}
	if !exists(absolute) {
		return absolute, nil
	}
	return resolve(absolute)
}

// copyBackup copies the backup to a new file beside the target, checks the copy
// and returns its name.
func copyBackup(ctx context.Context, source, target string) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(target), filepath.Base(target)+".restoring-")
	if err != nil {
		return "", err
	}
	err = f.Close()
	if err == nil {
		err = failure(source, false, readBackup(ctx, source, f.Name()))
	}
	if err == nil {
		err = checkCopy(ctx, source, f.Name())
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// readBackup reads the backup without writing to it or beside it, unless its
// own -wal file makes that necessary.
func readBackup(ctx context.Context, source, path string) error {
	if err := checkWAL(ctx, source, source); err != nil {
		return err
	}
	query := url.Values{"mode": {"ro"}}
	if !exists(walOf(source)) {
		query.Set("immutable", "1")
	}
	db, err := openURI(source, nil, query)
	if err != nil {
		return err
	}
	return errors.Join(verifyAndCopy(ctx, db, path), db.Close())
}

func verifyAndCopy(ctx context.Context, db *sql.DB, path string) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	_, err = verify(ctx, connection{Conn: conn})
	if err := errors.Join(err, conn.Close()); err != nil {
		return err
	}
	return copyInto(ctx, db, path)
}

// checkCopy returns an error if the copy of the backup is not a sound store.
func checkCopy(ctx context.Context, source, copied string) error {
	findings, err := CheckFile(ctx, copied)
	if err == nil && len(findings) > 0 {
		err = &changeset.CorruptError{Object: "sqlite:" + source, Reason: strings.Join(findings, "; ")}
	}
	return err
}

// replaceStore puts the file copied in the place of the target, which no
// program may have open, and returns the new name of the target.
func replaceStore(ctx context.Context, target, copied string) (former string, err error) {
	if exists(target) {
		if err := requireUnused(ctx, target); err != nil {
			return "", err
		}
	}
	aside, moved := freeName(target), []string(nil)
	for _, suffix := range []string{walOf(""), ""} {
		err := os.Rename(target+suffix, aside+suffix)
		if err == nil {
			moved = append(moved, suffix)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", errors.Join(err, moveBack(target, aside, moved))
		}
	}
	if err := os.Remove(shmOf(target)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", errors.Join(err, moveBack(target, aside, moved))
	}
	if err := os.Rename(copied, target); err != nil {
		return "", errors.Join(err, moveBack(target, aside, moved))
	}
	if len(moved) > 0 {
		former = aside
	}
	return former, syncFolder(filepath.Dir(target))
}

func moveBack(target, aside string, suffixes []string) error {
	var errs []error
	for _, suffix := range suffixes {
		errs = append(errs, os.Rename(aside+suffix, target+suffix))
	}
	return errors.Join(errs...)
}

// freeName returns a name beside the store that no file has.
func freeName(path string) string {
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s.before-restore-%d", path, n)
		if !exists(name) && !exists(walOf(name)) {
			return name
		}
	}
}

// requireUnused returns an error that matches [ErrBusy] if a program has the
// file open. It folds the -wal file into the file, unless they do not belong
// together. Whether the file is sound does not matter.
func requireUnused(ctx context.Context, path string) error {
	if err := checkWAL(ctx, path, path); err != nil {
		return err
	}
	conn, err := connect(ctx, path, lockTimeout, lockingExclusive)
	if err == nil {
		err = errors.Join(lockAlone(ctx, conn), conn.Close())
	}
	switch {
	case isBusy(err):
		return fmt.Errorf("%s: %w: a program has the store open; stop it first", path, ErrBusy)
	case isDamage(err):
		return nil
	default:
		return failure(path, false, err)
	}
}

// lockAlone locks the file for a moment, as is possible only where no other
// connection is open.
func lockAlone(ctx context.Context, conn connection) error {
	return retry(ctx, lockTimeout, func() error {
		if _, err := conn.ExecContext(ctx, beginExclusive); err != nil {
			return err
		}
		_, err := conn.ExecContext(ctx, rollbackWork)
		return err
	})
}
