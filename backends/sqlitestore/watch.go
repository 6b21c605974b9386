package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

// pollInterval is how often a follower looks for the commits of other processes.
const pollInterval = 25 * time.Millisecond

// watch notices that the database has changed. SQLite counts the changes that a
// connection has not made, so all followers share a connection that makes none.
type watch struct {
	db    *sql.DB
	check func() error // that the files are still the files with their names

	mu     sync.Mutex
	conn   *sql.Conn // nil until it is needed
	opened int
}

// state changes with each commit. A connection counts from a number of its own.
type state struct{ connection, changes int }

// openWatch opens no connection yet.
func openWatch(path string, busy time.Duration, check func() error) (*watch, error) {
	db, err := openDB(path, busy, check, queryOnly)
	return &watch{db: db, check: check}, err
}

// state returns the state of the database at a moment of the call.
func (w *watch) state(ctx context.Context) (now state, err error) {
	if err := w.check(); err != nil {
		return state{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn == nil {
		if w.conn, err = w.db.Conn(ctx); err != nil {
			return state{}, err
		}
		w.opened++
	}
	now.connection = w.opened
	if err = w.conn.QueryRowContext(ctx, selectChanges).Scan(&now.changes); err != nil && ctx.Err() == nil {
		err = errors.Join(err, w.conn.Close())
		w.conn = nil
	}
	return now, err
}

// wait returns when the database is no longer in a state that was seen, or the
// bell has rung.
func (w *watch) wait(ctx context.Context, seen state, rung <-chan struct{}) error {
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rung:
			return nil
		case <-poll.C:
			if now, err := w.state(ctx); err != nil || now != seen {
				return err
			}
		}
	}
}

// close closes the connection, even while followers wait: their next look fails.
func (w *watch) close() error {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var err error
	if w.conn != nil {
		err = w.conn.Close()
	}
	return errors.Join(err, w.db.Close())
}
