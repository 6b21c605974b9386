package main

import (
	"context"
	"fmt"
	"math"

	"ropewalk"
	"ropewalk/backends/dynamostore"
	"ropewalk/backends/memstore"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/peers"
	"ropewalk/bench/internal/report"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/meter"
)

// spending is what was sent for a chain of n changesets, and what it costs.
type spending struct {
	n            int
	append, read float64 // dollars for a million
	puts         int     // of objects
	units        int     // that DynamoDB charges for the writes of heads
}

// aMillion returns what a million cost if n cost so many dollars a million times.
func aMillion(dollars float64, n int) float64 { return dollars / float64(n) }

// spend appends events one by one and reads them, with heads in DynamoDB or in S3.
func (l layout) spend(ctx context.Context, n int, inS3 bool, event []byte) (spending, error) {
	bill, m, db := lab.NewBill(), meter.New(0), memstore.New()
	heads := head.Store(faults.TwoSteps(db))
	if !inS3 {
		var err error
		if heads, err = dynamostore.New(bill.Client(), "heads", nil); err != nil {
			return spending{}, err
		}
	}
	store := ropewalk.New(m.Changesets(db), m.Heads(heads), &l.options)
	if err := appendEvents(ctx, store.Chain("order-4711"), n, event); err != nil {
		return spending{}, err
	}
	wrote, units := m.Count(), bill.Units()
	m.Reset()
	if err := readAll(ctx, store, nil); err != nil {
		return spending{}, err
	}
	read := m.Count()
	s := spending{n: n, puts: wrote.Put, units: units.Write}
	gets := float64(read.Get + read.Stat)
	if inS3 {
		s.append = aMillion(float64(wrote.Put+wrote.Swap)*priceS3Put, n)
		s.read = aMillion((gets+float64(read.Load))*priceS3Get, n)
		return s, nil
	}
	s.append = aMillion(float64(wrote.Put)*priceS3Put+float64(units.Write)*priceWriteUnit, n)
	s.read = aMillion(gets*priceS3Get+float64(bill.Units().Read-units.Read)*priceReadUnit, n)
	return s, nil
}

func (s spending) note(inS3 bool) string {
	note := "PUTs of objects: " + report.Number(float64(s.puts)/float64(s.n)) + " each; "
	if inS3 {
		return note + "PUTs of heads: 1 each"
	}
	return note + s.unitNote()
}

func (s spending) unitNote() string {
	return "write units: " + report.Number(float64(s.units)/float64(s.n)) + " each"
}

// tableSpending does the same with a table of events.
func tableSpending(ctx context.Context, n int, event []byte) (spending, error) {
	bill := lab.NewBill()
	table := peers.TableAt(bill.Client(), "events")
	for version := range n {
		if err := table.Append(ctx, "order-4711", version, event); err != nil {
			return spending{}, err
		}
	}
	units := bill.Units().Write
	read := math.Ceil(float64(bill.Bytes()) / (4 * kilobyte)) // a Query rounds up once for each page of 1 MB
	return spending{n, aMillion(float64(units)*priceWriteUnit, n), aMillion(read*priceReadUnit, n), 0, units}, nil
}

// packedCosts gives what a million of appends and reads cost.
func (l *laboratory) packedCosts(ctx context.Context, r *report.Results) error {
	n, event := packedAppends, l.event(512)
	table, err := tableSpending(ctx, n, event)
	if err != nil {
		return err
	}
	rows := []spentRow{{"table", table, table.unitNote(), 0, 0}}
	for _, place := range []struct {
		name         string
		layout       layout
		inS3         bool
		append, read float64 // aims
	}{
		{"format 1, heads in DynamoDB", layouts[0], false, 0, 0},
		{layouts[1].name, layouts[1], false, 3.1, 0.09},
		{"format 1, heads in S3", layouts[0], true, 0, 0},
		{layouts[2].name, layouts[2], true, 0, 0},
	} {
		s, err := place.layout.spend(ctx, n, place.inS3, event)
		if err != nil {
			return err
		}
		rows = append(rows, spentRow{place.name, s, s.note(place.inS3), place.append, place.read})
	}
	for _, row := range rows {
		r.Rows = append(r.Rows, dollars(row.name, "append a million events of 0.5 KB", n, row.append, table.append, row.aimAppend, row.note))
	}
	for _, row := range rows {
		r.Rows = append(r.Rows, dollars(row.name, "read a million events of 0.5 KB", n, row.read, table.read, row.aimRead, ""))
	}
	return nil
}

// spentRow is a spending, what else must be known, and the aims; 0 means no aim.
type spentRow struct {
	name string
	spending
	note               string
	aimAppend, aimRead float64
}

func dollars(name, what string, n int, spent, table, aim float64, note string) report.Row {
	row := report.Row{Name: name, What: what, N: n, Value: report.One(spent), Unit: "$", Note: note}.
		Against(report.One(spent/table), "the table's")
	if aim > 0 {
		row = row.Aim(fmt.Sprintf("%s USD", report.Number(aim)), spent <= aim)
	}
	return row
}

// tipSizes gives what appends cost with tips of other sizes, heads in DynamoDB.
func (l *laboratory) tipSizes(ctx context.Context, r *report.Results) error {
	n := pick(l, 2000, 20)
	for _, size := range []int{205, 512, 1024, 2048} {
		event, usual := l.event(size), 0.0
		for _, kib := range []float64{3, 1, 2, 2.5, 3.5, 4, 6, 8} {
			tip := layout{"packed", false, packedOptions(int(kib * kilobyte))}
			s, err := tip.spend(ctx, n, false, event)
			if err != nil {
				return err
			}
			if kib == 3 {
				usual = s.append
			}
			r.Rows = append(r.Rows, report.Row{
				Name: fmt.Sprintf("packed, a tip of %s KiB", report.Number(kib)), What: fmt.Sprintf("append a million events of %s bytes", report.Count(size)),
				N: n, Value: report.One(s.append), Unit: "$", Note: s.note(false),
			}.Against(report.One(s.append/usual), "with 3 KiB"))
		}
	}
	return nil
}
