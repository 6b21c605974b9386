package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/report"
	"ropewalk/head"
	"ropewalk/transfer"
)

var copyingExperiment = experiment{
	name: "copying", title: "Copying a store to another storage",
	setup: `Changesets of 1 KiB, 20 in each aggregate, are copied from a SQLite file to a bucket of an S3 server, whose heads are in
the bucket too, each time to a new bucket. *ropewalk copy* is package transfer with its defaults. *A plain loop* reads each changeset and
appends it, one after the other; its copy has other IDs, times and digests. The server is on the same machine, so the
two share its processors.`,
	run: runCopying,
}

const (
	copiedChain = 20      // changesets of each aggregate
	copiedSize  = 1 << 10 // of each content
)

// copyingRun is a source, and the buckets that it is copied to.
type copyingRun struct {
	*laboratory
	from       *sqlitestore.Store
	aggregates int
	requests   map[string]int // of the latest turn of each way
	buckets    int
}

func runCopying(ctx context.Context, l *laboratory, r *report.Results) error {
	folder, err := l.folder("copying")
	if err != nil {
		return err
	}
	db, err := sqlitestore.Open(filepath.Join(folder, "ropewalk.db"), nil)
	if err != nil {
		return err
	}
	defer db.Close()
	c := copyingRun{laboratory: l, from: db, aggregates: pick(l, 150, 2), requests: map[string]int{}}
	store := ropewalk.New(db, db, nil)
	for i := range c.aggregates {
		if _, err := seed(ctx, store.Chain(fmt.Sprint("order-", i)), copiedChain, l.content(copiedSize)); err != nil {
			return err
		}
	}
	for _, latency := range []time.Duration{0, 5 * time.Millisecond} {
		if err := c.compare(ctx, r, latency); err != nil {
			return err
		}
	}
	r.Limits = []string{
		"A copy takes a put for each changeset, and four requests for each aggregate: the head, a listing of what is there, the swap, and the head again. 16 aggregates and up to 16 puts of each are under way at once, so that the processor is the limit, not the network.",
		"A plain loop waits for each of its requests, so that latency is all of its time.",
		"The source is proved while it is read: hashes and digests of every changeset. A plain loop through a reader proves it, too.",
	}
	return nil
}

// compare lets both ways take turns, at one latency.
func (c *copyingRun) compare(ctx context.Context, r *report.Results, latency time.Duration) error {
	loop, copying := "a plain loop", "ropewalk copy"
	seconds, err := lab.Turns(ctx, pick(c.laboratory, 3, 1), c.turn(loop, latency, c.loop), c.turn(copying, latency, c.copyAll))
	if err != nil {
		return err
	}
	changesets := float64(c.aggregates * copiedChain)
	rate := func(seconds []float64) (rates []float64) {
		for _, s := range seconds {
			rates = append(rates, changesets/s)
		}
		return rates
	}
	what := "on one machine"
	if latency > 0 {
		what = fmt.Sprintf("%s more for each request", latency)
	}
	plain, whole := rate(seconds[0]), rate(seconds[1])
	first := report.Row{Name: loop, What: what, N: int(changesets), Value: report.Of(plain), Unit: "changesets/s", Requests: c.requests[loop]}
	second := report.Row{Name: copying, What: what, N: int(changesets), Value: report.Of(whole), Unit: "changesets/s", Requests: c.requests[copying]}
	second = second.Against(report.Ratios(whole, plain), "the rate of a plain loop")
	if latency == 0 {
		second = second.Aim("≥ 1,000 changesets/s", second.Value.Median >= 1000)
	}
	r.Rows = append(r.Rows, first, second)
	return nil
}

// turn copies everything to a new bucket, and returns the seconds that it takes.
func (c *copyingRun) turn(name string, latency time.Duration, do func(context.Context, *bucket) error) lab.Variant {
	return func(ctx context.Context) (float64, error) {
		c.buckets++
		b, err := c.newBucket(ctx, fmt.Sprintf("copying-%d", c.buckets), latency)
		if err != nil {
			return 0, err
		}
		began := time.Now()
		c.requests[name], err = b.wire.Requests(func() error { return do(ctx, b) })
		return time.Since(began).Seconds(), err
	}
}

func (c *copyingRun) copyAll(ctx context.Context, b *bucket) error {
	from, to := transfer.Storage{Changesets: c.from, Heads: c.from}, transfer.Storage{Changesets: b.far, Heads: b.far}
	for report, err := range transfer.New(from, to, nil).CopyAll(ctx) {
		if err != nil {
			return err
		}
		if report.Err != nil {
			return report.Err
		}
	}
	return nil
}

func (c *copyingRun) loop(ctx context.Context, b *bucket) error {
	from, to := ropewalk.New(c.from, c.from, nil), b.store()
	for i := range c.aggregates {
		id := fmt.Sprint("order-", i)
		reader, err := from.Chain(id).Reader(ctx)
		if err != nil {
			return err
		}
		var h head.Head
		for version := range reader.Head().Len() {
			got, err := reader.At(ctx, version)
			if err != nil {
				return err
			}
			draft := ropewalk.Draft{Content: got.Content, ContentType: got.ContentType, Metadata: got.Metadata}
			if h, err = to.Chain(id).Append(ctx, h, draft); err != nil {
				return err
			}
		}
	}
	return nil
}
