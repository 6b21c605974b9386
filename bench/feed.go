package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/peers"
	"ropewalk/bench/internal/report"
	"ropewalk/changeset"
	"ropewalk/feed"
	"ropewalk/head"
)

var feedExperiment = experiment{
	name: "feed", title: "Following what happens",
	setup: `Catching up reads 100,000 changesets of 1 KiB of 2,000 aggregates from a SQLite file, from the beginning: by
the feed; by a loop over all heads that reads each chain, which gives no order and no position to go on from; and by polling
a table of events with a number for each event, in pages of 1,000, as hallgren/eventsourcing and others do. The table
keeps no hashes, links or digests. An append is followed to the handler in the same process, and in a process of its own.
The poller pauses for 100 ms when it finds nothing.`,
	peers: []string{"modernc.org/sqlite"},
	run:   runFeed,
}

func runFeed(ctx context.Context, l *laboratory, r *report.Results) error {
	for _, part := range []func(context.Context, *report.Results) error{l.catchUp, l.handlerLatency, l.feedThroughput, l.relayMemory} {
		if err := part(ctx, r); err != nil {
			return err
		}
	}
	r.Limits = []string{
		"Catching up: most of the time SQLite finds rows by aggregate and version, and each header is decoded, encoded again and held against its stored form, and each content is hashed. 64 changesets share a query.",
		"One process: the log wakes its readers after each commit. Another process finds out by PRAGMA data_version, which it asks every few milliseconds; the poller waits for half of its pause on average.",
		"Throughput: a batch takes two trips, 40 ms, in which the next hints wait. Where the source brings no records, heads are loaded, 32 at a time: RelayOptions.Parallel is the limit then.",
		"Next: judging the next batch while this one is appended.",
	}
	return nil
}

// catchUp measures how fast a history that exists is read.
func (l *laboratory) catchUp(ctx context.Context, r *report.Results) error {
	s := pick(l, shape{2000, 50}, shape{20, 5})
	n := s.aggregates * s.each
	store, done, err := l.interleaved(ctx, s)
	if err != nil {
		return err
	}
	defer done()
	table, err := l.pollingTable(ctx, s)
	if err != nil {
		return err
	}
	defer table.Close()
	micros := make([][]float64, 3) // of processor time for each change
	counted := func(i int, read func(ctx context.Context) (int, error)) lab.Variant {
		return func(ctx context.Context) (float64, error) {
			start, used := time.Now(), lab.ProcessorTime()
			got, err := read(ctx)
			if err == nil && got != n {
				err = fmt.Errorf("read %d of %d changesets", got, n)
			}
			micros[i] = append(micros[i], float64((lab.ProcessorTime()-used).Microseconds())/float64(n))
			return float64(n) / time.Since(start).Seconds(), err
		}
	}
	figures, err := lab.Turns(ctx, pick(l, 3, 1),
		counted(0, func(ctx context.Context) (n int, err error) {
			for _, err := range feed.Open(store, nil).After(ctx, feed.Position{}) {
				if err != nil {
					return n, err
				}
				n++
			}
			return n, nil
		}),
		counted(1, func(ctx context.Context) (int, error) { return readAllChains(ctx, store) }),
		counted(2, func(ctx context.Context) (n int, err error) {
			_, err = table.Poll(ctx, 0, func(int64) error { n++; return nil })
			return n, err
		}))
	if err != nil {
		return err
	}
	for i, name := range []string{"Ropewalk's feed", "a loop over heads and chains", "polling a table"} {
		row := report.Row{
			Name: name, What: "catch up", N: n, Value: report.Of(figures[i]), Unit: "changes/s",
			Note: report.Number(report.Of(micros[i]).Median) + " µs of processor time each",
		}
		if i == 0 {
			row = row.Aim("20,000", row.Value.Median >= 20_000)
		} else {
			row = row.Against(report.Ratios(figures[0], figures[i]), "this, by the feed")
		}
		r.Rows = append(r.Rows, row)
	}
	return nil
}

// interleaved makes a SQLite file of a shape whose aggregates take turns.
func (l *laboratory) interleaved(ctx context.Context, s shape) (*ropewalk.Store, func(), error) {
	folder, err := l.folder("feed")
	if err != nil {
		return nil, nil, err
	}
	db, err := sqlitestore.Open(filepath.Join(folder, "ropewalk.db"), nil)
	if err != nil {
		return nil, nil, err
	}
	store := ropewalk.New(db, db, nil)
	heads := make([]head.Head, s.aggregates)
	for range s.each {
		err := inParallel(ctx, s.aggregates, 64, func(ctx context.Context, i int) (err error) {
			heads[i], err = store.Chain(aggregateName(i)).Append(ctx, heads[i], changeset.Draft{Content: l.content(1 << 10)})
			return err
		})
		if err != nil {
			return nil, nil, errors.Join(err, db.Close())
		}
	}
	return store, func() { _ = db.Close() }, nil
}

func aggregateName(i int) string { return fmt.Sprintf("order-%07d", i) }

func (l *laboratory) pollingTable(ctx context.Context, s shape) (*peers.Polling, error) {
	folder, err := l.folder("polling")
	if err != nil {
		return nil, err
	}
	table, err := peers.OpenPolling(ctx, folder)
	if err != nil {
		return nil, err
	}
	names := make([]string, s.aggregates)
	for i := range names {
		names[i] = aggregateName(i)
	}
	for version := range s.each {
		if err := table.Fill(ctx, version, l.content(1<<10), names...); err != nil {
			return nil, errors.Join(err, table.Close())
		}
	}
	return table, nil
}

// readAllChains reads the chain of every head, a few at once.
func readAllChains(ctx context.Context, store *ropewalk.Store) (int, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	counts := make(chan int)
	total := 0
	summed := make(chan struct{})
	go func() {
		defer close(summed)
		for n := range counts {
			total += n
		}
	}()
	for h, err := range store.HeadStore().List(ctx, "") {
		if err != nil {
			return 0, errors.Join(err, group.Wait())
		}
		group.Go(func() error {
			n := 0
			for _, err := range store.Chain(h.AggregateID).ReaderAt(h).All(ctx) {
				if err != nil {
					return err
				}
				n++
			}
			counts <- n
			return nil
		})
	}
	err := group.Wait()
	close(counts)
	<-summed
	return total, err
}
