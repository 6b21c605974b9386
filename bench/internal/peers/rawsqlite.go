package peers

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"runtime"
	"sync"

	_ "modernc.org/sqlite" // the driver
)

// RawSQLite is the least that an event store in SQLite can be: a table of
// events and one of versions, in WAL mode with synchronous=FULL. Appends that
// wait at the same time share a transaction.
type RawSQLite struct {
	write, read *sql.DB
	conn        *sql.Conn
	swap, put   *sql.Stmt
	loop        sync.WaitGroup

	padEvent, padVersion []byte

	mu      sync.Mutex
	waiting []*rawAppend
	running bool
}

type rawAppend struct {
	aggregateID string
	version     uint64
	event       []byte
	outcome     chan error
}

// OpenRawSQLite makes the store in a new file in the folder.
func OpenRawSQLite(ctx context.Context, folder string) (*RawSQLite, error) {
	return OpenPaddedSQLite(ctx, folder, 0, 0)
}

// OpenPaddedSQLite is OpenRawSQLite with so many bytes more in each event's
// row, and in the row of each aggregate's version.
func OpenPaddedSQLite(ctx context.Context, folder string, event, version int) (*RawSQLite, error) {
	uri := url.URL{Scheme: "file", Path: filepath.Join(folder, "raw.db"), RawQuery: url.Values{
		"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)"},
	}.Encode()}
	s := &RawSQLite{padEvent: make([]byte, event), padVersion: make([]byte, version)}
	var errs [6]error
	s.write, errs[0] = sql.Open("sqlite", uri.String())
	s.read, errs[1] = sql.Open("sqlite", uri.String())
	s.conn, errs[2] = s.write.Conn(ctx)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	_, errs[3] = s.conn.ExecContext(ctx, `
		CREATE TABLE versions(aggregate TEXT PRIMARY KEY, version INTEGER NOT NULL, pad BLOB) WITHOUT ROWID;
		CREATE TABLE events(aggregate TEXT NOT NULL, version INTEGER NOT NULL, event BLOB NOT NULL, pad BLOB, PRIMARY KEY(aggregate, version))`)
	s.swap, errs[4] = s.conn.PrepareContext(ctx, `INSERT INTO versions VALUES (?1, ?2, ?3)
		ON CONFLICT(aggregate) DO UPDATE SET version = excluded.version, pad = excluded.pad WHERE version = excluded.version - 1`)
	s.put, errs[5] = s.conn.PrepareContext(ctx, `INSERT INTO events VALUES (?, ?, ?, ?)`)
	return s, errors.Join(errs[:]...)
}

// Append stores an event in a transaction that it shares with others.
func (s *RawSQLite) Append(_ context.Context, aggregateID string, version uint64, event []byte) error {
	a := &rawAppend{aggregateID, version, event, make(chan error, 1)}
	s.mu.Lock()
	s.waiting = append(s.waiting, a)
	if !s.running {
		s.running = true
		s.loop.Go(s.run)
	}
	s.mu.Unlock()
	return <-a.outcome
}

// run commits batch after batch, and ends when no append is waiting.
func (s *RawSQLite) run() {
	for {
		runtime.Gosched() // lets those who are about to append come along
		s.mu.Lock()
		batch := s.waiting
		s.waiting, s.running = nil, len(batch) > 0
		s.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for i, err := range s.commit(batch) {
			batch[i].outcome <- err
		}
	}
}

func (s *RawSQLite) commit(batch []*rawAppend) []error {
	outcomes := make([]error, len(batch))
	ctx := context.Background()
	_, failed := s.conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	for i, a := range batch {
		if failed == nil {
			outcomes[i], failed = s.apply(ctx, a)
		}
	}
	if failed == nil {
		_, failed = s.conn.ExecContext(ctx, "COMMIT")
	}
	if failed != nil {
		_, _ = s.conn.ExecContext(ctx, "ROLLBACK")
		for i := range outcomes {
			outcomes[i] = failed
		}
	}
	return outcomes
}

func (s *RawSQLite) apply(ctx context.Context, a *rawAppend) (outcome, failed error) {
	result, err := s.swap.ExecContext(ctx, a.aggregateID, int64(a.version), s.padVersion)
	if err != nil {
		return nil, err
	}
	if n, err := result.RowsAffected(); n == 0 || err != nil {
		return ErrConflict, err
	}
	_, err = s.put.ExecContext(ctx, a.aggregateID, int64(a.version), a.event, s.padEvent)
	return nil, err
}

// Read reads all events of an aggregate by one query.
func (s *RawSQLite) Read(ctx context.Context, aggregateID string) (n int, err error) {
	rows, err := s.read.QueryContext(ctx, "SELECT version, event FROM events WHERE aggregate = ? ORDER BY version", aggregateID)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		var version int64
		var event []byte
		if err := rows.Scan(&version, &event); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}

// Close closes the file.
func (s *RawSQLite) Close() error {
	s.loop.Wait()
	return errors.Join(s.swap.Close(), s.put.Close(), s.conn.Close(), s.write.Close(), s.read.Close())
}
