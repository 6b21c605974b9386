package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ropewalk/backends/sqlitestore"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/report"
	"ropewalk/gc"
	"ropewalk/inspect"
)

var aggregatesExperiment = experiment{
	name: "aggregates", title: "A store that grows to 100,000 aggregates",
	setup: `SQLite files with 1,000, 10,000 and 100,000 aggregates of one changeset each: listing heads a page of 1,000 after the
other, verifying all, and a dry run of gc over all. Flat means that the time for each aggregate does not depend on how many there are.`,
	run: runAggregates,
}

func runAggregates(ctx context.Context, l *laboratory, r *report.Results) error {
	counts := pick(l, []int{1000, 10_000, 100_000}, []int{20, 200})
	per := map[string][]report.Point{}
	for _, n := range counts {
		if err := l.manyAggregates(ctx, n, func(what string, took []float64, note string) {
			micros := report.Of(took).Times(1000)
			if what != "a page of 1,000 heads, anywhere" {
				micros = micros.Times(1 / float64(n))
				per[what] = append(per[what], report.Point{X: float64(n), Y: micros})
			} else {
				micros = micros.Times(1 / float64(min(n, 1000)))
			}
			r.Rows = append(r.Rows, report.Row{Name: what, N: n, Value: micros, Unit: "µs for each", Note: note})
		}); err != nil {
			return err
		}
	}
	plot := report.Plot{Name: "aggregates", Title: "Time for each aggregate, by how many there are", X: "aggregates", Y: "microseconds"}
	for _, what := range []string{"list all heads", "verify all", "gc, a dry run"} {
		plot.Series = append(plot.Series, report.Series{Name: what, Points: per[what]})
	}
	r.Plots = []report.Plot{plot}
	r.Limits = []string{
		"Listing decodes and checks every head's record; verifying reads, for each aggregate, its head, its objects' names and each object, all from one file: the processor limits both.",
		"verify holds the IDs of all aggregates in memory, some tens of bytes each.",
	}
	return nil
}

// manyAggregates measures one store; the times are in milliseconds.
func (l *laboratory) manyAggregates(ctx context.Context, n int, took func(what string, ms []float64, note string)) error {
	file, err := l.fill(ctx, shape{n, 1})
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(file))
	db, err := sqlitestore.Open(file, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	turns := pick(l, 3, 1)
	pages, err := listPages(ctx, db)
	if err != nil {
		return err
	}
	took("a page of 1,000 heads, anywhere", pages, "each page begins after the end of the page before")
	listed, err := lab.Turns(ctx, turns, lab.Milliseconds(func(ctx context.Context) error { return lab.Drain(db.List(ctx, ""), false) }))
	if err != nil {
		return err
	}
	took("list all heads", listed[0], "")
	verified, err := lab.Turns(ctx, turns, lab.Milliseconds(func(ctx context.Context) error { return verifyAll(ctx, db, n) }))
	if err != nil {
		return err
	}
	took("verify all", verified[0], "")
	collected, err := lab.Turns(ctx, turns, lab.Milliseconds(func(ctx context.Context) error { return collectAll(ctx, db, n) }))
	if err != nil {
		return err
	}
	took("gc, a dry run", collected[0], "")
	return nil
}

// listPages lists all heads, a page and a call after the other.
func listPages(ctx context.Context, db *sqlitestore.Store) (times []float64, err error) {
	cursor := ""
	for {
		start, n := time.Now(), 0
		for h, err := range db.List(ctx, cursor) {
			if err != nil {
				return nil, err
			}
			cursor, n = h.AggregateID, n+1
			if n == 1000 {
				break
			}
		}
		if n > 0 {
			times = append(times, time.Since(start).Seconds()*1000)
		}
		if n < 1000 {
			return times, nil
		}
	}
}

func verifyAll(ctx context.Context, db *sqlitestore.Store, want int) error {
	n := 0
	for report, err := range inspect.New(db, db, nil).VerifyAll(ctx) {
		if err != nil {
			return err
		}
		if len(report.Problems) > 0 {
			return fmt.Errorf("%s: %v", report.AggregateID, report.Problems)
		}
		n++
	}
	return all(n, want)
}

func collectAll(ctx context.Context, db *sqlitestore.Store, want int) error {
	n := 0
	for report, err := range gc.New(db, db, nil).CollectAll(ctx, "") {
		if err := errors.Join(err, report.Err); err != nil {
			return err
		}
		n++
	}
	return all(n, want)
}

func all(n, want int) error {
	if n != want {
		return fmt.Errorf("%d aggregates were looked at, not %d", n, want)
	}
	return nil
}
