package sqlitestore

import (
	"context"
	"errors"
	"fmt"

	"ropewalk/head"
	"ropewalk/internal/commitlog"
)

// Migrate brings a store of an older version to the tables of this version, as
// [Open] does, in one transaction: a migration that fails or is killed has changed
// nothing. Programs of the older version cannot use the store afterwards. Migrate waits for other processes at most the busy timeout of the
// options, and fails where the file is missing or empty. A store that needs no migration
// stays as it is.
//
// The errors are the errors of Open, and the context's. A head that does not
// decode is a [*changeset.CorruptError].
func Migrate(ctx context.Context, path string, options *Options) error {
	absolute, _, err := findFile(path, true)
	if err != nil {
		return err
	}
	return failure(path, false, migrateFile(ctx, absolute, options.withDefaults()))
}

func migrateFile(ctx context.Context, path string, o Options) error {
	target, err := resolve(path)
	if err != nil {
		return err
	}
	if err := checkWAL(ctx, path, target); err != nil {
		return err
	}
	conn, err := connect(ctx, path, o.BusyTimeout, fullSync)
	if err != nil {
		return err
	}
	err = retry(ctx, o.BusyTimeout, func() error { _, err := verify(ctx, conn); return err })
	if err == nil {
		err = provision(ctx, conn, o.BusyTimeout)
	}
	return errors.Join(err, conn.Close())
}

// migrate brings the tables of an older version to this version's, within a
// transaction. A new database comes here without a log.
func migrate(ctx context.Context, conn connection, version int) error {
	if version <= schemaWithoutLog {
		if err := migrateLog(ctx, conn); err != nil {
			return err
		}
	}
	if schemaWithoutLog <= version && version <= schemaOfTexts {
		return migrateTexts(ctx, conn)
	}
	return nil
}

// migrateLog gives a database without a log a log: an entry
// for each head, in the order of their newest changesets.
func migrateLog(ctx context.Context, conn connection) error {
	if _, err := conn.ExecContext(ctx, createLog); err != nil {
		return err
	}
	log, err := startLog(conn)
	if err == nil {
		err = logHeads(ctx, conn, log)
	}
	return errors.Join(err, log.close())
}

// startLog writes row 0 of a log, within a transaction.
func startLog(conn connection) (*logWriter, error) {
	w := &logWriter{}
	if err := prepare(conn, w.queries()); err != nil {
		return w, err
	}
	return w, w.write(firstRow())
}

func logHeads(ctx context.Context, conn connection, log *logWriter) error {
	rows, err := conn.QueryContext(ctx, selectOldHeads)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var r head.Row
		if err := rows.Scan(&r.Record, &r.Ancestors, &r.Digest, &key); err != nil {
			return err
		}
		h, err := decodeHead(conn.path, key, r)
		if err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		if a, ok := commitlog.Advance(head.Head{}, h); ok {
			if err := log.append(a); err != nil {
				return err
			}
		}
	}
	return rows.Err()
}
