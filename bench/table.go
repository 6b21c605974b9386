package main

import (
	"context"
	"fmt"
	"time"

	"ropewalk"
	"ropewalk/backends/dynamostore"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/peers"
	"ropewalk/bench/internal/report"
	"ropewalk/changeset"
	"ropewalk/head"
)

var tableExperiment = experiment{
	name: "table", title: "Against a table of events in DynamoDB",
	setup: `The event store that most people make of DynamoDB: one item for each event, one conditional PutItem to append, one
Query to read. Ropewalk keeps its heads in the same DynamoDB Local and its changesets in the S3 server; DynamoDB is 5 ms
away, S3 20 ms. Events are read consistently, one changeset holds one event. Costs are computed at us-east-1 list prices
of 2025 (S3 Standard: 5.00 USD a million PUTs, 0.40 USD a million GETs, 0.023 USD a GB and month; DynamoDB on demand:
0.625 USD a million write units, 0.125 USD a million read units, 0.25 USD a GB and month), without traffic and free tiers.`,
	run: runTable,
}

const tableAway = 5 * time.Millisecond

// tables are the two stores side by side.
type tables struct {
	*laboratory
	*bucket
	far, near *peers.EventTable
	chains    *ropewalk.Store // over both wires
	direct    *ropewalk.Store
	heads     *lab.Wire

	nearHeads, farHeads *dynamostore.Store
}

func runTable(ctx context.Context, l *laboratory, r *report.Results) error {
	t, err := l.newTables(ctx, "table")
	if err != nil {
		return err
	}
	if err := t.appends(ctx, r); err != nil {
		return err
	}
	if err := t.reads(ctx, r); err != nil {
		return err
	}
	r.Rows = append(r.Rows, costRows()...)
	r.Limits = append(r.Limits,
		"Appending: the table makes one trip of 5 ms, Ropewalk one of 20 ms to S3 and then one of 5 ms to the head. That is the price of contents of any size in a bucket; a batch of events in one append pays it once.",
		"Reading: up to a megabyte the table answers in one trip, and nothing beats that from S3, whose first trip alone is 20 ms. A Query is limited to 1 MB a page and page follows page, so that the table's time grows with the bytes and Ropewalk's with the logarithm of the count, until bandwidth limits it.",
		"Cost: S3 charges by request, a table by the kilobyte. Small events are cheaper to write in a table, and much cheaper to read; from about 9 KB on a write costs less in S3, from about 13 KB a read does, and to keep it costs a tenth. Appends that hold several events in one changeset move that limit down by as many times.",
		"Next: several events of a command in one changeset (one PUT for all), which is how package aggregate saves; and snapshots, which make a load 2 trips whatever the length.")
	return nil
}

// newTables makes tables and a bucket that begin with a name.
func (l *laboratory) newTables(ctx context.Context, name string) (*tables, error) {
	b, err := l.newBucket(ctx, name, farAway)
	if err != nil {
		return nil, err
	}
	if err := l.startDynamoDB(ctx); err != nil {
		return nil, err
	}
	t := &tables{laboratory: l, bucket: b, heads: lab.NewWire(tableAway, connections)}
	near, far := l.aws.DynamoDB(lab.NewWire(0, connections)), l.aws.DynamoDB(t.heads)
	if t.near, err = peers.NewEventTable(ctx, near, name+"-events"); err != nil {
		return nil, err
	}
	t.far = t.near.Over(far)
	nearHeads, err := dynamostore.New(near, name+"-heads", nil)
	if err != nil {
		return nil, err
	}
	farHeads, err := dynamostore.New(far, name+"-heads", nil)
	if err != nil {
		return nil, err
	}
	t.direct = ropewalk.New(b.near, nearHeads, nil)
	t.chains = ropewalk.New(b.far, farHeads, nil)
	t.nearHeads, t.farHeads = nearHeads, farHeads
	return t, nearHeads.Provision(ctx)
}

// sizes of events in bytes.
var eventSizes = []int{512, 4 << 10, 64 << 10, 300 << 10}

func sizeName(size int) string { return report.Number(float64(size)/kilobyte) + " KB" }

// appends measures appends of one event, one after the other.
func (t *tables) appends(ctx context.Context, r *report.Results) error {
	plot := report.Plot{Name: "table-append", Title: "Appending one event, DynamoDB 5 ms away, S3 20 ms", X: "size of the event", Y: "milliseconds", Bars: true}
	lines := make([]report.Series, 2)
	for i, size := range append(eventSizes, 400<<10) {
		content, id := t.content(size), fmt.Sprintf("append-%d", size)
		version, h := 0, head.Head{}
		toTable := lab.Milliseconds(func(ctx context.Context) error {
			version++
			return t.far.Append(ctx, id, version, content)
		})
		toChain := lab.Milliseconds(func(ctx context.Context) (err error) {
			h, err = t.chains.Chain(id).Append(ctx, h, changeset.Draft{Content: content})
			return err
		})
		what := "append an event of " + sizeName(size)
		if size == 400<<10 {
			if err := t.tooLarge(ctx, r, what, toTable, toChain); err != nil {
				return err
			}
			continue
		}
		figures, err := lab.Turns(ctx, pick(t.laboratory, 41, 3), toTable, toChain)
		if err != nil {
			return err
		}
		table, chain := report.Of(figures[0][1:]), report.Of(figures[1][1:]) // the first opens connections
		r.Rows = append(r.Rows,
			report.Row{Name: "table", What: what, Value: table, Unit: "ms", Trips: 1, Requests: 1},
			report.Row{Name: "Ropewalk", What: what, Value: chain, Unit: "ms", Trips: 2, Requests: 2}.
				Against(report.Ratios(figures[0][1:], figures[1][1:]), "as fast as the table"))
		plot.Labels = append(plot.Labels, sizeName(size))
		lines[0].Points = append(lines[0].Points, report.Point{X: float64(i), Y: table})
		lines[1].Points = append(lines[1].Points, report.Point{X: float64(i), Y: chain})
	}
	lines[0].Name, lines[1].Name = "table", "Ropewalk"
	plot.Series = lines
	r.Plots = append(r.Plots, plot)
	return nil
}

