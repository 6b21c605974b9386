package projectiontest

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"ropewalk"
	"ropewalk/feed"
	"ropewalk/head"
	"ropewalk/projection"
)

// lengths keeps the number of changes, and the newest content of each aggregate.
func lengths() Subject {
	return Subject{
		Dialect: projection.SQLite,
		Database: func(t testing.TB) (driver, dsn string) {
			return "sqlite", "file:" + filepath.Join(t.TempDir(), "model.db") + "?_pragma=journal_mode(wal)&_pragma=synchronous(off)&_pragma=busy_timeout(10000)"
		},
		Setup: func(ctx context.Context, db *sql.DB) error {
			_, err := db.ExecContext(ctx, "CREATE TABLE newest (id TEXT PRIMARY KEY, content TEXT, changes INTEGER)")
			return err
		},
		Handler: handle,
		Query: func(ctx context.Context, db *sql.DB) (any, error) {
			var all string
			err := db.QueryRowContext(ctx, "SELECT group_concat(id || content || changes ORDER BY id) FROM newest").Scan(&all)
			return all, err
		},
		Fill: func(ctx context.Context, store *ropewalk.Store) error {
			heads := map[string]head.Head{}
			for i := range 4 {
				id := fmt.Sprint("n", i%2)
				h, err := store.Chain(id).Append(ctx, heads[id], ropewalk.Draft{Content: fmt.Append(nil, i)}, ropewalk.Draft{Content: fmt.Append(nil, -i)})
				if err != nil {
					return err
				}
				heads[id] = h
			}
			return nil
		},
	}
}

func handle(ctx context.Context, tx *sql.Tx, c feed.Change) error {
	if c.Erased {
		_, err := tx.ExecContext(ctx, "DELETE FROM newest WHERE id = ?", c.AggregateID)
		return err
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO newest VALUES (?, ?, 1) ON CONFLICT (id) DO UPDATE SET content = excluded.content, changes = changes + 1", c.AggregateID, string(c.Content))
	return err
}

func TestTheSuitePassesAGoodProjection(t *testing.T) { Test(t, lengths()) }

// requireFailing demands that a projection fails checks.
func requireFailing(t *testing.T, s Subject, names ...string) {
	t.Helper()
	for _, c := range checks {
		if !slices.Contains(names, c.name) {
			continue
		}
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.run(r, s)
		}()
		<-done
		require.True(t, r.failed.Load(), c.name)
	}
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

const (
	repeated    = "an undisturbed run can be repeated"
	interleaved = "the order of the changes across aggregates does not matter"
	redelivered = "each change is handed over again after its transaction was rolled back"
	lost        = "each step fails without an effect, or takes effect and its reply is lost"
	killed      = "the process is killed before and after each step"
	unanswered  = "no COMMIT is answered"
	turns       = "two processes take turns at any moment"
)

// The effect is in another database than the position: it is there twice if the
// transaction of the position is not committed.
func TestWithoutTheSharedTransactionTheSuiteFails(t *testing.T) {
	if testing.Short() {
		t.Skip("the sample of steps can miss it")
	}
	s := lengths()
	var other *sql.DB
	setup, query := s.Setup, s.Query
	s.Setup = func(ctx context.Context, _ *sql.DB) (err error) {
		driver, dsn := s.Database(t)
		other, err = sql.Open(driver, dsn)
		require.NoError(t, err)
		t.Cleanup(func() { _ = other.Close() })
		return setup(ctx, other)
	}
	s.Query = func(ctx context.Context, _ *sql.DB) (any, error) { return query(ctx, other) }
	s.Handler = func(ctx context.Context, _ *sql.Tx, c feed.Change) error {
		own, err := other.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = own.Rollback() }()
		if err := handle(ctx, own, c); err != nil {
			return err
		}
		return own.Commit()
	}
	requireFailing(t, s, redelivered, lost, killed, unanswered)
}

func TestTheSuiteFindsHandlersThatAreWrong(t *testing.T) {
	if testing.Short() {
		t.Skip("the sample of steps can miss it")
	}
	for name, test := range map[string]struct {
		change  func(s *Subject)
		noticed []string
	}{
		"it remembers changes outside of the transaction": {func(s *Subject) {
			changes := 0
			s.Handler = func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
				changes++
				if err := handle(ctx, tx, c); err != nil {
					return err
				}
				_, err := tx.ExecContext(ctx, "UPDATE newest SET changes = ? WHERE id = ?", changes, c.AggregateID)
				return err
			}
		}, []string{repeated, redelivered}},
		"it ignores errors of the transaction": {func(s *Subject) {
			s.Handler = func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
				_ = handle(ctx, tx, c)
				return nil
			}
		}, []string{lost}},
		"it depends on the order across aggregates": {func(s *Subject) {
			s.Handler = func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
				if err := handle(ctx, tx, c); err != nil {
					return err
				}
				_, err := tx.ExecContext(ctx, "UPDATE newest SET changes = (SELECT sum(changes) FROM newest) WHERE id = ?", c.AggregateID)
				return err
			}
		}, []string{interleaved}},
		"it commits": {func(s *Subject) {
			s.Handler = func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
				if err := handle(ctx, tx, c); err != nil {
					return err
				}
				return tx.Commit()
			}
		}, []string{repeated, interleaved, redelivered, lost, killed, unanswered, turns}},
	} {
		t.Run(name, func(t *testing.T) {
			s := lengths()
			test.change(&s)
			requireFailing(t, s, test.noticed...)
		})
	}
}

func TestAnOrderedProjectionIsNotInterleaved(t *testing.T) {
	s := lengths()
	s.Ordered, s.Handler = true, nil
	interleaves(t, s)
}
