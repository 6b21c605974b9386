package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/peers"
	"ropewalk/bench/internal/report"
	"ropewalk/changeset"
	"ropewalk/head"
)

var embeddedExperiment = experiment{
	name: "embedded", title: "Embedded, on the local disk",
	setup: `Durable appends of 1 KiB by 1 and by 16 writers, each to an aggregate of its own and each append on condition that the
one before is the newest; and reading 1,000 of them in order. All stores lie on the same disk, a fresh one for each turn.
*Raw SQLite* is a table of events and one of versions, WAL and synchronous=FULL, with a group commit as Ropewalk's:
it keeps no hashes, links or digests. *Rows as large* has as many rows for each append as Ropewalk, and as large: an event with as much
beside it as a header takes, a version as large as a head, and a row of a log. The sizes are measured in the files, after 1,000 appends. bbolt batches by its own Batch. NATS JetStream runs within the process, with
SyncAlways. *The disk alone* appends 4 KiB to a file and syncs, one after the other: where it does so 10,000 times a second,
16 writers are held to 3 × JetStream, and to 4 × where it does so less often.`,
	peers: []string{"modernc.org/sqlite", "go.etcd.io/bbolt", "github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go"},
	run:   runEmbedded,
}

// embeddedChains is Ropewalk on SQLite, as the peers are used.
type embeddedChains struct {
	db    *sqlitestore.Store
	store *ropewalk.Store
	heads sync.Map // of aggregate ID: where its one writer keeps the head
}

func openChains(folder string) (*embeddedChains, error) {
	db, err := sqlitestore.Open(filepath.Join(folder, "ropewalk.db"), nil)
	if err != nil {
		return nil, err
	}
	return &embeddedChains{db: db, store: ropewalk.New(db, db, nil)}, nil
}

func (c *embeddedChains) Append(ctx context.Context, aggregateID string, _ uint64, event []byte) error {
	kept, ok := c.heads.Load(aggregateID)
	if !ok {
		kept, _ = c.heads.LoadOrStore(aggregateID, new(head.Head))
	}
	last := kept.(*head.Head)
	next, err := c.store.Chain(aggregateID).Append(ctx, *last, changeset.Draft{Content: event})
	if err == nil {
		*last = next
	}
	return err
}

