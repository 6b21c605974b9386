package inspect_test

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
)

// whole is a storage of both.
type whole interface {
	inspect.Changesets
	changeset.Locator
	head.Store
}

// unscanned hides that a storage can scan.
type unscanned struct {
	inspect.Changesets
	changeset.Locator
}

// unscannedMany hides it of a storage that reads many by one request.
type unscannedMany struct {
	unscanned
	changeset.ManyGetter
}

func withoutScan(s whole) inspect.Changesets {
	if many, ok := s.(changeset.ManyGetter); ok {
		return unscannedMany{unscanned{s, s}, many}
	}
	return unscanned{s, s}
}

// reportsOf returns all reports by aggregate, with the problems in order.
func reportsOf(t require.TestingT, changesets inspect.Changesets, heads head.Store, options *inspect.Options) map[string]inspect.Report {
	all := map[string]inspect.Report{}
	for r, err := range inspect.New(changesets, heads, options).VerifyAll(ctx(t)) {
		require.NoError(t, err)
		require.NotContains(t, all, r.AggregateID)
		slices.SortFunc(r.Problems, func(a, b inspect.Problem) int {
			return cmp.Or(strings.Compare(a.String(), b.String()), strings.Compare(a.Object, b.Object))
		})
		all[r.AggregateID] = r
	}
	return all
}

// populate makes aggregates of both formats, with orphans and tips, of small and of
// larger contents: at most so many aggregates, each of so many appends.
func populate(t *rapid.T, s whole, most int) {
	for i := range rapid.IntRange(1, most).Draw(t, "aggregates") {
		id := fmt.Sprintf("a%d", i)
		layout := link.Layout{Packed: rapid.Bool().Draw(t, "packed"), Tip: rapid.SampledFrom([]int{0, 400}).Draw(t, "tip")}
		var h head.Head
		for range rapid.IntRange(0, most).Draw(t, "appends") {
			built, err := link.Build(h, id, [][]body.Draft{layout.Drafts(h, someDrafts(t))}, now, layout)
			require.NoError(t, err)
			for _, o := range built.Objects {
				require.NoError(t, s.Put(ctx(t), o))
			}
			if rapid.IntRange(0, 4).Draw(t, "orphan") > 0 {
				h, err = s.Swap(ctx(t), h, built.Next)
				require.NoError(t, err)
			}
		}
		if h.Exists() && rapid.IntRange(0, 9).Draw(t, "erased") == 0 {
			_, err := s.Swap(ctx(t), h, link.Tombstone(h))
			require.NoError(t, err)
		}
	}
}

func someDrafts(t *rapid.T) []changeset.Draft {
	ds := make([]changeset.Draft, rapid.IntRange(1, 3).Draw(t, "changesets"))
	for i := range ds {
		size := rapid.SampledFrom([]int{0, 5, 90, 4096, 4097, 70_000}).Draw(t, "size")
		ds[i] = draft(strings.Repeat("x", size))
	}
	return ds
}

func requireSameReports(t *rapid.T, s whole) {
	options := rapid.SampledFrom([]*inspect.Options{
		nil, {Parallel: 1}, {Parallel: 1, MaxBytesInFlight: 1}, {MaxBytesInFlight: 64 << 10}, {MaxContentSize: 50}, {HeadersOnly: true},
	}).Draw(t, "options")
	require.Equal(t, reportsOf(t, withoutScan(s), s, options), reportsOf(t, s, s, options))
}

// A scan finds what requests for each aggregate find, also in a damaged store.
func TestScansReportTheSameInMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := memstore.New()
		populate(t, m, 8)
		requireSameReports(t, m)
		for range rapid.IntRange(1, 3).Draw(t, "damages") {
			m.Tamper(func(c *memstore.Contents) { tamperAnywhere(t, c) })
		}
		requireSameReports(t, m)
	})
}

