package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	sqlite3 "modernc.org/sqlite/lib"

	"ropewalk/changeset"
)

// CheckFile does what [Store.Check] does, for a file that Open may refuse. A
// missing file is an error that matches [fs.ErrNotExist].
func CheckFile(ctx context.Context, path string) ([]string, error) {
	file, err := findFile(path, true)
	if err != nil {
		return nil, err
	}
	return (&Store{path: path, file: file, busy: DefaultBusyTimeout}).Check(ctx)
}

// Check says, in a sentence each, what is missing or dangerous about the
// store's file: that others may read it, that it is not a ropewalk database or
// a newer version's, lacks a table, is not in WAL mode, or is damaged. Nothing
// means that all is well. It changes nothing, and reads the whole file.
func (s *Store) Check(ctx context.Context) (findings []string, err error) {
	if findings, err = checkModes(s.path); err != nil {
		return nil, err
	}
	conn, err := connect(ctx, s.path, s.busy, "query_only(1)")
	if err != nil {
		return nil, s.failure(err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	for _, check := range []func(context.Context, connection) ([]string, error){checkOurs, checkMode, checkIntegrity} {
		var found []string
		err := retry(ctx, s.busy, func() (err error) {
			found, err = check(ctx, conn)
			return err
		})
		if finding := asFinding(err); finding != "" {
			return append(findings, finding), nil // what is not ours is not looked into
		}
		if err != nil {
			return nil, s.failure(err)
		}
		findings = append(findings, found...)
	}
	return findings, nil
}

// asFinding returns what an error says about the file, not about the look at it.
func asFinding(err error) string {
	switch c := code(err); {
	case c == sqlite3.SQLITE_NOTADB:
		return "not a SQLite database"
	case c == sqlite3.SQLITE_CORRUPT, errors.Is(err, ErrNotRopewalk), errors.Is(err, changeset.ErrUnsupportedFormat):
		return err.Error()
	default:
		return ""
	}
}

// checkModes looks at who may read the database and the files beside it.
func checkModes(path string) (findings []string, err error) {
	if runtime.GOOS == "windows" {
		return nil, nil // has no such modes
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			findings = append(findings, fmt.Sprintf("%s has mode %04o, so others may use it: chmod 600 %s", name, mode, name))
		}
	}
	return findings, nil
}

func checkOurs(ctx context.Context, conn connection) (findings []string, err error) {
	if err := verify(ctx, conn); err != nil {
		return nil, err
	}
	for _, table := range []string{"changesets", "heads"} {
		var n int
		err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?", table).Scan(&n)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			findings = append(findings, "the table "+table+" is missing")
		}
	}
	return findings, nil
}

func checkMode(ctx context.Context, conn connection) ([]string, error) {
	var mode string
	err := conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode)
	if err != nil || mode == "wal" {
		return nil, err
	}
	return []string{"journal_mode is " + mode + ", not wal: the next sqlitestore.Open sets it"}, nil
}

func checkIntegrity(ctx context.Context, conn connection) (findings []string, err error) {
	rows, err := conn.QueryContext(ctx, "PRAGMA quick_check(10)")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var message string
		if err := rows.Scan(&message); err != nil {
			return nil, err
		}
		if message != "ok" {
			findings = append(findings, "damaged: "+message)
		}
	}
	return findings, rows.Err()
}
