package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ropewalk/changeset"
)

// Provision does again what [Open] does without [Options.MustExist]: it makes
// sure that the file is a database with our tables, in WAL mode, and changes
// nothing that is right already. Processes may race to do so.
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

// provision makes a store of an empty file.
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
	if _, err := conn.ExecContext(ctx, beginImmediate); err != nil {
		return err
	}
	// Another process may have created the tables before this one got the lock.
	if err = verify(ctx, conn); errors.Is(err, errBlank) {
		if _, err = conn.ExecContext(ctx, createAll(newStamp())); err == nil {
			return nil
		}
	}
	_, _ = conn.ExecContext(context.WithoutCancel(ctx), rollbackWork) // fails if SQLite has already done so
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

// verify returns an error unless this version can use the database.
func verify(ctx context.Context, conn connection) error {
	var id, version, tables int
	err := conn.QueryRowContext(ctx, selectIdentity).Scan(&id, &version, &tables)
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
