package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/report"
	"ropewalk/changeset"
)

var hotExperiment = experiment{
	name: "hot", title: "One hot aggregate",
	setup: `64 goroutines append to one aggregate, each the next changeset of 512 bytes as soon as the last is committed. *A loop*
loads the head, appends, and does it again on a conflict. *Update* is Ropewalk's own loop, with its pauses. The *Appender*
shares swaps between the appends that wait. Heads and changesets are in the S3 server with 20 ms added to each request,
and then in a SQLite file with nothing added.`,
	run: runHot,
}

const appenders = 64

// contender is one way of appending to the hot aggregate: prepare returns what
// each goroutine calls again and again.
type contender struct {
	name    string
	prepare func(chain *ropewalk.Chain, draft changeset.Draft) func(context.Context) error
}

var contenders = []contender{
	{"a loop of load, append, retry", loopOf},
	{"Update", updateOf},
	{"Appender", appenderOf},
}

func loopOf(chain *ropewalk.Chain, draft changeset.Draft) func(context.Context) error {
	return func(ctx context.Context) error {
		for {
			h, err := chain.Head(ctx)
			if err != nil && !errors.Is(err, ropewalk.ErrNotFound) {
				return err
			}
			_, err = chain.Append(ctx, h, draft)
			if !errors.Is(err, ropewalk.ErrConflict) {
				return err
			}
		}
	}
}

func updateOf(chain *ropewalk.Chain, draft changeset.Draft) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := chain.Update(ctx, func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
			return []changeset.Draft{draft}, nil
		})
		return err
	}
}

func appenderOf(chain *ropewalk.Chain, draft changeset.Draft) func(context.Context) error {
	appender := chain.NewAppender(nil)
	return func(ctx context.Context) error {
		_, err := appender.Append(ctx, draft)
		return err
	}
}

func runHot(ctx context.Context, l *laboratory, r *report.Results) error {
	b, err := l.newBucket(ctx, "hot", farAway)
	if err != nil {
		return err
	}
	if err := l.hot(ctx, r, "S3, 20 ms", b.store()); err != nil {
		return err
	}
	folder, err := l.folder("hot")
	if err != nil {
		return err
	}
	db, err := sqlitestore.Open(filepath.Join(folder, "hot.db"), nil)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := l.hot(ctx, r, "SQLite", ropewalk.New(db, db, nil)); err != nil {
		return err
	}
	r.Plots = []report.Plot{hotPlot(r.Rows)}
	r.Limits = []string{
		"A loop: the winner has loaded (20 ms), put (20 ms) and swapped (20 ms), and the others of the same round have done so in vain; one append every 60 ms or so is the most, however many try, and the server's work for the losers takes it further down.",
		"In SQLite a put and a swap are one transaction, and transactions of concurrent appends share one sync: there the loop loses its time to repeated appends rather than to waiting.",
		"The Appender commits up to 256 changesets in one swap, and puts the next ones meanwhile: with 64 callers that each wait for their own append, at most 64 for each 20 ms that a swap takes, less what the server needs for as many PUTs. More callers, or more drafts in a call, take it further.",
		"Next: nothing within one aggregate, whose swaps come one after the other. Several aggregates are independent of each other.",
	}
	return nil
}

func (l *laboratory) hot(ctx context.Context, r *report.Results, where string, store *ropewalk.Store) error {
	var variants []lab.Variant
	for i, c := range contenders {
		turn := 0
		variants = append(variants, func(ctx context.Context) (float64, error) {
			turn++
			chain := store.Chain(fmt.Sprintf("hot-%d-%d", i, turn))
			return rate(ctx, pick(l, 4*time.Second, time.Second/2), c.prepare(chain, changeset.Draft{Content: l.content(512)}))
		})
	}
	figures, err := lab.Turns(ctx, pick(l, 3, 1), variants...)
	if err != nil {
		return err
	}
	for i, c := range contenders {
		row := report.Row{Name: c.name, What: where, N: appenders, Value: report.Of(figures[i]), Unit: "appends/s"}
		if i > 0 {
			row = row.Against(report.Ratios(figures[i], figures[0]), "the loop")
		}
		if c.name == "Appender" {
			row = row.Aim("20 times the loop", row.Ratio.Median >= 20)
		}
		r.Rows = append(r.Rows, row)
	}
	return nil
}

// rate lets all appenders append for a while and returns how many appends a
// second were acknowledged within it. Appends under way at the end are waited
// for, and not counted.
func rate(ctx context.Context, d time.Duration, one func(context.Context) error) (float64, error) {
	var done atomic.Int64
	stop := time.Now().Add(d)
	group, ctx := errgroup.WithContext(ctx)
	for range appenders {
		group.Go(func() error {
			for time.Now().Before(stop) {
				ctx, cancel := context.WithDeadline(ctx, stop)
				err := one(ctx)
				cancel()
				switch {
				case !time.Now().Before(stop):
					return nil // cut off by the end, or too late
				case err != nil:
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	err := group.Wait()
	return float64(done.Load()) / d.Seconds(), err
}

func hotPlot(rows []report.Row) report.Plot {
	plot := report.Plot{Name: "hot", Title: "64 goroutines append to one aggregate", Y: "appends a second", Bars: true}
	for i := 0; i < len(rows); i += len(contenders) {
		plot.Labels = append(plot.Labels, rows[i].What)
	}
	for i, c := range contenders {
		s := report.Series{Name: c.name}
		for k := range plot.Labels {
			s.Points = append(s.Points, report.Point{X: float64(k), Y: rows[k*len(contenders)+i].Value})
		}
		plot.Series = append(plot.Series, s)
	}
	return plot
}
