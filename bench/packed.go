package main

import (
	"context"
	"fmt"

	"ropewalk"
	"ropewalk/backends/dynamostore"
	"ropewalk/backends/s3store"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/report"
)

var packedExperiment = experiment{
	name: "packed", title: "Packed chains",
	setup: `The same events in a table of events, in chains of format 1 and in packed chains (docs/packed-chains.md), whose newest
changesets are in the head: up to 3 KiB of them where heads are in DynamoDB, up to 64 KiB where heads are in S3. Events are
JSON. One changeset holds one event, of 0.5 KB if nothing else is said, of 1 KiB in the rows of the processor. Trips and
requests are counted in virtual time at the store's two interfaces, over so many appends or changesets as n says. Costs are
computed, at the list prices of the table above, from what was sent: the PUTs and GETs, and the size of each head's item before
and after each write, attribute by attribute.
Times are given as ratios only, with DynamoDB 5 ms away and S3 20 ms; *on the servers* they are DynamoDB Local and the S3
server. *In turns* compares append by append. *In all* compares the sum of all appends: most appends go to the tip, and now and
then an append must first put an object.`,
	run: runPacked,
}

// layout is a way to keep chains.
type layout struct {
	name    string
	inS3    bool // heads are in S3, not in DynamoDB
	options ropewalk.Options
}

// layouts are format 1, and packed chains with the tips that suit the backends.
var layouts = []layout{
	{"format 1", false, ropewalk.Options{}},
	{"packed, heads in DynamoDB", false, packedOptions((*dynamostore.Store)(nil).TipSize())},
	{"packed, heads in S3", true, packedOptions((*s3store.Store)(nil).TipSize())},
}

func packedOptions(tip int) ropewalk.Options { return ropewalk.Options{Packed: true, TipSize: tip} }

func runPacked(ctx context.Context, l *laboratory, r *report.Results) error {
	parts := []func(context.Context, *report.Results) error{l.packedCounts, l.packedCosts, l.tipSizes, l.packedProcessor}
	if !l.quick {
		parts = append(parts, l.packedTimes)
	}
	for _, part := range parts {
		if err := part(ctx, r); err != nil {
			return err
		}
	}
	r.Limits = []string{
		"Appending: an append to the tip makes one trip of 5 ms, as the table does. An append that finds the tip full makes one of 20 ms and one of 5 ms. With 3 KiB that is every fifth append of 0.5 KB, and it is the difference between the appends in turns, of which the median is taken, and all of them.",
		"On the servers: DynamoDB Local takes longer for the UpdateItem of a head, with its condition, than for the PutItem of an event, also if the sizes are equal, and it shares the cores with all other processes. The rows without the servers leave that time out.",
		"Cost: DynamoDB charges a write by the size of the whole item. A smaller tip saves write units and makes more PUTs. The rows of tips show that no size is best for all events, and that 3 KiB is within 5 % of the best size for each of them.",
		"The Appender: a batch that puts objects takes two trips, any other batch one. A larger tip makes fewer objects.",
		"The processor: lines of a pack have no metadata of their own to decode, and a pack is fetched once. In SQLite there is no tip, and each append makes a pack of its own. If that has one changeset, reading it takes longer than in format 1: packed chains in SQLite are for appends of several changesets.",
		"Next: appends of several events in one changeset, and a larger tip where trips matter more than write units.",
	}
	return nil
}

// packedCounts gives the trips and requests that a child has counted.
func (l *laboratory) packedCounts(ctx context.Context, r *report.Results) error {
	counts, err := l.countPacked(ctx)
	if err != nil {
		return err
	}
	for t, task := range packedTasks {
		for i, layout := range layouts {
			c, aim := counts.Costs[i][t], task.aims[i]
			row := report.Row{Name: layout.name, What: task.what, N: task.n, Trips: c.Trips, Requests: c.Requests}
			if aim != (lab.Cost{}) {
				row = row.Aim(fmt.Sprintf("trips: %s, requests: %s", report.Count(aim.Trips), report.Count(aim.Requests)),
					c.Trips <= aim.Trips && c.Requests <= aim.Requests)
			}
			r.Rows = append(r.Rows, row)
		}
	}
	for i, layout := range layouts {
		r.Rows = append(r.Rows, againstTable(layout.name, "append events, no time but the requests'", counts.Away[i])...)
	}
	for i, layout := range layouts {
		row := report.Row{Name: layout.name, What: "an Appender, no time but the requests', 20 ms each", N: appenders, Value: report.One(counts.Hot[i]), Unit: "appends/s"}
		row = row.Against(report.One(counts.Hot[i]/counts.Hot[0]), "format 1")
		if layout.inS3 {
			row = row.Aim("2,000 a second", counts.Hot[i] >= 2000)
		}
		r.Rows = append(r.Rows, row)
	}
	return nil
}

// againstTable compares the milliseconds of appends with the milliseconds of a table of events, whose
// appends take one trip each.
func againstTable(name, what string, times []float64) []report.Row {
	trips := make([]float64, len(times))
	for i := range trips {
		trips[i] = float64(tableAway.Milliseconds())
	}
	return inTurnsAndAll(name, what, trips, times)
}

// inTurnsAndAll gives two ratios of times that were taken side by side.
func inTurnsAndAll(name, what string, table, chain []float64) []report.Row {
	turns := report.Row{Name: name, What: what + ", in turns", N: len(chain)}.Against(report.Ratios(table, chain), "as fast as the table")
	if name == layouts[1].name {
		turns = turns.Aim("0.9 × as fast", turns.Ratio.Median >= 0.9)
	}
	all := report.Row{Name: name, What: what + ", in all", N: len(chain)}.Against(report.One(sum(table)/sum(chain)), "as fast as the table")
	return []report.Row{turns, all}
}

func sum(figures []float64) (total float64) {
	for _, f := range figures {
		total += f
	}
	return total
}
