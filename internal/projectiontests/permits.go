package projectiontests

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/internal/permits"
	"ropewalk/internal/sqlfaults"
	"ropewalk/projection"
)

var permitChecks = []check{
	{"open permits by department, with two instances, ten kills, lost COMMITs, a rebuild and a switch", followsPermits},
}

// step is an event of a permit.
type step struct {
	Type       string `json:"-"`
	Department string `json:"department"`
}

func (s step) EventName() string { return s.Type }

// line is an event of the log of permits.
type line struct {
	permits.Line
	step step
}

func (w *world) lines() []line {
	log, err := permits.Log(400)
	require.NoError(w.t, err)
	all := make([]line, len(log))
	for i, l := range log {
		all[i].Line = l
		require.NoError(w.t, json.Unmarshal(l.Data, &all[i].step))
		all[i].step.Type = l.Type
	}
	return all
}

// closes reports whether a step closes a permit.
func (s step) closes() bool { return strings.HasPrefix(s.Type, "T10") }

// fold returns how many permits are open in each department: in the department of their
// latest step, unless a step has closed them.
func fold(lines []line) map[string]int {
	at, closed := map[string]string{}, map[string]bool{}
	for _, l := range lines {
		at[l.Aggregate] = l.step.Department
		closed[l.Aggregate] = closed[l.Aggregate] || l.step.closes()
	}
	open := map[string]int{}
	for id, department := range at {
		if !closed[id] {
			open[department]++
		}
	}
	return open
}

// permitType has the events of the lines.
func permitType(lines []line) aggregate.Type[int, step] {
	events := aggregate.Events[step]{}
	for _, l := range lines {
		events[l.Type] = step{Type: l.Type}
	}
	return aggregate.Type[int, step]{Name: "permit", Events: events, Evolve: func(n int, _ step) int { return n + 1 }}
}

// story is the read model "open permits by department" under the suffix of a version.
type story struct {
	*world
	typ   aggregate.Type[int, step]
	kills atomic.Int32
}

func (s *story) setUp(suffix string) {
	s.t.Helper()
	for _, statement := range []string{
		"CREATE TABLE permits" + suffix + " (id VARCHAR(64) PRIMARY KEY, department VARCHAR(64) NOT NULL, closed INTEGER NOT NULL)",
		"CREATE TABLE departments" + suffix + " (name VARCHAR(64) PRIMARY KEY, open_permits INTEGER NOT NULL)",
	} {
		_, err := s.db.ExecContext(s.t.Context(), statement)
		require.NoError(s.t, err)
	}
}

// handler moves a permit to the department of its newest step.
func (s *story) handler(suffix string) projection.Handler {
	return projection.Handle(s.typ, func(ctx context.Context, tx *sql.Tx, e aggregate.Delivered[step]) error {
		var department string
		var closed int
		err := tx.QueryRowContext(ctx, s.bind("SELECT department, closed FROM permits"+suffix+" WHERE id = ?"), e.AggregateID).Scan(&department, &closed)
		isNew := errors.Is(err, sql.ErrNoRows)
		if err != nil && !isNew {
			return err
		}
		was, is := !isNew && closed == 0, closed == 0 && !e.Event.closes()
		if was {
			if err := s.count(ctx, tx, suffix, department, -1); err != nil {
				return err
			}
		}
		if is {
			if err := s.count(ctx, tx, suffix, e.Event.Department, 1); err != nil {
				return err
			}
		}
		if !is {
			closed = 1
		}
		statement := "UPDATE permits" + suffix + " SET department = ?, closed = ? WHERE id = ?"
		if isNew {
			statement = "INSERT INTO permits" + suffix + " (department, closed, id) VALUES (?, ?, ?)"
		}
		_, err = tx.ExecContext(ctx, s.bind(statement), e.Event.Department, closed, e.AggregateID)
		return err
	}, nil)
}

func (s *story) count(ctx context.Context, tx *sql.Tx, suffix, department string, n int) error {
	result, err := tx.ExecContext(ctx, s.bind("UPDATE departments"+suffix+" SET open_permits = open_permits + ? WHERE name = ?"), n, department)
	if err != nil {
		return err
	}
	if rows, err := result.RowsAffected(); err != nil || rows == 1 {
		return err
	}
	_, err = tx.ExecContext(ctx, s.bind("INSERT INTO departments"+suffix+" (name, open_permits) VALUES (?, ?)"), department, n)
	return err
}

// bind returns a statement with the placeholders of the dialect.
func (w *world) bind(statement string) string {
	if w.d.Dialect != projection.PostgreSQL {
		return statement
	}
	for i := 1; strings.Contains(statement, "?"); i++ {
		statement = strings.Replace(statement, "?", fmt.Sprint("$", i), 1)
	}
	return statement
}

