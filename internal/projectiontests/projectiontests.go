// Package projectiontests tests package projection on any SQL database.
package projectiontests

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/faults"
	"ropewalk/feed"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/sqlfaults"
	"ropewalk/projection"
	"ropewalk/projection/projectiontest"
)

// Database is a database to test on.
type Database struct {
	// Dialect is the dialect of the database.
	Dialect projection.Dialect
	// Open must make an empty database on each call, and remove it at the end of t. It
	// returns the name of its driver and its data source name.
	Open func(t testing.TB) (driver, dsn string)
	// Bubble, if not nil, runs a test in virtual time.
	Bubble func(t *testing.T, test func(t *testing.T))
	// Sabotage, if not nil, breaks every process: see [Notices].
	Sabotage func(*sqlfaults.Script)
}

// Test tests package projection on a database. Without virtual time its checks run in
// parallel.
func Test(t *testing.T, d Database) {
	t.Run("kit", func(t *testing.T) { projectiontest.Test(t, Counter(d)) })
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			if d.Bubble == nil {
				t.Parallel() // the checks mostly wait
			}
			d.inBubble(t, func(t *testing.T) { c.run(newWorld(t, d)) })
		})
	}
}

func (d Database) inBubble(t *testing.T, test func(t *testing.T)) {
	if d.Bubble == nil {
		test(t)
		return
	}
	d.Bubble(t, test)
}

// Notices reports whether a check fails because the processes are sabotaged.
func Notices(t *testing.T, d Database, name string) (noticed bool) {
	for _, c := range checks {
		if c.name == name {
			d.inBubble(t, func(t *testing.T) {
				noticed = fails(t, func(t testing.TB) { c.run(newWorld(t, d)) })
			})
			return noticed
		}
	}
	require.Fail(t, "there is no such check", name)
	return false
}

// fails reports whether a test fails.
func fails(t testing.TB, test func(t testing.TB)) bool {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(r)
	}()
	<-done
	return r.failed.Load()
}

// recorder is a test whose failure is expected.
type recorder struct {
	testing.TB
	failed atomic.Bool
}

func (r *recorder) Errorf(string, ...any) { r.failed.Store(true) }

func (r *recorder) FailNow() {
	r.failed.Store(true)
	runtime.Goexit()
}

// check is one demand on package projection.
type check struct {
	name string
	run  func(w *world)
}

var checks = slices.Concat(deliveryChecks, ownerChecks, versionChecks, permitChecks)

// Counter is a projection that counts the changes of each aggregate, and in all. A change
// that is counted twice breaks a constraint or the count.
func Counter(d Database) projectiontest.Subject {
	return projectiontest.Subject{
		Dialect: d.Dialect, Database: d.Open, Setup: setUp, Query: func(ctx context.Context, db *sql.DB) (any, error) { return model(ctx, db, "") },
		Handler: counting(d.Dialect, ""),
		Fill: func(ctx context.Context, store *ropewalk.Store) error {
			heads := map[string]head.Head{}
			for i := range 12 {
				id := string(rune('a' + i*i%5))
				h, err := store.Chain(id).Append(ctx, heads[id], ropewalk.Draft{Content: []byte(fmt.Sprint(i))})
				if err != nil {
					return err
				}
				heads[id] = h
			}
			return nil
		},
	}
}

// setUp creates the tables of the read models of two versions: the second one has names
// with the suffix 2.
func setUp(ctx context.Context, db *sql.DB) error {
	for _, suffix := range []string{"", "2"} {
		for _, statement := range []string{
			"CREATE TABLE total" + suffix + " (n BIGINT NOT NULL)",
			"INSERT INTO total" + suffix + " (n) VALUES (0)",
			"CREATE TABLE handled" + suffix + " (aggregate VARCHAR(64) NOT NULL, version BIGINT NOT NULL, PRIMARY KEY (aggregate, version))",
		} {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	}
	return nil
}

// counting is the handler of Counter.
func counting(d projection.Dialect, suffix string) projection.Handler {
	insert, remove := "INSERT INTO handled"+suffix+" (aggregate, version) VALUES (?, ?)", "DELETE FROM handled"+suffix+" WHERE aggregate = ?"
	if d == projection.PostgreSQL {
		insert, remove = "INSERT INTO handled"+suffix+" (aggregate, version) VALUES ($1, $2)", "DELETE FROM handled"+suffix+" WHERE aggregate = $1"
	}
	return func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
		if _, err := tx.ExecContext(ctx, "UPDATE total"+suffix+" SET n = n + 1"); err != nil {
			return err
		}
		if c.Erased {
			_, err := tx.ExecContext(ctx, remove, c.AggregateID)
			return err
		}
		_, err := tx.ExecContext(ctx, insert, c.AggregateID, int64(c.Version))
		return err
	}
}

// Model is what the tables of Counter say.
type Model struct {
	Total   int
	Handled []string
}

func model(ctx context.Context, db *sql.DB, suffix string) (m Model, err error) {
	if err := db.QueryRowContext(ctx, "SELECT n FROM total"+suffix).Scan(&m.Total); err != nil {
		return m, err
	}
	rows, err := db.QueryContext(ctx, "SELECT aggregate, version FROM handled"+suffix+" ORDER BY aggregate, version")
	if err != nil {
		return m, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var version int
		if err := rows.Scan(&id, &version); err != nil {
			return m, err
		}
		m.Handled = append(m.Handled, fmt.Sprint(id, version))
	}
	return m, rows.Err()
}