func (c *embeddedChains) Read(ctx context.Context, aggregateID string) (n int, err error) {
	r, err := c.store.Chain(aggregateID).Reader(ctx)
	if err != nil {
		return 0, err
	}
	for _, err := range r.All(ctx) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (c *embeddedChains) Close() error { return c.db.Close() }

type embeddedPeer struct {
	name string
	open func(ctx context.Context, l *laboratory, folder string, writers int) (peers.Embedded, error)
}

var (
	onSQLite = embeddedPeer{"Ropewalk on SQLite", func(_ context.Context, _ *laboratory, folder string, _ int) (peers.Embedded, error) {
		return openChains(folder)
	}}
	raw = embeddedPeer{"raw SQLite", func(ctx context.Context, _ *laboratory, folder string, _ int) (peers.Embedded, error) {
		return peers.OpenRawSQLite(ctx, folder)
	}}
	asLarge = embeddedPeer{"raw SQLite, rows as large", func(ctx context.Context, l *laboratory, folder string, _ int) (peers.Embedded, error) {
		padding, err := l.paddingOf(ctx)
		if err != nil {
			return nil, err
		}
		return peers.OpenPaddedSQLite(ctx, folder, padding)
	}}
)

// embeddedPeers are the stores that are compared; the first is Ropewalk's, the
// second that which the others are measured by.
var embeddedPeers = []embeddedPeer{
	onSQLite, raw, asLarge,
	{"bbolt", func(_ context.Context, _ *laboratory, folder string, writers int) (peers.Embedded, error) {
		return peers.OpenBolt(folder, writers)
	}},
	{"NATS JetStream", func(ctx context.Context, _ *laboratory, folder string, _ int) (peers.Embedded, error) {
		return peers.OpenJetStream(ctx, folder)
	}},
}

func runEmbedded(ctx context.Context, l *laboratory, r *report.Results) error {
	for _, writers := range []int{1, 16} {
		if err := l.embeddedAppends(ctx, r, writers); err != nil {
			return err
		}
	}
	r.Plots = []report.Plot{embeddedPlot(r.Rows)}
	if err := l.embeddedReads(ctx, r); err != nil {
		return err
	}
	r.Limits = []string{
		"One writer: each append waits for its own sync of the disk, which the last row of each group shows alone; SQLite's WAL needs one for each commit.",
		"16 writers: appends share syncs, and the one goroutine that commits limits. Of the processor time of an append, COMMIT takes a third: SQLite writes 1.8 pages to the log, 0.8 of them pages of the index, syncs it, and later copies them to the database. The statements take another third: the row of the changeset a sixth, head and log together a sixth; of it, a tenth is package database/sql. A quarter goes to the writers: they build the changeset, compute two hashes, and encode header and head. Memory and its collection take the rest.",
		"A batch of 15 appends takes 1.2 ms: 0.35 ms for the statements, 0.7 ms for COMMIT, most of which is the disk, and 0.15 ms until the writers have built their next changesets. Nothing can be built during COMMIT, because each writer waits for it. The index of the changesets takes half of what SQLite itself does for a changeset, in the statement and in COMMIT together; rows as large have it as well.",
		"A commit waits up to 50 microseconds for writers of the one before, who are about to come again. Raw SQLite need not wait: its writers have nothing to prepare.",
		"On ext4 without a journal in memory (a loop device with 5,000 syncs a second), 16 writers append 2.8 to 3.6 times as often as with JetStream, and 0.71 times as often as into rows as large. On ext4 in compressed memory (zram, 9,100 syncs a second), 16 writers append 14,200 times a second, 1.8 times as often as with JetStream and 0.56 times as often as into rows as large. 3 times JetStream would be 22,100 a second there, nearly as many as the 23,500 of rows as large: with a disk that fast, the processor limits.",
		"Reading: Ropewalk reads 256 neighbouring versions by one query, decodes and proves every header and hashes every content, and does so for the next range while the present one is consumed; the peers hand out what they have stored.",
		"Pages of 2, 8 and 16 KiB, and checkpoints that are rarer still or made by another connection, gave nothing.",
	}
	return nil
}

func (l *laboratory) embeddedAppends(ctx context.Context, r *report.Results, writers int) error {
	var variants []lab.Variant
	for _, p := range embeddedPeers {
		variants = append(variants, l.appendVariant(p, writers, nil))
	}
	variants = append(variants, l.syncRate)
	figures, err := lab.Turns(ctx, pick(l, 5, 1), variants...)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("durable appends by %d writers", writers)
	if writers == 1 {
		what = "durable appends by 1 writer"
	}
	own := report.Row{Name: embeddedPeers[0].name, What: what, N: writers, Value: report.Of(figures[0]), Unit: "appends/s"}.
		Against(report.Ratios(figures[0], figures[1]), "raw SQLite")
	r.Rows = append(r.Rows, own.Aim("0.8 × raw SQLite", own.Ratio.Median >= 0.8))
	for i, p := range embeddedPeers[1:] {
		row := report.Row{Name: p.name, What: what, N: writers, Value: report.Of(figures[i+1]), Unit: "appends/s"}.
			Against(report.Ratios(figures[0], figures[i+1]), "this, in Ropewalk")
		if p.name == "NATS JetStream" && writers == 16 {
			least := leastOfJetStream(report.Of(figures[len(figures)-1]).Median)
			row = row.Aim(fmt.Sprintf("%.0f × JetStream", least), row.Ratio.Median >= least)
		}
		r.Rows = append(r.Rows, row)
	}
	r.Rows = append(r.Rows, report.Row{Name: "the disk alone", What: "4 KiB and a sync", N: writers, Value: report.Of(figures[len(figures)-1]), Unit: "syncs/s"})
	return nil
}

// leastOfJetStream is how many times as fast as JetStream appends have to be, on a disk that
// syncs so often a second: JetStream waits for a sync for each append, and gains most where
// syncs are fast.
func leastOfJetStream(syncs float64) float64 {
	if syncs >= 10_000 {
		return 3
	}
	return 4
}

// appendVariant lets writers append to a new store. It adds the microseconds of the processor
// that an append took to *processor, unless that is nil.
func (l *laboratory) appendVariant(p embeddedPeer, writers int, processor *[]float64) lab.Variant {
	return func(ctx context.Context) (rate float64, err error) {
		folder, err := l.folder(p.name)
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(folder)
		store, err := p.open(ctx, l, folder, writers)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		rate, micros, err := appendRate(ctx, store, writers, pick(l, 2*time.Second, time.Second/5), l.content(1<<10))
		if processor != nil {
			*processor = append(*processor, micros)
		}
		return rate, err
	}
}

// appendRate lets writers append for a while. It returns how many appends a second were
// acknowledged, and how many microseconds of the processor each of them took.
func appendRate(ctx context.Context, store peers.Embedded, writers int, d time.Duration, event []byte) (rate, micros float64, err error) {
	var done atomic.Int64
	start, processor := time.Now(), lab.ProcessorTime()
	var group errgroup.Group
	for w := range writers {
		group.Go(func() error {
			for version := uint64(0); time.Since(start) < d; version++ {
				if err := store.Append(ctx, fmt.Sprintf("order-%d", w), version, event); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	err = group.Wait()
	n := float64(done.Load())
	return n / time.Since(start).Seconds(), float64((lab.ProcessorTime() - processor).Microseconds()) / n, err
}

// syncRate is how often a second the disk takes 4 KiB for good.
func (l *laboratory) syncRate(context.Context) (float64, error) {
	f, err := os.CreateTemp(l.dir, "sync")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block, n, start := make([]byte, 4096), 0, time.Now()
	for ; time.Since(start) < pick(l, time.Second, time.Second/10); n++ {
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

// openWith opens a fresh store and appends n events to it.
func (l *laboratory) openWith(ctx context.Context, p embeddedPeer, n int) (peers.Embedded, error) {
	folder, err := l.folder(p.name)
	if err != nil {
		return nil, err
	}
	return l.openIn(ctx, p, folder, n)
}

func (l *laboratory) openIn(ctx context.Context, p embeddedPeer, folder string, n int) (peers.Embedded, error) {
	store, err := p.open(ctx, l, folder, 1)
	if err != nil {
		return nil, err
	}
	for version := range n {
		if err := store.Append(ctx, "order", uint64(version), l.content(1<<10)); err != nil {
			return nil, errors.Join(err, store.Close())
		}
	}
	return store, nil
}

// readEvents reads the events that openWith has appended.
func (p embeddedPeer) readEvents(ctx context.Context, store peers.Embedded, n int) error {
	got, err := store.Read(ctx, "order")
	if err == nil && got != n {
		err = fmt.Errorf("%s has %d events, not %d", p.name, got, n)
	}
	return err
}

func (l *laboratory) embeddedReads(ctx context.Context, r *report.Results) error {
	n := pick(l, 1000, 50)
	var variants []lab.Variant
	for _, p := range embeddedPeers {
		store, err := l.openWith(ctx, p, n)
		if err != nil {
			return err
		}
		defer store.Close()
		variants = append(variants, lab.Milliseconds(func(ctx context.Context) error { return p.readEvents(ctx, store, n) }))
	}
	figures, err := lab.Turns(ctx, pick(l, 21, 2), variants...)
	if err != nil {
		return err
	}
	for i, p := range embeddedPeers {
		row := report.Row{Name: p.name, What: "read in order", N: n, Value: report.Of(figures[i]), Unit: "ms"}
		if i > 0 {
			row = row.Against(report.Ratios(figures[0], figures[i]), "this time, in Ropewalk")
		}
		r.Rows = append(r.Rows, row)
	}
	return nil
}

func embeddedPlot(rows []report.Row) report.Plot {
	plot := report.Plot{Name: "embedded", Title: "Durable appends of 1 KiB on the local disk", Y: "appends a second", Bars: true, Labels: []string{"1 writer", "16 writers"}}
	for i, p := range embeddedPeers {
		half := len(rows) / 2
		plot.Series = append(plot.Series, report.Series{Name: p.name, Points: []report.Point{{X: 0, Y: rows[i].Value}, {X: 1, Y: rows[half+i].Value}}})
	}
	return plot
}
