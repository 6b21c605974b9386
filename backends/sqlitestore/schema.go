package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"ropewalk/changeset"
)

const (
	// applicationID marks the file as ours: "rope" in ASCII.
	applicationID = 0x726f7065
	// schemaVersion is the version of the tables below, kept in user_version; 1
	// was never released.
	schemaVersion = 2
)

// Content comes last, so that SQLite finds all other columns without it. What
// can be is kept in bytes: each append writes the page of the table and that of
// the key that it touches, and the more fits on one, the fewer they are.
const schema = `
CREATE TABLE changesets (
  aggregate_id   TEXT NOT NULL, -- percent-encoded
  object         BLOB NOT NULL, -- the version in 8 bytes, big-endian, and the changeset ID in 16
  metadata       TEXT NOT NULL, -- a JSON object of strings: all that is not in other columns
  ancestors      BLOB NOT NULL,
  content_sha256 BLOB NOT NULL,
  digest         BLOB NOT NULL,
  content_type   TEXT NOT NULL,
  last_modified  TEXT NOT NULL, -- RFC 3339, UTC
  content        BLOB NOT NULL,
  PRIMARY KEY (aggregate_id, object)
) STRICT;
CREATE TABLE heads (
  aggregate_id TEXT NOT NULL PRIMARY KEY, -- percent-encoded
  record       TEXT NOT NULL,             -- a JSON object: all that is not in other columns
  ancestors    BLOB NOT NULL,
  digest       BLOB NOT NULL
) STRICT, WITHOUT ROWID;
`

// creation is held while a file is created and its descriptor closed, which
// would drop the locks of any SQLite connection that this process opened on it
// in between.
var creation sync.Mutex

// findFile returns what is at path, which it creates empty unless it must
// exist. Only the owner may read what it creates.
func findFile(path string, mustExist bool) (fs.FileInfo, error) {
	if !mustExist {
		if err := createFile(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("create store: %w", err)
		}
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w: ropewalk init creates it, and so does sqlitestore.Open without MustExist", path, fs.ErrNotExist)
	case err != nil:
		return nil, fmt.Errorf("open store: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: %w: not a regular file", path, ErrNotRopewalk)
	}
	return info, nil
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

// Provision does again what [Open] does without [Options.MustExist]: it makes
// sure that the file is a database with our tables, in WAL mode, and changes
// nothing where it is. Processes may race to do so.
func (s *Store) Provision(ctx context.Context) error {
	conn, err := connect(ctx, s.path, s.busy)
	if err != nil {
		return s.failure(err)
	}
	return s.failure(errors.Join(provision(ctx, conn, s.busy), conn.Close()))
}

// provision makes a database of an empty file.
func provision(ctx context.Context, conn connection, busy time.Duration) error {
	if err := retry(ctx, busy, func() error { return createTables(ctx, conn) }); err != nil {
		return err
	}
	return retry(ctx, busy, func() error { return useWAL(ctx, conn) })
}

func createTables(ctx context.Context, conn connection) (err error) {
	if err := verify(ctx, conn); !errors.Is(err, errBlank) {
		return err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	// Another process may have been first, now that nobody else can be.
	if err = verify(ctx, conn); errors.Is(err, errBlank) {
		_, err = conn.ExecContext(ctx, fmt.Sprintf("%s; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
			schema, applicationID, schemaVersion))
		if err == nil {
			return nil
		}
	}
	_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") // fails if SQLite has already done so
	return err
}

// useWAL turns on WAL mode, which stays with the file.
func useWAL(ctx context.Context, conn connection) error {
	var mode string
	err := conn.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode)
	if err == nil && mode != "wal" {
		err = fmt.Errorf("SQLite cannot use WAL here: journal_mode is %q", mode)
	}
	return err
}

// errBlank says that a database has no tables yet.
var errBlank = fmt.Errorf("%w: it is empty", ErrNotRopewalk)

// verify tells whether the database is one that this version can use.
func verify(ctx context.Context, conn connection) error {
	var id, version, tables int
	err := conn.QueryRowContext(ctx, `SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_application_id, pragma_user_version`).Scan(&id, &version, &tables)
	switch {
	case err != nil:
		return err
	case id == 0 && version == 0 && tables == 0:
		return errBlank
	case id != applicationID || version < 1:
		return fmt.Errorf("%w: its application_id is %#x and its user_version %d", ErrNotRopewalk, id, version)
	default:
		return checkVersion(version)
	}
}

func checkVersion(version int) error {
	switch {
	case version > schemaVersion:
		return fmt.Errorf("%w: schema %d, this version knows up to %d", changeset.ErrUnsupportedFormat, version, schemaVersion)
	case version < schemaVersion:
		return fmt.Errorf("%w: schema %d, of before the first release: export its chains with the program that wrote it, and import them",
			changeset.ErrUnsupportedFormat, version)
	}
	return nil
}
