package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ropewalk/backends/sqlitestore"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/report"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

var processorExperiment = experiment{
	name: "processor", title: "As light as the bytes",
	setup: `What Ropewalk on SQLite takes beside raw SQLite where the processor limits, in turns within one run: appends of 1 KiB by 16
writers, and reading 1,000 of them in order, with every proof. *Raw SQLite* and *rows as large* are as above. The size of the file is given
for each changeset of 252 bytes, without its content: rows, indexes, log, heads and the rest of the pages.`,
	peers: []string{"modernc.org/sqlite"},
	run:   runProcessor,
}

func runProcessor(ctx context.Context, l *laboratory, r *report.Results) error {
	for _, part := range []func(context.Context, *laboratory, *report.Results) error{processorAppends, processorReads, oneChangeset, fileSizes} {
		if err := part(ctx, l, r); err != nil {
			return err
		}
	}
	r.Limits = []string{
		"Reading in order, where the time goes (bench/results/profile.md): SQLite and its driver take 42 % of the processor's time, SHA-256 of contents and headers 16 %, the decoding of headers 11 %, what digests and links take besides 7 %, and allocation and garbage a fifth, partly within these. In memory, decoding the text form of the header takes a third, and SHA-256 a fifth. Each range of 256 versions is proved as a whole, on the second core if it is idle, while the range before it is consumed.",
		"Reading is held against a plain program: the query is prepared once, driver and page size are the same, all pages are in the cache of the connection, and each event is a copy that the program may keep. Hashing the events alone makes raw SQLite take 1.25 times as long. The rest is rows that are 45 % longer, their decoding, and digests. On a machine that does other work the ratio is 1.8 to 2.7.",
		"The disk's syncs per second say what the rates of the writers can be. With 10,000 and more of them, the one goroutine that commits limits. An append takes 27 µs more of the processor than a row as large: half of it to build and encode changeset and head, a third for statements with more columns and a condition, the rest for memory and its collection. At 0.95 ×, 2 µs would be left for all of that; the three hashes of an append alone take 1.5 µs.",
		"The size of a changeset follows from the versions of its chain: a row has the IDs of up to 15 neighbours, and in long chains two of sixteen rows have up to 36 more.",
	}
	return nil
}

// processorPeers are Ropewalk, and what it is held against.
var processorPeers = []embeddedPeer{onSQLite, raw, asLarge}

func processorAppends(ctx context.Context, l *laboratory, r *report.Results) error {
	const writers = 16
	var variants []lab.Variant
	micros := make([][]float64, len(processorPeers))
	for i, p := range processorPeers {
		variants = append(variants, l.appendVariant(p, writers, &micros[i]))
	}
	figures, err := lab.Turns(ctx, pick(l, 9, 1), append(variants, l.syncRate)...)
	if err != nil {
		return err
	}
	row := func(i int) report.Row {
		return report.Row{
			Name: processorPeers[i].name, What: fmt.Sprintf("durable appends by %d writers", writers), N: writers,
			Value: report.Of(figures[i]), Unit: "appends/s", Note: report.Number(report.Of(micros[i]).Median) + " µs of the processor each",
		}
	}
	r.Rows = append(r.Rows, row(0))
	for i, least := range []float64{0.85, 0.95} {
		ratio := report.Ratios(figures[0], figures[i+1])
		r.Rows = append(r.Rows, row(i+1).Against(ratio, "this, in Ropewalk").Aim(fmt.Sprintf("%.2f × or more", least), ratio.Median >= least))
	}
	r.Rows = append(r.Rows, report.Row{Name: "the disk alone", What: "4 KiB and a sync", N: 1, Value: report.Of(figures[len(figures)-1]), Unit: "syncs/s"})
	return nil
}

