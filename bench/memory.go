package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/report"
	"ropewalk/bench/internal/synthetic"
)

var memoryExperiment = experiment{
	name: "memory", title: "Memory",
	setup: `The highest resident memory (VmHWM) of a process of its own, with default options and nothing set for Go's garbage
collector: streaming 100,000 changesets of 10 KiB, which a synthetic storage computes when they are read, so that all
memory is the reader's; the same from a SQLite file; and the command ` + "`ropewalk verify --all`" + ` over a million small
changesets in a SQLite file, in many aggregates and in one.`,
	run: runMemory,
}

const memoryLimit = 128 // MiB

func runMemory(ctx context.Context, l *laboratory, r *report.Results) error {
	n := pick(l, 100_000, 2000)
	for _, how := range streamings {
		out, err := runChild(ctx, nil, "stream", how.name, strconv.Itoa(n))
		if err != nil {
			return err
		}
		kib, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			return err
		}
		r.Rows = append(r.Rows, memoryRow("a reader", "streams 10 KiB each, "+how.what, n, kib))
	}
	if err := l.verifyMemory(ctx, r); err != nil {
		return err
	}
	r.Limits = []string{
		"A window of 64 MiB of contents that were fetched ahead, and the garbage that Go lets grow to as much as what lives. WindowBytes is what to lower where memory is short: the rest takes about 20 MiB.",
		"verify keeps 48 bytes for each object of the aggregates it works on.",
	}
	return nil
}

func memoryRow(name, what string, n int, kib float64) report.Row {
	mib := kib / 1024
	return report.Row{Name: name, What: what, N: n, Value: report.One(mib), Unit: "MiB"}.
		Aim(fmt.Sprintf("%d MiB", memoryLimit), mib < memoryLimit)
}

// streamings are the ways to read that a child measures.
var streamings = []struct {
	name, what string
	run        func(ctx context.Context, r *ropewalk.Reader) error
}{
	{"forward", "forward", func(ctx context.Context, r *ropewalk.Reader) error { return lab.Drain(r.All(ctx), false) }},
	{"backward", "backward", func(ctx context.Context, r *ropewalk.Reader) error { return lab.Drain(r.Backward(ctx), false) }},
}

// streamChild streams a history and prints the highest memory of the process in KiB.
func streamChild(ctx context.Context, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	storage := synthetic.New("order", n, 10<<10).At(n)
	reader, err := ropewalk.New(storage, storage, nil).Chain("order").Reader(ctx)
	if err != nil {
		return err
	}
	for _, how := range streamings {
		if how.name == args[0] {
			if err := how.run(ctx, reader); err != nil {
				return err
			}
			fmt.Println(highest())
			return nil
		}
	}
	return fmt.Errorf("no streaming is named %q", args[0])
}

// highest returns the highest resident memory of this process in KiB.
func highest() string {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB"))
		}
	}
	return ""
}

// verifyMemory runs the command over files of small changesets.
func (l *laboratory) verifyMemory(ctx context.Context, r *report.Results) error {
	command, err := l.buildCommand(ctx)
	if err != nil {
		return err
	}
	for _, shape := range pick(l, []shape{{10_000, 100}, {1, 1_000_000}}, []shape{{50, 10}, {1, 500}}) {
		file, err := l.fill(ctx, shape)
		if err != nil {
			return err
		}
		c := exec.CommandContext(ctx, command, "verify", "--all", "--store", "file:"+file)
		out, err := c.CombinedOutput()
		if err != nil {
			return fmt.Errorf("verify: %w: %s", err, out)
		}
		usage := c.ProcessState.SysUsage().(*syscall.Rusage)
		row := memoryRow("ropewalk verify --all", shape.String(), shape.aggregates*shape.each, float64(usage.Maxrss))
		row.Note = fmt.Sprintf("%.0f s of processor time", (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds())
		r.Rows = append(r.Rows, row)
		if err := os.RemoveAll(filepath.Dir(file)); err != nil {
			return err
		}
	}
	return nil
}

// buildCommand builds the command ropewalk from the checkout.
func (l *laboratory) buildCommand(ctx context.Context) (string, error) {
	path := filepath.Join(l.dir, "ropewalk")
	c := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/ropewalk")
	c.Dir = ".."
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return path, nil
}

// shape is how many aggregates a store has, of so many changesets each.
type shape struct{ aggregates, each int }

func (s shape) String() string {
	if s.aggregates == 1 {
		return "one aggregate of " + report.Count(s.each)
	}
	return fmt.Sprintf("%s aggregates of %s", report.Count(s.aggregates), report.Count(s.each))
}

// fill makes a SQLite file of a shape, with small contents.
func (l *laboratory) fill(ctx context.Context, s shape) (string, error) {
	folder, err := l.folder("fill")
	if err != nil {
		return "", err
	}
	file := filepath.Join(folder, "store.db")
	db, err := sqlitestore.Open(file, nil)
	if err != nil {
		return "", err
	}
	defer db.Close()
	store := ropewalk.New(db, db, nil)
	return file, inParallel(ctx, s.aggregates, 64, func(ctx context.Context, i int) error {
		_, err := seed(ctx, store.Chain(fmt.Sprintf("order-%07d", i)), s.each, l.content(64))
		return err
	})
}
