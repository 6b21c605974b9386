package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ropewalk/changeset"
)

// Provision does again what [Open] does without [Options.MustExist]: it makes
// sure that the file is a database with the tables of this version, in WAL mode,
// and changes nothing that is right already. Processes may race to do so.
func (s *Store) Provision(ctx context.Context) error {
	if err := s.files.check(); err != nil {
		return failure(s.name, s.closed.Load(), err)
	}
	conn, err := connect(ctx, s.path, s.busy)
	if err != nil {
		return failure(s.name, s.closed.Load(), err)
	}
	return failure(s.name, s.closed.Load(), errors.Join(provision(ctx, conn, s.busy), conn.Close()))
}

// provision makes a store of an empty file, or of an older version's store.
func provision(ctx context.Context, conn connection, busy time.Duration) error {
	if err := retry(ctx, busy, func() error { return createTables(ctx, conn) }); err != nil {
		return err
	}
	return retry(ctx, busy, func() error { return useWAL(ctx, conn) })
}

func createTables(ctx context.Context, conn connection) error {
	version, err := verify(ctx, conn)
	if version == schemaVersion || err != nil && !errors.Is(err, errBlank) {
		return err
	}
	if _, err := conn.ExecContext(ctx, beginImmediate); err != nil {
		return err
	}
	if err = createMissing(ctx, conn); err == nil {
		_, err = conn.ExecContext(ctx, commitWork)
	}
	if err != nil {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), rollbackWork) // fails if SQLite has already done so
	}
	return err
}

// createMissing creates the tables that the database does not have, within a
// transaction. Another process may have done so before this one got the lock.
func createMissing(ctx context.Context, conn connection) error {
	version, err := verify(ctx, conn)
	switch {
	case errors.Is(err, errBlank):
		_, err = conn.ExecContext(ctx, createFirst(newStamp()))
	case err != nil || version == schemaVersion:
		return err
	}
	if err == nil {
		err = migrate(ctx, conn, version)
	}
	if err == nil {
		_, err = conn.ExecContext(ctx, setSchema)
	}
	return err
}

// useWAL turns on WAL mode, which stays with the file.
func useWAL(ctx context.Context, conn connection) error {
	var mode string
	err := conn.QueryRowContext(ctx, turnOnWAL).Scan(&mode)
	if err == nil && mode != "wal" {
		err = fmt.Errorf("SQLite cannot use WAL here: journal_mode is %q", mode)
	}
	return err
}

// errBlank says that a database has no tables yet.
var errBlank = fmt.Errorf("%w: it is empty", ErrNotRopewalk)

// verify returns the version of the database's schema, and an error unless this
// version can use the database or migrate it.
func verify(ctx context.Context, conn connection) (version int, err error) {
	var id, tables int
	err = conn.QueryRowContext(ctx, selectIdentity).Scan(&id, &version, &tables)
	switch {
	case err != nil:
		return 0, err
	case id == 0 && version == 0 && tables == 0:
		return 0, errBlank
	case id != applicationID || version < 1:
		return 0, fmt.Errorf("%w: its application_id is %#x and its user_version %d", ErrNotRopewalk, id, version)
	default:
		return version, checkVersion(version)
	}
}

func checkVersion(version int) error {
	switch {
	case version > schemaVersion:
		return fmt.Errorf("%w: schema %d, this version knows up to %d", changeset.ErrUnsupportedFormat, version, schemaVersion)
	case version < schemaWithoutLog:
		return fmt.Errorf("%w: schema %d, of before the first release: export its chains with the program that wrote it, and import them",
			changeset.ErrUnsupportedFormat, version)
	}
	return nil
}

// checkCurrent is checkVersion for a database that this version has brought up to
// date: another program may have put an older one in its place.
func checkCurrent(version int) error {
	if schemaWithoutLog <= version && version < schemaVersion {
		return fmt.Errorf("%w: schema %d, which was %d when the store was opened: close it and open it again",
			changeset.ErrUnsupportedFormat, version, schemaVersion)
	}
	return checkVersion(version)
}
