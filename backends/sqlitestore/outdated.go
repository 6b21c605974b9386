package sqlitestore

import (
	"context"

	sqlite3 "modernc.org/sqlite/lib"
)

// failed is failure for the error of a read.
func (s *Store) failed(err error) error {
	return failure(s.name, s.closed.Load(), s.outdated(err))
}

// outdated returns the error of a read. If SQLite no longer understands the statement,
// it may be that a program of a newer version has migrated the file: the
// error then says so, and does not call the file damaged.
func (s *Store) outdated(err error) error {
	if code(err) != sqlite3.SQLITE_ERROR {
		return err
	}
	var version int
	if s.reader.db.QueryRowContext(context.Background(), selectVersion).Scan(&version) == nil && version > schemaVersion {
		return checkVersion(version)
	}
	return err
}