// open returns what the read model says.
func (s *story) open(suffix string) map[string]int {
	s.t.Helper()
	rows, err := s.db.QueryContext(s.t.Context(), "SELECT name, open_permits FROM departments"+suffix+" WHERE open_permits <> 0")
	require.NoError(s.t, err)
	defer rows.Close()
	open := map[string]int{}
	for rows.Next() {
		var name string
		var n int
		require.NoError(s.t, rows.Scan(&name, &n))
		open[name] = n
	}
	require.NoError(s.t, rows.Err())
	return open
}

// maxKills is how often processes are killed while others are alive.
const maxKills = 10

// followsPermits imports permits while two processes run the projection. They are killed ten
// times, and replies of COMMIT are lost. In the middle a process builds the second version
// and switches over, while the processes of the first one go on.
func followsPermits(w *world) {
	lines := w.lines()
	s := &story{world: w, typ: permitType(lines)}
	s.setUp("")
	s.setUp("2")
	var old []*running
	for i := range 2 {
		old = append(old, s.begin(func(ctx context.Context) error { return s.restart(ctx, uint64(i)) }))
	}
	s.save(lines[:len(lines)/2])
	s.eventually(func() bool { return s.kills.Load() >= maxKills && s.liveAt() })
	require.Equal(s.t, fold(lines[:len(lines)/2]), s.open(""))

	rebuilding := s.begin(func(ctx context.Context) error {
		return s.projection(s.process(s.careless(3)), 2).Rebuild(ctx, s.feed, s.handler("2"), nil)
	})
	s.save(lines[len(lines)/2 : len(lines)*3/4])
	require.NoError(s.t, rebuilding.wait())
	frozen := s.open("")
	s.save(lines[len(lines)*3/4:])
	for _, r := range old {
		require.ErrorIs(s.t, r.wait(), projection.ErrOtherVersion)
	}
	require.NoError(s.t, s.projection(s.db, 2).Once(s.t.Context(), s.feed, s.handler("2")))
	require.NotEmpty(s.t, fold(lines))
	require.Equal(s.t, fold(lines), s.open("2"))
	require.Equal(s.t, frozen, s.open(""), "the old version went on after the switch")
	s.t.Logf("%d events, %d permits, %d departments", len(lines), len(s.heads), len(fold(lines)))
}

// liveAt reports whether the first version has handled everything.
func (s *story) liveAt() bool { return s.status(1).Position == s.end() }

// save appends each line to its aggregate.
func (s *story) save(lines []line) {
	s.t.Helper()
	store := ropewalk.New(s.log, s.log, nil)
	for i, l := range lines {
		content, err := s.typ.Encode(aggregate.Recorded[step]{Event: l.step})
		require.NoError(s.t, err)
		s.heads[l.Aggregate], err = store.Chain(l.Aggregate).Append(s.t.Context(), s.heads[l.Aggregate], ropewalk.Draft{Content: content, ContentType: aggregate.ContentType})
		require.NoError(s.t, err)
		if i%20 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// careless returns a script that loses every nth reply of COMMIT, and refuses others.
func (s *story) careless(nth int) *sqlfaults.Script {
	var commits atomic.Int32
	return &sqlfaults.Script{Decide: func(step sqlfaults.Step) sqlfaults.Verdict {
		if step.Kind != sqlfaults.Commit {
			return sqlfaults.Pass
		}
		switch int(commits.Add(1)) % nth {
		case 0:
			return sqlfaults.Lose
		case 1:
			return sqlfaults.Refuse
		}
		return sqlfaults.Pass
	}}
}

// restart runs process after process of the first version. The first processes are killed
// while they work.
func (s *story) restart(ctx context.Context, seed uint64) error {
	for random := rand.New(rand.NewPCG(seed, 2)); ctx.Err() == nil; {
		script := s.careless(4)
		if s.kills.Load() < maxKills {
			careless, last := script.Decide, 5+random.IntN(30)
			script.Decide = func(step sqlfaults.Step) sqlfaults.Verdict {
				if step.Number >= last && s.owns(step) {
					return sqlfaults.KillBefore + sqlfaults.Verdict(last%2)
				}
				return careless(step)
			}
		}
		run, kill := context.WithCancel(ctx)
		script.Killed = func() {
			s.kills.Add(1)
			kill()
		}
		err := s.projection(s.process(script), 1).Run(run, s.feed, s.handler(""))
		kill()
		if err != nil && !script.Dead() && !errors.Is(err, projection.ErrReplaced) { // a slow owner is replaced, too
			return err
		}
	}
	return nil
}

// owns reports whether a step is of an owner at work.
func (s *story) owns(step sqlfaults.Step) bool {
	return step.Kind == sqlfaults.Commit || step.Kind == sqlfaults.Begin || strings.Contains(step.Query, "permits")
}
