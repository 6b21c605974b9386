//go:build integration

package integration_test

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/archive"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/feed"
	"ropewalk/gc"
)

// duckdbScript runs statements in DuckDB and prints what the queries among them return.
//
//go:embed testdata/answers.py
var duckdbScript string

// statements are the statements of a page, by the dialect that its blocks name.
type statements struct {
	Run    []string `json:"run"`    // for DuckDB
	Cloud  []string `json:"cloud"`  // for DuckDB, with a cloud
	Athena []string `json:"athena"` // for Athena
}

var sqlBlock = regexp.MustCompile("(?s)```sql( \\w+)?\n(.*?)```")

func statementsOf(t *testing.T, page string) (s statements) {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	into := map[string]*[]string{"": &s.Run, " cloud": &s.Cloud, " athena": &s.Athena}
	for _, b := range sqlBlock.FindAllStringSubmatch(string(text), -1) {
		require.Contains(t, into, b[1])
		*into[b[1]] = append(*into[b[1]], b[2])
	}
	return s
}

// ask runs the statements in a folder, and returns the rows of each query.
func (s statements) ask(t *testing.T, folder string) (tables []sqlRows) {
	python := os.Getenv("ROPEWALK_TEST_DUCKDB_PYTHON")
	if python == "" {
		t.Fatal("ROPEWALK_TEST_DUCKDB_PYTHON is not set: it must name a Python that can import duckdb and sqlglot; make test installs one and sets it")
	}
	in, err := json.Marshal(s)
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), python, "-c", duckdbScript)
	command.Dir, command.Stdin = folder, bytes.NewReader(in)
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	require.NoError(t, err, stderr.String())
	require.NoError(t, json.Unmarshal(out, &tables))
	return tables
}

// orderEvent is an event as the page's examples have it.
type orderEvent struct {
	aggregate string
	version   uint64
	index     int
	Type      string    `json:"type"`
	Time      time.Time `json:"time"`
	Data      orderData `json:"data"`
}

type orderData struct {
	Customer string `json:",omitempty"`
	Item     string `json:",omitempty"`
	Quantity int    `json:",omitempty"`
}

var firstOrder = time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)

// orderEvents returns the events of an order: a changeset of one event and one of two,
// and another one if the order is shipped.
func orderEvents(n int) (events []orderEvent) {
	at := firstOrder.Add(time.Duration(n) * 97 * time.Minute)
	events = []orderEvent{
		{Type: "created", Time: at, Data: orderData{Customer: fmt.Sprintf("customer %d", n%3)}},
		{version: 1, Type: "line-added", Time: at.Add(time.Minute), Data: orderData{Item: fmt.Sprintf("rope %d", n%7), Quantity: 1 + n%4}},
		{version: 1, index: 1, Type: "line-added", Time: at.Add(time.Minute), Data: orderData{Item: "pin", Quantity: n}},
		{version: 2, Type: "shipped", Time: at.Add(time.Duration(n) * 11 * time.Minute)},
	}
	if n%3 == 0 {
		events = events[:3]
	}
	for i := range events {
		events[i].aggregate = fmt.Sprintf("order-%d", n)
	}
	return events
}

const (
	orderCount  = 40
	erasedOrder = "order-11" // is in both runs of the archive before it is erased
	noteChain   = "notes"    // has no events
)

// analytics is a folder with what the page's statements read.
type analytics struct {
	*testing.T
	folder string
	store  *ropewalk.Store
	db     *memstore.Store
	events []orderEvent
	late   map[string]uint64 // the first version that was appended after the first run
}

func newAnalytics(t *testing.T) *analytics {
	a := &analytics{T: t, folder: t.TempDir(), db: memstore.New(), late: map[string]uint64{}}
	a.store = ropewalk.New(a.db, a.db, nil)
	for n := range orderCount {
		a.write(orderEvents(n)[:3])
	}
	a.append(noteChain, changeset.Draft{Content: []byte{0, 1}})
	a.archive()
	for n := range orderCount {
		if events := orderEvents(n)[3:]; len(events) > 0 {
			a.write(events)
			a.late[events[0].aggregate] = events[0].version
		}
	}
	_, err := gc.New(a.db, a.db, nil).Erase(t.Context(), erasedOrder)
	require.NoError(t, err)
	a.events = slices.DeleteFunc(a.events, func(e orderEvent) bool { return e.aggregate == erasedOrder })
	delete(a.late, erasedOrder)
	a.archive()
	report, err := archive.Open(archive.NewFolder(a.path("orders-archive")), nil).Erase(t.Context())
	require.NoError(t, err)
	require.Positive(t, report.Rows)
	a.strew()
	a.export()
	return a
}

