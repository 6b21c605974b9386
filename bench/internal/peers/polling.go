package peers

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"time"
)

// Polling is a table of events in SQLite with a number for each event, which
// consumers poll: a page from a number on, and again after a pause. It is how
// hallgren/eventsourcing and others keep projections up to date.
type Polling struct {
	db     *sql.DB
	insert *sql.Stmt
	page   *sql.Stmt
}

// OpenPolling makes the table in a new file in the folder.
func OpenPolling(ctx context.Context, folder string) (*Polling, error) {
	uri := url.URL{Scheme: "file", Path: filepath.Join(folder, "polling.db"), RawQuery: url.Values{
		"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)"},
	}.Encode()}
	db, err := sql.Open("sqlite", uri.String())
	if err != nil {
		return nil, err
	}
	p := &Polling{db: db}
	_, err = db.ExecContext(ctx, `CREATE TABLE events(seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, version INTEGER NOT NULL,
		type TEXT NOT NULL, timestamp TEXT NOT NULL, data BLOB NOT NULL, UNIQUE(id, version))`)
	if err != nil {
		return nil, err
	}
	var errs [2]error
	p.insert, errs[0] = db.PrepareContext(ctx, `INSERT INTO events(id, version, type, timestamp, data) VALUES (?, ?, ?, ?, ?)`)
	p.page, errs[1] = db.PrepareContext(ctx, `SELECT seq, id, version, type, timestamp, data FROM events WHERE seq >= ? ORDER BY seq LIMIT ?`)
	return p, errors.Join(errs[:]...)
}

// Fill stores an event for each aggregate, in one transaction.
func (p *Polling) Fill(ctx context.Context, version int, event []byte, aggregateIDs ...string) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, id := range aggregateIDs {
		if _, err := tx.StmtContext(ctx, p.insert).ExecContext(ctx, id, version, "paid", time.Now().Format(time.RFC3339Nano), event); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

// Poll hands over the events from a number on, in pages, and returns the number
// after the last event.
func (p *Polling) Poll(ctx context.Context, from int64, handle func(seq int64) error) (int64, error) {
	for {
		next, err := p.once(ctx, from, handle)
		if err != nil || next == from {
			return next, err
		}
		from = next
	}
}

func (p *Polling) once(ctx context.Context, from int64, handle func(seq int64) error) (int64, error) {
	rows, err := p.page.QueryContext(ctx, from, 1000)
	if err != nil {
		return from, err
	}
	defer rows.Close()
	for rows.Next() {
		var seq, version int64
		var id, kind, timestamp string
		var data []byte
		if err := rows.Scan(&seq, &id, &version, &kind, &timestamp, &data); err != nil {
			return from, err
		}
		if _, err := time.Parse(time.RFC3339Nano, timestamp); err != nil {
			return from, err
		}
		if err := handle(seq); err != nil {
			return from, err
		}
		from = seq + 1
	}
	return from, rows.Err()
}

// Close closes the file.
func (p *Polling) Close() error {
	return errors.Join(p.insert.Close(), p.page.Close(), p.db.Close())
}
