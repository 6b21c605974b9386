package peers

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/url"
)

// together is how many rows share a transaction of [ImportRaw].
const together = 256

// openRawEvents opens a file with one table of events, in WAL mode with synchronous=FULL.
func openRawEvents(ctx context.Context, file string) (*sql.DB, error) {
	uri := url.URL{Scheme: "file", Path: file, RawQuery: url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(FULL)"}}.Encode()}
	db, err := sql.Open("sqlite", uri.String())
	if err != nil {
		return nil, err
	}
	_, err = db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS events
		(aggregate TEXT NOT NULL, version INTEGER NOT NULL, event BLOB NOT NULL, PRIMARY KEY(aggregate, version))`)
	return db, err
}

// ImportRaw reads events, one JSON object a line with a field "aggregate", and inserts each
// as a row after the last row of its aggregate: a plain loop, 256 rows in a transaction.
func ImportRaw(ctx context.Context, file string, lines io.Reader) (err error) {
	db, err := openRawEvents(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	versions, scanner := map[string]int{}, bufio.NewScanner(lines)
	for more := true; more; {
		if more, err = importRows(ctx, db, versions, scanner); err != nil {
			return err
		}
	}
	return scanner.Err()
}

// importRows makes one transaction. It reports whether there may be more lines.
func importRows(ctx context.Context, db *sql.DB, versions map[string]int, lines *bufio.Scanner) (more bool, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, ignoreDone(tx.Rollback())) }()
	insert, err := tx.PrepareContext(ctx, "INSERT INTO events VALUES (?, ?, ?)")
	if err != nil {
		return false, err
	}
	for range together {
		if more = lines.Scan(); !more {
			break
		}
		var event struct{ Aggregate string }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return false, err
		}
		if _, err := insert.ExecContext(ctx, event.Aggregate, versions[event.Aggregate], bytes.Clone(lines.Bytes())); err != nil {
			return false, err
		}
		versions[event.Aggregate]++
	}
	return more, tx.Commit()
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// HashRaw reads all rows of a file that [ImportRaw] has made, in the order of the
// aggregates, and computes the SHA-256 of each event. It returns the number of rows.
func HashRaw(ctx context.Context, file string) (rows int, err error) {
	db, err := openRawEvents(ctx, file)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	found, err := db.QueryContext(ctx, "SELECT aggregate, version, event FROM events ORDER BY aggregate, version")
	if err != nil {
		return 0, err
	}
	defer found.Close()
	var aggregate string
	var version int
	var event sql.RawBytes
	for found.Next() {
		if err := found.Scan(&aggregate, &version, &event); err != nil {
			return 0, err
		}
		_ = sha256.Sum256(event)
		rows++
	}
	return rows, found.Err()
}