// standby returns the time after which an owner that is silent is replaced. A statement
// may take a third part of it. In real time it is long: an owner on a machine that
// stalls is not silent for so long.
func (d Database) standby() time.Duration {
	if d.Bubble == nil {
		return 5 * time.Second
	}
	return 1500 * time.Millisecond
}

// world is a store with changes, and a database for their read model.
type world struct {
	t       testing.TB
	d       Database
	driver  string
	dsn     string
	db      *sql.DB // nothing goes wrong there
	log     *memstore.Store
	feed    *feed.Feed
	heads   map[string]head.Head
	options projection.Options
	runs    sync.WaitGroup
}

func newWorld(t testing.TB, d Database) *world {
	w := &world{t: t, d: d, log: memstore.New(), heads: map[string]head.Head{}, options: projection.Options{Standby: d.standby(), RetryPause: time.Millisecond, Retries: 2}}
	w.driver, w.dsn = d.Open(t)
	t.Cleanup(w.runs.Wait)
	w.db = w.process(nil)
	w.feed = w.feedOf(w.log)
	require.NoError(t, setUp(t.Context(), w.db))
	return w
}

// writer returns the store that an aggregate is written to: every second aggregate is
// packed, so that its changesets are in the head, or share objects.
func (w *world) writer(id string) *ropewalk.Store {
	if id[len(id)-1]%2 == 0 {
		return ropewalk.New(w.log, w.log, nil)
	}
	return ropewalk.New(w.log, faults.TwoSteps(w.log), &ropewalk.Options{Packed: true, TipSize: 600})
}

func (w *world) feedOf(log *memstore.Store) *feed.Feed {
	return feed.Open(ropewalk.New(log, log, nil), nil)
}

// process returns the database as another process sees it.
func (w *world) process(script *sqlfaults.Script) *sql.DB {
	if script == nil {
		script = &sqlfaults.Script{}
	}
	if w.d.Sabotage != nil {
		w.d.Sabotage(script)
	}
	db, err := sqlfaults.Open(w.driver, w.dsn, script)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = db.Close() })
	return db
}

func (w *world) projection(db *sql.DB, version int) *projection.Projection {
	return projection.New(db, w.d.Dialect, "counter", version, &w.options)
}

// counting is the handler of a version.
func (w *world) counting(version int) projection.Handler {
	return counting(w.d.Dialect, suffix(version))
}

func suffix(version int) string {
	if version == 1 {
		return ""
	}
	return fmt.Sprint(version)
}

// write appends a changeset to each of the aggregates.
func (w *world) write(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		w.writeContent(id, "content of "+id)
	}
}

func (w *world) writeContent(id, content string) {
	w.t.Helper()
	h, err := w.writer(id).Chain(id).Append(w.t.Context(), w.heads[id], ropewalk.Draft{Content: []byte(content), ContentType: "application/x-ndjson"})
	require.NoError(w.t, err)
	w.heads[id] = h
}

func (w *world) erase(id string) {
	w.t.Helper()
	_, err := w.log.Swap(w.t.Context(), w.heads[id], link.Tombstone(w.heads[id]))
	require.NoError(w.t, err)
}

func (w *world) model(version int) Model {
	w.t.Helper()
	m, err := model(w.t.Context(), w.db, suffix(version))
	require.NoError(w.t, err)
	return m
}

// status returns the row of a version.
func (w *world) status(version int) projection.Status {
	w.t.Helper()
	all, err := w.projection(w.db, 1).Status(w.t.Context())
	require.NoError(w.t, err)
	for _, s := range all {
		if s.Version == version {
			return s
		}
	}
	return projection.Status{}
}

func (w *world) end() feed.Position {
	w.t.Helper()
	end, err := w.feed.End(w.t.Context())
	require.NoError(w.t, err)
	return end
}

// running is a run of a projection.
type running struct {
	t      testing.TB
	cancel context.CancelFunc
	done   chan error
}

func (w *world) start(p *projection.Projection, handler projection.Handler) *running {
	return w.begin(func(ctx context.Context) error { return p.Run(ctx, w.feed, handler) })
}

func (w *world) begin(work func(context.Context) error) *running {
	ctx, cancel := context.WithCancel(w.t.Context())
	r := &running{w.t, cancel, make(chan error, 1)}
	w.runs.Go(func() { r.done <- work(ctx) })
	w.t.Cleanup(cancel)
	return r
}

// wait returns the error of a run that ends without being stopped.
func (r *running) wait() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(time.Minute):
		require.Fail(r.t, "the run did not end")
		return nil
	}
}

// stop ends the run gracefully and returns its error.
func (r *running) stop() error {
	r.cancel()
	return <-r.done
}

// eventually waits for a condition. It gives up after a time in which ten owners can be
// replaced, one after the other.
func (w *world) eventually(condition func() bool) {
	w.t.Helper()
	for began := time.Now(); time.Since(began) < 20*w.d.standby(); time.Sleep(10 * time.Millisecond) {
		if condition() {
			return
		}
	}
	require.Fail(w.t, "it never happened")
}

// handled waits until a version has handled as many changes.
func (w *world) handled(version, n int) {
	w.t.Helper()
	w.eventually(func() bool {
		m, err := model(w.t.Context(), w.db, suffix(version))
		return err == nil && m.Total == n
	})
}