func (a *analytics) path(name string) string {
	return filepath.Join(a.folder, filepath.FromSlash(name))
}

// write appends the events of an order, with the events of a version together.
func (a *analytics) write(events []orderEvent) {
	a.events = append(a.events, events...)
	var versions [][]byte
	for i, e := range events {
		if i == 0 || e.version != events[i-1].version {
			versions = append(versions, nil)
		}
		text, err := json.Marshal(e)
		require.NoError(a, err)
		last := len(versions) - 1
		versions[last] = append(append(versions[last], text...), '\n')
	}
	for _, content := range versions {
		a.append(events[0].aggregate, changeset.Draft{Content: content, ContentType: aggregate.ContentType})
	}
}

func (a *analytics) append(id string, d changeset.Draft) {
	h, err := a.store.Chain(id).Head(a.Context())
	if err != nil {
		require.ErrorIs(a, err, ropewalk.ErrNotFound)
	}
	_, err = a.store.Chain(id).Append(a.Context(), h, d)
	require.NoError(a, err)
}

func (a *analytics) archive() {
	_, err := archive.Open(archive.NewFolder(a.path("orders-archive")), nil).Run(a.Context(), feed.Open(a.store, nil))
	require.NoError(a, err)
}

// strew adds a file that no manifest names, as an interrupted run leaves it. It would be
// counted twice.
func (a *analytics) strew() {
	files, err := filepath.Glob(a.path("orders-archive/day=*/type=shipped/*.parquet"))
	require.NoError(a, err)
	content, err := os.ReadFile(files[0])
	require.NoError(a, err)
	require.NoError(a, os.WriteFile(filepath.Join(filepath.Dir(files[0]), "000000000099-00.parquet"), content, 0o600))
}

// export writes all rows as Parquet, all lines as NDJSON, and all objects.
func (a *analytics) export() {
	var file, lines bytes.Buffer
	w := archive.NewWriter(&file)
	for c := range a.changesets() {
		for row := range archive.RowsOf(c, feed.Position{}) {
			require.NoError(a, w.Write(row))
		}
		object := a.path("bucket/" + changeset.FolderOf(c.AggregateID) + c.ID.String())
		require.NoError(a, os.MkdirAll(filepath.Dir(object), 0o700))
		require.NoError(a, os.WriteFile(object, c.Content, 0o600))
		if c.ContentType == aggregate.ContentType {
			lines.WriteString(strings.ReplaceAll(string(c.Content), `{"type"`, `{"aggregate":"`+c.AggregateID+`","type"`))
		}
	}
	require.NoError(a, w.Close())
	require.NoError(a, os.WriteFile(a.path("events.parquet"), file.Bytes(), 0o600))
	require.NoError(a, os.WriteFile(a.path("events.ndjson"), lines.Bytes(), 0o600))
}

// changesets yields the changesets of all chains that are not erased.
func (a *analytics) changesets() func(func(changeset.Changeset) bool) {
	return func(yield func(changeset.Changeset) bool) {
		for h, err := range a.store.Heads(a.Context(), "") {
			require.NoError(a, err)
			if h.AggregateID == erasedOrder {
				continue
			}
			for c, err := range a.store.Chain(h.AggregateID).ReaderAt(h).All(a.Context()) {
				require.NoError(a, err)
				if !yield(c) {
					return
				}
			}
		}
	}
}

// Every statement of the page for DuckDB runs, and answers what a fold over the events
// answers.
func TestAnalyticsPage(t *testing.T) {
	page := statementsOf(t, "../docs/analytics.md")
	require.NotEmpty(t, page.Cloud)
	require.GreaterOrEqual(t, len(page.Athena), 3)
	a := newAnalytics(t)
	tables := page.ask(t, a.folder)
	wants := []any{
		a.exported(), a.perDay(), a.history("order-7"), a.stateAt(time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)),
		a.leadTime(), a.top(5), a.changed(), a.perType(), a.perObject(),
	}
	require.Len(t, tables, len(wants), "as many queries as answers")
	for i, want := range wants {
		text, err := json.Marshal(want)
		require.NoError(t, err)
		got, err := json.Marshal(tables[i])
		require.NoError(t, err)
		require.JSONEq(t, string(text), string(got), "query %d", i)
	}
}