// tamperAnywhere changes, moves or removes one thing.
func tamperAnywhere(t *rapid.T, c *memstore.Contents) {
	names := slices.Sorted(maps.Keys(c.Objects))
	if heads := slices.Sorted(maps.Keys(c.Heads)); len(heads) > 0 && (len(names) == 0 || rapid.IntRange(0, 3).Draw(t, "head") == 0) {
		name := rapid.SampledFrom(heads).Draw(t, "name")
		if rapid.Bool().Draw(t, "removed") {
			delete(c.Heads, name)
			return
		}
		c.Heads[name] = flipped(t, c.Heads[name])
		return
	}
	if len(names) == 0 {
		return
	}
	name := rapid.SampledFrom(names).Draw(t, "name")
	o := *c.Objects[name]
	switch rapid.IntRange(0, 3).Draw(t, "what") {
	case 0:
		delete(c.Objects, name)
		return
	case 1:
		o.Body = flipped(t, o.Body)
	case 2:
		o.Metadata = maps.Clone(o.Metadata)
		key := rapid.SampledFrom(slices.Sorted(maps.Keys(o.Metadata))).Draw(t, "key")
		o.Metadata[key] = string(flipped(t, []byte(o.Metadata[key])))
	case 3:
		o = *c.Objects[rapid.SampledFrom(names).Draw(t, "other")]
	}
	c.Objects[name] = &o
}

func flipped(t *rapid.T, b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) == 0 {
		return []byte("x")
	}
	b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 6).Draw(t, "bit")
	return b
}

func TestScansReportTheSameInSQLite(t *testing.T) {
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		path := filepath.Join(t.TempDir(), fmt.Sprint(n))
		s, err := sqlitestore.Open(path, nil)
		require.NoError(r, err)
		defer s.Close()
		populate(r, s, 4)
		requireSameReports(r, s)
		db, err := sql.Open("sqlite", path)
		require.NoError(r, err)
		defer db.Close()
		for range rapid.IntRange(1, 3).Draw(r, "damages") {
			damageRow(r, db, rapid.SampledFrom([]string{"changesets", "changesets", "heads"}).Draw(r, "table"))
		}
		requireSameReports(r, s)
	})
}

// damageRow changes one column of a row, or removes the row. It changes no key.
func damageRow(t *rapid.T, db *sql.DB, table string) {
	var rows int
	require.NoError(t, db.QueryRowContext(ctx(t), "SELECT count(*) FROM "+table).Scan(&rows))
	if rows == 0 {
		return
	}
	columns, values := rowOf(t, db, table, rapid.IntRange(0, rows-1).Draw(t, "row"))
	where := " WHERE " + strings.Join(columns, " IS ? AND ") + " IS ?"
	i := rapid.IntRange(-1, len(columns)-1).Draw(t, "column")
	if i < 0 {
		_, err := db.ExecContext(ctx(t), "DELETE FROM "+table+where, values...)
		require.NoError(t, err)
		return
	}
	if columns[i] == "aggregate_id" {
		return
	}
	var changed any
	switch v := values[i].(type) {
	case string:
		changed = string(flipped(t, []byte(v)))
	case []byte:
		changed = flipped(t, v)
	case int64:
		changed = v + 1
	}
	_, err := db.ExecContext(ctx(t), "UPDATE OR IGNORE "+table+" SET "+columns[i]+" = ?"+where, append([]any{changed}, values...)...)
	require.NoError(t, err)
}

