package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/report"
	"ropewalk/bench/internal/synthetic"
	"ropewalk/cache"
	"ropewalk/changeset"
	"ropewalk/inspect"
)

var memoryExperiment = experiment{
	name: "memory", title: "Memory",
	setup: `The highest resident memory (VmHWM) of a process of its own, with default options and nothing set for Go's garbage
collector: streaming 100,000 changesets of 10 KiB, which a synthetic storage computes when they are read, so that all
memory is the reader's; the command ` + "`ropewalk verify --all`" + ` over a million small changesets in a SQLite file; and the
same verification of a million in one aggregate over the synthetic storage.`,
	run: runMemory,
}

const memoryLimit = 128 // MiB

func runMemory(ctx context.Context, l *laboratory, r *report.Results) error {
	n := pick(l, 100_000, 2000)
	for _, how := range streamings {
		kib, err := kibOf(ctx, "stream", how.name, strconv.Itoa(n))
		if err != nil {
			return err
		}
		r.Rows = append(r.Rows, memoryRow("a reader", "streams 10 KiB each, "+how.what, n, kib))
	}
	if err := l.verifyMemory(ctx, r, pick(l, shape{10_000, 100}, shape{50, 10})); err != nil {
		return err
	}
	n = pick(l, 1_000_000, 500)
	kib, err := kibOf(ctx, "verify", strconv.Itoa(n))
	if err != nil {
		return err
	}
	r.Rows = append(r.Rows, memoryRow("inspect.VerifyAll, as the command calls it", shape{1, n}.String(), n, kib))
	r.Limits = []string{
		"What a window of changesets that were fetched ahead takes, 64 MiB of contents at most, and the garbage that Go lets grow to as much as what lives; the cache keeps 16 MiB more. WindowBytes and GOMEMLIMIT are what to lower where memory is short.",
		"verify keeps 48 bytes for each object of the aggregates it works on, and the command collects garbage when it is half as much.",
	}
	return nil
}

// kibOf returns what a child prints.
func kibOf(ctx context.Context, args ...string) (float64, error) {
	out, err := runChild(ctx, nil, args...)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
}

func memoryRow(name, what string, n int, kib float64) report.Row {
	mib := kib / 1024
	return report.Row{Name: name, What: what, N: n, Value: report.One(mib), Unit: "MiB"}.
		Aim(fmt.Sprintf("%d MiB", memoryLimit), mib < memoryLimit)
}

// streamings are the ways to read that a child measures.
var streamings = []struct {
	name, what string
	cached     bool
	run        func(ctx context.Context, r *ropewalk.Reader) error
}{
	{"forward", "forward", false, func(ctx context.Context, r *ropewalk.Reader) error { return lab.Drain(r.All(ctx), false) }},
	{"backward", "backward", false, func(ctx context.Context, r *ropewalk.Reader) error { return lab.Drain(r.Backward(ctx), false) }},
	{"cached", "forward through a cache", true, func(ctx context.Context, r *ropewalk.Reader) error { return lab.Drain(r.All(ctx), false) }},
}

// streamChild streams a history and prints the highest memory of the process in KiB.
func streamChild(ctx context.Context, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	for _, how := range streamings {
		if how.name != args[0] {
			continue
		}
		storage := synthetic.New("order", n, 10<<10).At(n)
		changesets := changeset.Store(storage)
		if how.cached {
			if changesets, err = cache.New(storage, nil); err != nil {
				return err
			}
		}
		reader, err := ropewalk.New(changesets, storage, nil).Chain("order").Reader(ctx)
		if err == nil {
			err = how.run(ctx, reader)
		}
		fmt.Println(highest())
		return err
	}
	return fmt.Errorf("no streaming is named %q", args[0])
}

// verifyChild verifies a history of small changesets and prints the highest
// memory of the process in KiB.
func verifyChild(ctx context.Context, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(50)) // as the command verify does
	storage := synthetic.New("order", n, 64).At(n)
	for report, err := range inspect.New(storage, storage, nil).VerifyAll(ctx) {
		if err != nil || len(report.Problems) > 0 || report.Committed != n {
			return fmt.Errorf("%d of %d changesets: %v, %w", report.Committed, n, report.Problems, err)
		}
	}
	fmt.Println(highest())
	return nil
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

// verifyMemory runs the command over a file of small changesets.
func (l *laboratory) verifyMemory(ctx context.Context, r *report.Results, s shape) error {
	command, err := l.buildCommand(ctx)
	if err != nil {
		return err
	}
	file, err := l.fill(ctx, s)
	if err != nil {
		return err
	}
	kib, err := kibOf(ctx, "command", command, "verify", "--all", "--store", "file:"+file)
	if err != nil {
		return err
	}
	r.Rows = append(r.Rows, memoryRow("ropewalk verify --all", s.String(), s.aggregates*s.each, kib))
	return os.RemoveAll(filepath.Dir(file))
}

// commandChild runs a command and prints its highest memory in KiB. The system
// counts the memory of the process that starts a command as the command's own:
// therefore this must be a small one.
func commandChild(ctx context.Context, args []string) error {
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v: %w: %s", args, err, out)
	}
	fmt.Println(c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
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