// processorReads reads the same events from Ropewalk and raw SQLite.
func processorReads(ctx context.Context, l *laboratory, r *report.Results) error {
	n := pick(l, 1000, 50)
	var variants []lab.Variant
	for _, p := range processorPeers[:2] {
		store, err := l.openWith(ctx, p, n)
		if err != nil {
			return err
		}
		defer store.Close()
		variants = append(variants, lab.Milliseconds(func(ctx context.Context) error { return p.readEvents(ctx, store, n) }))
	}
	figures, err := lab.Turns(ctx, pick(l, 51, 2), variants...)
	if err != nil {
		return err
	}
	ratio := report.Ratios(figures[0], figures[1])
	r.Rows = append(r.Rows,
		report.Row{Name: processorPeers[0].name, What: "read in order, proved", N: n, Value: report.Of(figures[0]), Unit: "ms"}.
			Against(ratio, "raw SQLite").Aim("2.5 × or less", ratio.Median <= 2.5),
		report.Row{Name: processorPeers[1].name, What: "read in order", N: n, Value: report.Of(figures[1]), Unit: "ms"})
	return nil
}

// oneChangeset gives the time and the allocations for each changeset of a walk.
func oneChangeset(ctx context.Context, l *laboratory, r *report.Results) error {
	operations, done, err := l.readOperations(ctx)
	if err != nil {
		return err
	}
	defer done()
	for _, o := range operations {
		result := testing.Benchmark(o.run)
		if result.N == 0 {
			return fmt.Errorf("%s, %s: it has failed", o.name, o.what)
		}
		r.Rows = append(r.Rows, report.Row{
			Name: "one changeset", What: o.what, N: o.per, Value: report.One(float64(result.T.Nanoseconds()) / 1000 / float64(result.N*o.per)), Unit: "µs",
			Note: report.Number(float64(result.AllocsPerOp())/float64(o.per)) + " allocations",
		})
	}
	return nil
}

// fileSizes writes many short chains and few long chains.
func fileSizes(ctx context.Context, l *laboratory, r *report.Results) error {
	for _, shape := range []struct{ aggregates, each int }{{pick(l, 5000, 40), 4}, {pick(l, 100, 2), 200}, {pick(l, 10, 1), pick(l, 5000, 300)}} {
		size, err := l.fileSize(ctx, shape.aggregates, shape.each)
		if err != nil {
			return err
		}
		r.Rows = append(r.Rows, report.Row{
			Name: "the file", What: fmt.Sprintf("%s chains of %s changesets", report.Count(shape.aggregates), report.Count(shape.each)),
			N: shape.aggregates * shape.each, Value: report.One(size), Unit: "bytes each",
		}.Aim("500 or less", size <= 500))
	}
	return nil
}

// fileSize returns how many bytes a changeset takes in the file besides its content. Each is
// an append of its own; many share a transaction, which makes no difference to the size.
func (l *laboratory) fileSize(ctx context.Context, aggregates, each int) (float64, error) {
	const content = 252
	folder, err := l.folder("size")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "ropewalk.db")
	db, err := sqlitestore.Open(path, nil)
	if err != nil {
		return 0, err
	}
	heads := make([]head.Head, aggregates)
	for range each {
		for from := 0; from < aggregates && err == nil; from += db.Members() {
			err = appendStep(ctx, db, heads, from, l.content(content))
		}
	}
	if closed := db.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return float64(info.Size())/float64(aggregates*each) - content, nil
}

// appendStep appends one changeset to each of several aggregates in one step.
func appendStep(ctx context.Context, db *sqlitestore.Store, heads []head.Head, from int, content []byte) error {
	to := min(from+db.Members(), len(heads))
	var exchanges []head.Exchange
	for i, h := range heads[from:to] {
		id := fmt.Sprintf("order-%d", from+i)
		changesets, next, err := link.Extend(h, id, []changeset.Draft{{Content: content}}, time.Now())
		if err != nil {
			return err
		}
		exchanges = append(exchanges, head.Exchange{AggregateID: id, Old: h, Next: next, Changesets: changesets})
	}
	next, err := db.SwapAll(ctx, exchanges)
	copy(heads[from:to], next)
	return err
}