// rowOf returns the names and the values of the columns of a row.
func rowOf(t *rapid.T, db *sql.DB, table string, place int) (columns []string, values []any) {
	found, err := db.QueryContext(ctx(t), "SELECT * FROM "+table+" LIMIT 1 OFFSET ?", place)
	require.NoError(t, err)
	defer found.Close()
	require.True(t, found.Next())
	columns, err = found.Columns()
	require.NoError(t, err)
	values = make([]any, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	require.NoError(t, found.Scan(into...))
	return columns, values
}

// An aggregate that has too many objects for a scan, or too large ones, is read alone, and
// the aggregates after it are scanned.
func TestScansOfLargeAggregates(t *testing.T) {
	m := fill(t, "a", "b", "x", "z")
	large := &bench{t: t, Store: m, id: "c"}
	for range 300 {
		large.append(draft("many"))
	}
	largest := &bench{t: t, Store: m, id: "d"}
	largest.append(draft(strings.Repeat("x", 5000)))
	counts := meter.New(0)
	in := inspect.New(counts.Changesets(m).(inspect.Changesets), counts.Heads(m), nil)
	reports, err := ropewalk.Collect(in.VerifyAll(t.Context()))
	require.NoError(t, err)
	require.Len(t, reports, 6)
	for _, r := range reports {
		require.Empty(t, r.Problems)
	}
	require.Equal(t, 300, reports[2].Committed)
	// Heads, aggregates, two scans and the objects of c; its head; its objects and d's.
	require.Equal(t, meter.Counts{List: 5, Load: 1, Get: 301}, counts.Count())
}

// A scan that fails, at any object, changes nothing but the requests.
func TestScansThatFail(t *testing.T) {
	m := fill(t, "a", "b", "c")
	want := reportsOf(t, m, m, nil)
	for n := 1; n <= 4; n++ {
		var script faults.Script
		script.On(faults.Scan, n, faults.Fault{Kind: faults.Dropped})
		require.Equal(t, want, reportsOf(t, script.Changesets(m).(inspect.Changesets), script.Heads(m), nil))
		require.Empty(t, script.Unused())
		require.Equal(t, 3, script.Calls(faults.Get))
	}
}

// beforeScan does something right before a scan.
type beforeScan struct {
	*memstore.Store
	then func()
}

func (b beforeScan) Scan(ctx context.Context, ids []string, admission changeset.Admission) iter.Seq2[changeset.Scanned, error] {
	b.then()
	return b.Store.Scan(ctx, ids, admission)
}

// What changes between the listing of the heads and the scan is no fault.
func TestScansOfWhatChangesMeanwhile(t *testing.T) {
	for name, change := range map[string]func(b *bench){
		"append": func(b *bench) { b.append(draft("two")) },
		"erase": func(b *bench) {
			b.swap(link.Tombstone(b.head))
			b.Tamper(func(c *memstore.Contents) { clear(c.Objects) })
		},
		"fence":    func(b *bench) { b.fence() },
		"creation": func(b *bench) { (&bench{t: b.t, Store: b.Store, id: "new"}).append(draft("one")) },
	} {
		b := newBench(t, "a")
		b.append(draft("one"))
		s := beforeScan{b.Store, func() {}}
		s.then = func() { change(b); change = func(*bench) {} }
		reports := reportsOf(t, s, s, nil)
		require.Empty(t, reports["a"].Problems, name)
		if name == "append" || name == "erase" {
			require.True(t, reports["a"].Head.SameRecord(b.head), name)
		}
		if name == "append" {
			require.Equal(t, 2, reports["a"].Committed)
		}
	}
}

// misordered yields the objects of a scan in another order, or of another aggregate.
type misordered struct{ *memstore.Store }

func (m misordered) Scan(ctx context.Context, ids []string, admission changeset.Admission) iter.Seq2[changeset.Scanned, error] {
	ids = slices.Clone(ids)
	slices.Reverse(ids)
	return m.Store.Scan(ctx, append(ids, "unasked"), admission)
}

func TestAScanThatIsOutOfOrderIsNotTrusted(t *testing.T) {
	m := fill(t, "a", "b", "unasked")
	require.Equal(t, reportsOf(t, m, m, nil), reportsOf(t, misordered{m}, m, nil))
}

// An error of the storage is no report: neither of the aggregate that it met, nor of one
// without an ID.
func TestAnErrorIsNoReport(t *testing.T) {
	for name, hide := range map[string]func(whole) inspect.Changesets{
		"scans": func(s whole) inspect.Changesets { return s }, "no scans": withoutScan,
	} {
		t.Run(name, func(t *testing.T) {
			db, script := memstore.New(), &faults.Script{}
			_, err := ropewalk.New(db, db, nil).Chain("order").Create(t.Context(), draft("created"))
			require.NoError(t, err)
			for _, op := range []faults.Op{faults.Load, faults.Get, faults.GetMany, faults.Scan} {
				script.Every(op, faults.Fault{Kind: faults.Dropped})
			}
			db.Tamper(func(c *memstore.Contents) { delete(c.Heads, head.ObjectName("order")) })
			failed := false
			for r, err := range inspect.New(script.Changesets(hide(db)).(inspect.Changesets), script.Heads(db), nil).VerifyAll(t.Context()) {
				require.ErrorIs(t, err, faults.ErrInjected)
				require.Zero(t, r)
				failed = true
			}
			require.True(t, failed)
		})
	}
}
