package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"ropewalk/changeset"
)

// CheckFile does what [Store.Check] does, for a file that Open may refuse. A
// missing file is an error that matches [fs.ErrNotExist].
func CheckFile(ctx context.Context, path string) ([]string, error) {
	absolute, _, err := findFile(path, true)
	if err != nil {
		return nil, err
	}
	return (&Store{name: path, path: absolute, busy: DefaultBusyTimeout}).Check(ctx)
}

// Check returns a sentence about each fault of the store's file: others may read
// it, it is not a ropewalk database or a newer version's, its schema is not the
// one that this version creates, its -wal file belongs to another database, a
// row of its log does not match its hash, or it is damaged. No sentence means no fault. Check changes nothing, and reads
// the whole file.
func (s *Store) Check(ctx context.Context) (findings []string, err error) {
	if err := s.files.check(); err != nil {
		return nil, failure(s.name, s.closed.Load(), err)
	}
	target, err := resolve(s.path)
	if err != nil {
		return nil, err
	}
	if findings, err = checkModes(target); err != nil {
		return nil, err
	}
	if err := checkWAL(ctx, s.path, target); err != nil {
		return append(findings, asFinding(err)), nil
	}
	found, err := s.checkDatabase(ctx)
	return append(findings, found...), failure(s.name, s.closed.Load(), err)
}

func (s *Store) checkDatabase(ctx context.Context) (findings []string, err error) {
	conn, err := connect(ctx, s.path, s.busy, queryOnly)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	for _, check := range []func(context.Context, connection) ([]string, error){checkOurs, checkIntegrity, checkLog} {
		var found []string
		err := retry(ctx, s.busy, func() (err error) {
			found, err = check(ctx, conn)
			return err
		})
		if finding := asFinding(err); finding != "" {
			return append(findings, finding), nil // a file that is not ours is not read further
		}
		if err != nil {
			return nil, err
		}
		findings = append(findings, found...)
	}
	return findings, nil
}

// asFinding returns what an error says about the file; empty if it says
// something else, such as why the file could not be read.
func asFinding(err error) string {
	corrupt, ok := errors.AsType[*changeset.CorruptError](err)
	switch {
	case ok:
		return corrupt.Reason
	case isNoDatabase(err):
		return "not a SQLite database"
	case isDamage(err), errors.Is(err, ErrNotRopewalk), errors.Is(err, changeset.ErrUnsupportedFormat):
		return err.Error()
	default:
		return ""
	}
}

// checkModes checks which users may read the database and the files beside it.
func checkModes(path string) (findings []string, err error) {
	if runtime.GOOS == "windows" {
		return nil, nil // has no such modes
	}
	for _, name := range []string{path, walOf(path), shmOf(path)} {
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

// checkOurs compares the schema with ours, to the letter: a foreign column,
// trigger, view or index may change the stored content.
func checkOurs(ctx context.Context, conn connection) (findings []string, err error) {
	version, err := verify(ctx, conn)
	if err != nil {
		return nil, err
	}
	rows, err := conn.QueryContext(ctx, selectSchema)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	missing := map[string]string{"changesets": createChangesets, "heads": createHeads}
	if version > schemaWithoutLog {
		missing["log"] = createLog
	}
	for rows.Next() {
		var kind, name, table, text string
		if err := rows.Scan(&kind, &name, &table, &text); err != nil {
			return nil, err
		}
		ours, expected := missing[name]
		switch {
		case kind != "table" || !expected:
			findings = append(findings, fmt.Sprintf("the %s %s of %s is foreign: DROP %s %s", kind, name, table, kind, name))
		case text != ours && (text != createTexts || version > schemaOfTexts):
			findings = append(findings, fmt.Sprintf("the table %s is not as ropewalk creates it", name))
		}
		if kind == "table" {
			delete(missing, name)
		}
	}
	for name := range missing {
		findings = append(findings, "the table "+name+" is missing")
	}
	return findings, rows.Err()
}

func checkIntegrity(ctx context.Context, conn connection) (findings []string, err error) {
	rows, err := conn.QueryContext(ctx, quickCheck)
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

// checkLog checks the hashes of the log, if the schema has one. checkOurs has
// found a table that is missing or foreign.
func checkLog(ctx context.Context, conn connection) (findings []string, err error) {
	version, err := verify(ctx, conn)
	if err != nil || version == schemaWithoutLog {
		return nil, err
	}
	query, err := conn.PrepareContext(ctx, selectLog)
	if isDamage(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, query.Close()) }()
	err = verifyLog(ctx, query, conn.path)
	if corrupt, ok := errors.AsType[*changeset.CorruptError](err); ok {
		return []string{fmt.Sprintf("%s: %s", corrupt.Object, corrupt.Reason)}, nil
	}
	return nil, err
}
