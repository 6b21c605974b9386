package sqlitestore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"
)

// openDB returns a pool of connections to an existing file, at an absolute
// path. Every connection runs the pragmas first; busy is how long SQLite itself
// waits for a lock. check, unless nil, must pass before a connection is opened.
func openDB(path string, busy time.Duration, check func() error, pragmas ...string) (*sql.DB, error) {
	return openURI(path, check, url.Values{
		"mode":          {"rw"}, // never creates a file
		"_busy_timeout": {strconv.FormatInt(busy.Milliseconds(), 10)},
		"_pragma":       pragmas,
	})
}

func openURI(path string, check func() error, query url.Values) (*sql.DB, error) {
	// A URI, since a path may hold characters that end it: ?, # and %. Its path
	// begins with a slash, also before a drive letter.
	rooted := "/" + strings.TrimPrefix(filepath.ToSlash(path), "/")
	uri := url.URL{Scheme: "file", Path: rooted, RawQuery: query.Encode()}
	connector, err := sqlite.NewConnector(uri.String())
	if err != nil {
		return nil, err
	}
	if check != nil {
		connector = checkedConnector{connector, check}
	}
	return sql.OpenDB(connector), nil
}

// checkedConnector opens a connection only after a check.
type checkedConnector struct {
	driver.Connector
	check func() error
}

func (c checkedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return c.Connector.Connect(ctx)
}

// connection is a pool of one connection, and that connection.
type connection struct {
	path string
	db   *sql.DB
	*sql.Conn
}

// connect opens a single connection, for which SQLite itself never waits for a
// lock: see [retry].
func connect(ctx context.Context, path string, busy time.Duration, pragmas ...string) (connection, error) {
	db, err := openDB(path, 0, nil, pragmas...)
	if err != nil {
		return connection{}, err
	}
	c := connection{path: path, db: db}
	err = retry(ctx, busy, func() (err error) {
		c.Conn, err = db.Conn(ctx)
		return err
	})
	if err != nil {
		return connection{}, errors.Join(err, db.Close())
	}
	return c, nil
}

func (c connection) Close() error { return errors.Join(c.Conn.Close(), c.db.Close()) }

// The pauses between attempts to get hold of a busy database.
const (
	firstPause   = time.Millisecond
	longestPause = 16 * time.Millisecond
)

// retry repeats f while it finds the database busy, at most as long as busy.
func retry(ctx context.Context, busy time.Duration, f func() error) error {
	deadline := time.Now().Add(busy)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := f()
		if !isBusy(err) || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pause)
	}
}
