package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/peers"
	"ropewalk/bench/internal/report"
)

var bulkExperiment = experiment{
	name: "bulk", title: "A whole store: verify and import",
	setup: `A store in SQLite that has many small aggregates: 53,000 events of some 250 bytes, each a changeset, in 12,700 aggregates
whose events are mixed. *ropewalk import* and *ropewalk verify --all* are the commands, with the start of their
processes. A plain loop does as little as can be done with the same events. To import, it decodes the
aggregate of each line, and inserts it into a table of aggregate, version and event, 256 rows in a transaction, with the same
durability. To verify, it reads all rows of that table in order, and computes the SHA-256 of each event: it proves
nothing about links, digests, heads or orphans.`,
	peers: []string{"modernc.org/sqlite"},
	run:   runBulk,
}

// bulk is the input, and the files of one turn.
type bulk struct {
	*laboratory
	command string
	lines   []byte
	n       int
	folder  string
}

func runBulk(ctx context.Context, l *laboratory, r *report.Results) error {
	command, err := l.buildCommand(ctx)
	if err != nil {
		return err
	}
	b := &bulk{laboratory: l, command: command, n: pick(l, 53_000, 500)}
	b.lines = b.events(pick(l, 12_700, 120))
	var figures [4][]float64 // plain import, import, plain verify, verify, in events a second
	for range pick(l, 7, 1) {
		if err := b.turn(ctx, &figures); err != nil {
			return err
		}
	}
	for i, what := range []string{"import, one event in a changeset", "verify all"} {
		plain, own := figures[2*i], figures[2*i+1]
		r.Rows = append(r.Rows,
			report.Row{Name: "plain loop", What: what, N: b.n, Value: report.Of(plain), Unit: "events a second"},
			report.Row{Name: "Ropewalk", What: what, N: b.n, Value: report.Of(own), Unit: "events a second"}.
				Against(report.Ratios(own, plain), "as fast as the plain loop"))
	}
	r.Limits = append(r.Limits,
		"Import: one step commits the events of up to 100 aggregates, 256 in all, while the next one is built. Each event is a row with its header, and each aggregate of a step changes its head and has a row in the log; the plain loop has one row. Of the processor time, the rows of changesets take a quarter, and building them a fifth, of which a quarter reads heads; heads and log in SQLite a tenth, encoding rows and heads a twelfth, COMMIT a twelfth, the conditions of a step a twentieth, reading lines a tenth, and memory and its collection the rest. A savepoint instead of reading the heads would copy each page that a step changes.",
		"Verify: one query reads 256 objects with their headers, and two cores work on it. SQLite takes most of the time, to find rows that are stored in the order of the import and are read in the order of the aggregates; then the decoding of headers and heads.")
	return nil
}

// events returns the lines: event after event of a few aggregates at a time, as logs of
// cases have them.
func (b *bulk) events(aggregates int) []byte {
	var lines bytes.Buffer
	each := (b.n + aggregates - 1) / aggregates
	const mixed = 40
	for made, first := 0, 0; made < b.n; first += mixed {
		for version := range each {
			for i := 0; i < mixed && made < b.n; i++ {
				fmt.Fprintf(&lines, "{\"aggregate\":\"case-%d\",\"version\":%d,%s\n", first+i, version, b.event(220)[1:])
				made++
			}
		}
	}
	return lines.Bytes()
}

// turn measures each of the four once, on new files.
func (b *bulk) turn(ctx context.Context, figures *[4][]float64) (err error) {
	if b.folder, err = b.laboratory.folder("bulk"); err != nil {
		return err
	}
	defer os.RemoveAll(b.folder)
	if err := os.WriteFile(b.path("events.ndjson"), b.lines, 0o600); err != nil {
		return err
	}
	for i, do := range []func(context.Context) error{b.importPlain, b.importOwn, b.verifyPlain, b.verifyOwn} {
		took, err := lab.Milliseconds(do)(ctx)
		if err != nil {
			return err
		}
		figures[i] = append(figures[i], float64(b.n)/took*float64(time.Second/time.Millisecond))
	}
	return nil
}

func (b *bulk) path(name string) string { return filepath.Join(b.folder, name) }

func (b *bulk) importPlain(ctx context.Context) error {
	return peers.ImportRaw(ctx, b.path("plain.db"), bytes.NewReader(b.lines))
}

func (b *bulk) importOwn(ctx context.Context) error {
	return b.run(ctx, "import", b.path("events.ndjson"))
}

func (b *bulk) verifyPlain(ctx context.Context) error {
	rows, err := peers.HashRaw(ctx, b.path("plain.db"))
	if err == nil && rows != b.n {
		err = fmt.Errorf("the plain loop has read %d rows of %d", rows, b.n)
	}
	return err
}

func (b *bulk) verifyOwn(ctx context.Context) error { return b.run(ctx, "verify", "--all") }

// run runs the command on the store of the turn.
func (b *bulk) run(ctx context.Context, args ...string) error {
	c := exec.CommandContext(ctx, b.command, append(args, "--store", "file:"+b.path("ropewalk.db"))...)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return nil
}