// sqlRows are the rows that a query returns.
type sqlRows = []map[string]any

func (a *analytics) exported() sqlRows {
	return sqlRows{{"events": len(a.events) + 1, "orders": orderCount}}
}

// counted counts the events by a key, and returns a row for each key, sorted.
func (a *analytics) counted(key func(orderEvent) [2]string, row func(key [2]string, n int) map[string]any) (rows sqlRows) {
	counts := map[[2]string]int{}
	for _, e := range a.events {
		counts[key(e)]++
	}
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		rows = append(rows, row(k, counts[k]))
	}
	return rows
}

func (a *analytics) perDay() sqlRows {
	rows := a.counted(
		func(e orderEvent) [2]string { return [2]string{e.Time.Format(time.DateOnly), e.Type} },
		func(k [2]string, n int) map[string]any {
			return map[string]any{"date": k[0], "type": k[1], "events": n}
		},
	)
	today := time.Now().UTC().Format(time.DateOnly) // the note has no time of its own
	return append(rows, map[string]any{"date": today, "type": nil, "events": 1})
}

func (a *analytics) history(id string) (rows sqlRows) {
	for _, e := range a.events {
		if e.aggregate == id {
			rows = append(rows, map[string]any{
				"version": e.version, "index": e.index, "type": e.Type, "time": e.Time.Format("2006-01-02 15:04:05+00"), "data": e.Data,
			})
		}
	}
	return rows
}

func (a *analytics) stateAt(end time.Time) (rows sqlRows) {
	states := map[string]map[string]any{}
	for _, e := range a.events {
		if !e.Time.Before(end) {
			continue
		}
		if states[e.aggregate] == nil {
			states[e.aggregate] = map[string]any{"aggregate": e.aggregate, "pieces": 0, "shipped": false}
		}
		s := states[e.aggregate]
		switch e.Type {
		case "created":
			s["customer"] = e.Data.Customer
		case "line-added":
			s["pieces"] = s["pieces"].(int) + e.Data.Quantity
		case "shipped":
			s["shipped"] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(states)) {
		rows = append(rows, states[id])
	}
	return rows
}

func (a *analytics) leadTime() sqlRows {
	created, minutes := map[string]time.Time{}, []float64{}
	for _, e := range a.events {
		switch e.Type {
		case "created":
			created[e.aggregate] = e.Time
		case "shipped":
			minutes = append(minutes, e.Time.Sub(created[e.aggregate]).Minutes())
		}
	}
	slices.Sort(minutes)
	n := len(minutes)
	return sqlRows{{
		"created": len(created), "shipped": n,
		"median_minutes": (minutes[(n-1)/2] + minutes[n/2]) / 2, "longest_minutes": minutes[n-1],
	}}
}

func (a *analytics) top(n int) (rows sqlRows) {
	pieces := map[string]int{}
	for _, e := range a.events {
		if e.Type == "line-added" {
			pieces[e.Data.Item] += e.Data.Quantity
		}
	}
	items := slices.SortedFunc(maps.Keys(pieces), func(a, b string) int {
		return cmp.Or(cmp.Compare(pieces[b], pieces[a]), cmp.Compare(a, b))
	})
	for _, item := range items[:n] {
		rows = append(rows, map[string]any{"item": item, "pieces": pieces[item]})
	}
	return rows
}

func (a *analytics) changed() (rows sqlRows) {
	for _, id := range slices.Sorted(maps.Keys(a.late)) {
		rows = append(rows, map[string]any{"aggregate": id, "first": a.late[id], "last": a.late[id]})
	}
	return rows
}

func (a *analytics) perType() sqlRows {
	return a.counted(
		func(e orderEvent) [2]string { return [2]string{e.Type} },
		func(k [2]string, n int) map[string]any { return map[string]any{"type": k[0], "events": n} },
	)
}

func (a *analytics) perObject() sqlRows {
	return a.counted(
		func(e orderEvent) [2]string { return [2]string{e.aggregate, e.Type} },
		func(k [2]string, n int) map[string]any {
			return map[string]any{"aggregate": k[0], "type": k[1], "events": n}
		},
	)
}
