package projection_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/feed"
	"ropewalk/projection"
)

func open(t *testing.T) *sql.DB {
	driver, dsn := sqlite(t)
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestArgumentsAreChecked(t *testing.T) {
	db := open(t)
	f := feed.Open(ropewalk.New(memstore.New(), memstore.New(), nil), nil)
	for want, p := range map[string]*projection.Projection{
		"name of a projection": projection.New(db, projection.SQLite, "a b", 1, nil),
		"1 to 64":              projection.New(db, projection.SQLite, strings.Repeat("a", 65), 1, nil),
		"version 0":            projection.New(db, projection.SQLite, "a", 0, nil),
		"name of a table":      projection.New(db, projection.SQLite, "a", 1, &projection.Options{Table: "a; DROP TABLE b"}),
		"not a dialect":        projection.New(db, 0, "a", 1, nil),
	} {
		for _, err := range []error{
			p.Run(t.Context(), f, nil), p.Once(t.Context(), f, nil), p.Rebuild(t.Context(), f, nil, nil), p.Drop(t.Context(), nil),
			second(p.Status(t.Context())), second(p.Live(t.Context())),
		} {
			require.ErrorContains(t, err, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// The table is a stored format: programs create it themselves, and queries read it.
func TestSchema(t *testing.T) {
	const want = `CREATE TABLE IF NOT EXISTS app.models (
	name VARCHAR(64) NOT NULL,
	version INTEGER NOT NULL,
	position VARCHAR(120) NOT NULL,
	fence BIGINT NOT NULL,
	owner VARCHAR(32) NOT NULL,
	beat BIGINT NOT NULL,
	live SMALLINT,
	PRIMARY KEY (name, version),
	UNIQUE (name, live)
)`
	for dialect, end := range map[projection.Dialect]string{
		projection.PostgreSQL: "", projection.SQLite: "", projection.MySQL: " CHARACTER SET ascii COLLATE ascii_bin",
	} {
		require.Equal(t, want+end, projection.New(nil, dialect, "a", 1, &projection.Options{Table: "app.models"}).Schema(), dialect)
	}
}

// A program without the right to create tables works if the table exists.
func TestTheTableIsCreatedOnlyIfItIsMissing(t *testing.T) {
	db := open(t)
	log := memstore.New()
	f := feed.Open(ropewalk.New(log, log, nil), nil)
	p := projection.New(db, projection.SQLite, "a", 1, &projection.Options{Table: "main.models"})
	_, err := p.Status(t.Context())
	require.ErrorContains(t, err, "models")
	_, err = db.ExecContext(t.Context(), strings.Replace(p.Schema(), "live SMALLINT", "live SMALLINT, added INTEGER", 1))
	require.NoError(t, err)
	require.NoError(t, p.Once(t.Context(), f, nil))
	_, err = db.ExecContext(t.Context(), "SELECT added FROM models WHERE name = 'a'")
	require.NoError(t, err, "the table was replaced")
	live, err := p.Live(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, live)
}

// The database refuses a second live version.
func TestOneVersionIsLive(t *testing.T) {
	db := open(t)
	_, err := db.ExecContext(t.Context(), projection.New(db, projection.SQLite, "a", 1, nil).Schema())
	require.NoError(t, err)
	insert := func(name string, version int, live any) error {
		_, err := db.ExecContext(t.Context(), "INSERT INTO ropewalk_projections VALUES (?, ?, '', 0, '', 0, ?)", name, version, live)
		return err
	}
	require.NoError(t, insert("a", 1, 1))
	require.NoError(t, insert("a", 2, nil))
	require.NoError(t, insert("a", 3, nil))
	require.NoError(t, insert("b", 1, 1))
	require.Error(t, insert("a", 4, 1))
}

func TestAPositionThatDoesNotParseIsAnError(t *testing.T) {
	db := open(t)
	p := projection.New(db, projection.SQLite, "a", 1, nil)
	_, err := db.ExecContext(t.Context(), p.Schema())
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "INSERT INTO ropewalk_projections VALUES ('a', 1, 'x', 0, '', 0, 1)")
	require.NoError(t, err)
	_, err = p.Status(t.Context())
	require.ErrorContains(t, err, "ropewalk_projections")
	require.ErrorContains(t, err, "not a position")
}

type deposit struct{ Amount int }

func (deposit) EventName() string { return "deposited" }

var accounts = aggregate.Type[int, deposit]{
	Name: "account", Evolve: func(sum int, d deposit) int { return sum + d.Amount }, Events: aggregate.Events[deposit]{"deposited": deposit{}},
}

func TestHandleHandsOverEventsAndErasures(t *testing.T) {
	var amounts []int
	var gone []string
	wrong := errors.New("wrong")
	event := func(_ context.Context, _ *sql.Tx, e aggregate.Delivered[deposit]) error {
		amounts = append(amounts, e.Event.Amount)
		if e.Event.Amount < 0 {
			return wrong
		}
		return nil
	}
	handler := projection.Handle(accounts, event, func(_ context.Context, _ *sql.Tx, id string) error {
		gone = append(gone, id)
		return wrong
	})
	content := func(amounts ...int) (c feed.Change) {
		for _, amount := range amounts {
			text, err := accounts.Encode(aggregate.Recorded[deposit]{Event: deposit{amount}})
			require.NoError(t, err)
			c.Content = append(c.Content, text...)
		}
		return c
	}
	require.NoError(t, handler(t.Context(), nil, content(1, 2)))
	require.ErrorIs(t, handler(t.Context(), nil, content(3, -4, 5)), wrong)
	require.Equal(t, []int{1, 2, 3, -4}, amounts)
	erased := feed.Change{Erased: true}
	erased.AggregateID = "a"
	require.ErrorIs(t, handler(t.Context(), nil, erased), wrong)
	require.Equal(t, []string{"a"}, gone)
	require.NoError(t, projection.Handle(accounts, event, nil)(t.Context(), nil, erased))

	c := feed.Change{}
	c.Content = []byte(`{"type":"unknown","data":1}`)
	_, unknown := errors.AsType[*aggregate.UnknownEventError](handler(t.Context(), nil, c))
	require.True(t, unknown)
	require.Panics(t, func() { projection.Handle(aggregate.Type[int, deposit]{}, event, nil) })
}
