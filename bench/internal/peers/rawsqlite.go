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
	write, read         *sql.DB
	conn                *sql.Conn
	swap, put, log      *sql.Stmt
	events              *sql.Stmt
	begin, end          *sql.Stmt
	loop                sync.WaitGroup
	padding             Padding
	key, event, version []byte // the padding

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

// Padding is how many bytes more the rows of a store take: the key of an event, which is in
// its row and in the index, the rest of its row, and the row of an aggregate's version. Log is the size
// of a row in a third table, which each append adds; without it there is no such table.
type Padding struct{ Key, Event, Version, Log int }

// OpenRawSQLite makes the store in a new file in the folder.
func OpenRawSQLite(ctx context.Context, folder string) (*RawSQLite, error) {
	return OpenPaddedSQLite(ctx, folder, Padding{})
}

// OpenPaddedSQLite is OpenRawSQLite with larger rows. The pragmas are Ropewalk's.
func OpenPaddedSQLite(ctx context.Context, folder string, padding Padding) (*RawSQLite, error) {
	uri := url.URL{Scheme: "file", Path: filepath.Join(folder, "raw.db"), RawQuery: url.Values{
		"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)", "wal_autocheckpoint(4000)", "journal_size_limit(67108864)"},
	}.Encode()}
	s := &RawSQLite{padding: padding, key: make([]byte, padding.Key), event: make([]byte, padding.Event), version: make([]byte, padding.Version)}
	var errs [3]error
	s.write, errs[0] = sql.Open("sqlite", uri.String())
	s.read, errs[1] = sql.Open("sqlite", uri.String())
	s.conn, errs[2] = s.write.Conn(ctx)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return s, s.setUp(ctx)
}

func (s *RawSQLite) setUp(ctx context.Context) error {
	_, err := s.conn.ExecContext(ctx, `
		CREATE TABLE versions(aggregate TEXT PRIMARY KEY, version INTEGER NOT NULL, pad BLOB) WITHOUT ROWID;
		CREATE TABLE events(aggregate TEXT NOT NULL, version INTEGER NOT NULL, key BLOB NOT NULL, event BLOB NOT NULL, pad BLOB,
			PRIMARY KEY(aggregate, version, key));
		CREATE TABLE log(position INTEGER PRIMARY KEY, pad BLOB)`)
	for stmt, query := range map[**sql.Stmt]string{
		&s.begin: "BEGIN IMMEDIATE",
		&s.end:   "COMMIT",
		&s.swap: `INSERT INTO versions VALUES (?1, ?2, ?3)
			ON CONFLICT(aggregate) DO UPDATE SET version = excluded.version, pad = excluded.pad WHERE version = excluded.version - 1`,
		&s.put: "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
		&s.log: "INSERT INTO log(pad) VALUES (?)",
	} {
		if err == nil {
			*stmt, err = s.conn.PrepareContext(ctx, query)
		}
	}
	if err == nil {
		s.events, err = s.read.PrepareContext(ctx, "SELECT version, event FROM events WHERE aggregate = ? ORDER BY version")
	}
	return err
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
	_, failed := s.begin.ExecContext(ctx)
	for i, a := range batch {
		if failed == nil {
			outcomes[i], failed = s.apply(ctx, a)
		}
	}
	if failed == nil {
		_, failed = s.end.ExecContext(ctx)
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
	result, err := s.swap.ExecContext(ctx, a.aggregateID, int64(a.version), s.version)
	if err != nil {
		return nil, err
	}
	if n, err := result.RowsAffected(); n == 0 || err != nil {
		return ErrConflict, err
	}
	if _, err = s.put.ExecContext(ctx, a.aggregateID, int64(a.version), s.key, a.event, s.event); err == nil && s.padding.Log > 0 {
		_, err = s.log.ExecContext(ctx, make([]byte, s.padding.Log))
	}
	return nil, err
}

// Read reads all events of an aggregate by one query, which is prepared once.
func (s *RawSQLite) Read(ctx context.Context, aggregateID string) (n int, err error) {
	rows, err := s.events.QueryContext(ctx, aggregateID)
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
	return errors.Join(s.begin.Close(), s.end.Close(), s.swap.Close(), s.put.Close(), s.log.Close(), s.events.Close(), s.conn.Close(), s.write.Close(), s.read.Close())
}