// tooLarge shows an event that a table cannot hold.
func (t *tables) tooLarge(ctx context.Context, r *report.Results, what string, toTable, toChain lab.Variant) error {
	_, refused := toTable(ctx)
	if refused == nil {
		return fmt.Errorf("the table has taken an item that is too large")
	}
	took, err := toChain(ctx)
	r.Rows = append(r.Rows,
		report.Row{Name: "table", What: what, Note: "refused: " + peers.Reason(refused)},
		report.Row{Name: "Ropewalk", What: what, Value: report.One(took), Unit: "ms", Trips: 2, Requests: 2})
	return err
}

// reads measures reads of whole histories.
func (t *tables) reads(ctx context.Context, r *report.Results) error {
	for _, size := range eventSizes[:3] {
		plot := report.Plot{Name: fmt.Sprintf("table-read-%d", size), Title: "Reading events of " + sizeName(size), X: "events", Y: "milliseconds"}
		lines := []report.Series{{Name: "table"}, {Name: "Ropewalk"}}
		for _, n := range pick(t.laboratory, []int{10, 100, 1000}, []int{10}) {
			rows, err := t.read(ctx, size, n)
			if err != nil {
				return err
			}
			r.Rows = append(r.Rows, rows...)
			for i := range lines {
				lines[i].Points = append(lines[i].Points, report.Point{X: float64(n), Y: rows[i].Value})
			}
		}
		plot.Series = lines
		r.Plots = append(r.Plots, plot)
	}
	return nil
}

func (t *tables) read(ctx context.Context, size, n int) ([]report.Row, error) {
	id, content := fmt.Sprintf("read-%d-%d", size, n), t.content(size)
	if _, err := seed(ctx, t.direct.Chain(id), n, content); err != nil {
		return nil, err
	}
	if err := inParallel(ctx, n, 16, func(ctx context.Context, i int) error { return t.near.Append(ctx, id, i, content) }); err != nil {
		return nil, err
	}
	fromTable := func(ctx context.Context) error {
		got, err := t.far.Read(ctx, id)
		if err == nil && got != n {
			err = fmt.Errorf("the table has %d events, not %d", got, n)
		}
		return err
	}
	fromChain := func(ctx context.Context) error {
		reader, err := t.chains.Chain(id).Reader(ctx)
		if err != nil {
			return err
		}
		return lab.Drain(reader.All(ctx), false)
	}
	pages, err := t.heads.Requests(func() error { return fromTable(ctx) })
	if err != nil {
		return nil, err
	}
	requests, err := t.wire.Requests(func() error { return fromChain(ctx) })
	if err != nil {
		return nil, err
	}
	costs, err := t.trips(ctx, lab.Task{Do: lab.DoForward, N: n})
	if err != nil {
		return nil, err
	}
	figures, err := lab.Turns(ctx, pick(t.laboratory, 5, 1), lab.Milliseconds(fromTable), lab.Milliseconds(fromChain))
	what := fmt.Sprintf("read %s events of %s", report.Count(n), sizeName(size))
	if err != nil {
		return nil, err
	}
	return []report.Row{
		{Name: "table", What: what, N: n, Value: report.Of(figures[0]), Unit: "ms", Trips: pages, Requests: pages},
		report.Row{Name: "Ropewalk", What: what, N: n, Value: report.Of(figures[1]), Unit: "ms", Trips: costs[0].Trips, Requests: requests + 1}.
			Against(report.Ratios(figures[0], figures[1]), "as fast as the table"),
	}, nil
}

// costRows computes what a million cost.
func costRows() (rows []report.Row) {
	row := func(name, what, size string, dollars, table float64) report.Row {
		return report.Row{Name: name, What: what + size, Value: report.One(dollars), Unit: "$", Note: "computed"}.
			Against(report.One(dollars/table), "the table's")
	}
	for _, size := range eventSizes {
		table, one, ten := tableCosts(size), ropewalkCosts(size, 1), ropewalkCosts(size, 10)
		of := " events of " + sizeName(size)
		rows = append(rows,
			row("table", "append a million", of, table.append, table.append),
			row("Ropewalk", "append a million", of, one.append, table.append),
			row("Ropewalk", "append a million, ten to an append,", of, ten.append, table.append),
			row("table", "read a million", of, table.read, table.read),
			row("Ropewalk", "read a million", of, one.read, table.read),
			row("table", "keep a million for a month,", of, table.month, table.month),
			row("Ropewalk", "keep a million for a month,", of, one.month, table.month))
	}
	return rows
}
