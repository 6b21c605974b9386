package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/report"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
)

// stored is a chain of a thousand changesets of 1 KiB, and what reads it.
type stored struct {
	name, what string
	reader     *ropewalk.Reader
	format1    int // the row that it is compared with; its own for format 1
}

// packedProcessor compares what the processor does to read, decode and verify a
// changeset, where the storage takes no time.
func (l *laboratory) packedProcessor(ctx context.Context, r *report.Results) error {
	chains, done, err := l.storedChains(ctx)
	if err != nil {
		return err
	}
	defer done()
	times, allocations := make([][]float64, len(chains)), make([]float64, len(chains))
	for range pick(l, 11, 1) {
		for i, c := range chains {
			took, made, err := readFor(ctx, c.reader, pick(l, 200*time.Millisecond, 0))
			if err != nil {
				return fmt.Errorf("%s, %s: %w", c.name, c.what, err)
			}
			times[i], allocations[i] = append(times[i], took), made
		}
	}
	for i, c := range chains {
		row := report.Row{Name: c.name, What: c.what, N: packedAppends, Value: report.One(allocations[i]), Unit: "allocations each"}
		if c.format1 != i {
			row = row.Against(report.Ratios(times[i], times[c.format1]), "the processor time of format 1")
		}
		if c.name == packsName {
			row = row.Aim("12 allocations", allocations[i] <= 12)
		}
		r.Rows = append(r.Rows, row)
	}
	return nil
}

// readFor reads a history again and again, for so much time of processors, and returns the
// time and the allocations for each changeset.
func readFor(ctx context.Context, r *ropewalk.Reader, enough time.Duration) (took, allocations float64, err error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start, read := lab.ProcessorTime(), 0
	for ; read == 0 || lab.ProcessorTime()-start < enough; read += packedAppends {
		if err := lab.Drain(r.All(ctx), false); err != nil {
			return 0, 0, err
		}
	}
	took = float64(lab.ProcessorTime()-start) / float64(read)
	runtime.ReadMemStats(&after)
	return took, float64(after.Mallocs-before.Mallocs) / float64(read), nil
}

const packsName = "packed, packs of up to 64 KiB"

// storedChains returns chains in memory and in SQLite, and what to do after the last read.
func (l *laboratory) storedChains(ctx context.Context) (all []stored, done func(), err error) {
	folder, err := l.folder("packed")
	if err != nil {
		return nil, nil, err
	}
	file, err := sqlitestore.Open(filepath.Join(folder, "ropewalk.db"), nil)
	if err != nil {
		return nil, nil, err
	}
	memory := memstore.New()
	packed := packedOptions(64 << 10)
	for _, c := range []struct {
		name, where string
		store       *ropewalk.Store
		together    int
		format1     int
	}{
		{"format 1", "memory", ropewalk.New(memory, memory, nil), 1, 0},
		{packsName, "memory", ropewalk.New(memory, faults.TwoSteps(memory), &packed), 1, 0},
		{"format 1", "SQLite", ropewalk.New(file, file, nil), 1, 2},
		{"packed, one changeset in an append", "SQLite", ropewalk.New(file, file, &packed), 1, 2},
		{"packed, 16 changesets in an append", "SQLite", ropewalk.New(file, file, &packed), 16, 2},
	} {
		chain := c.store.Chain(fmt.Sprintf("order-%d", len(all)))
		if err := appendTogether(ctx, chain, c.together, l.event(1<<10)); err != nil {
			_ = file.Close()
			return nil, nil, err
		}
		reader, err := chain.Reader(ctx)
		if err != nil {
			_ = file.Close()
			return nil, nil, err
		}
		all = append(all, stored{c.name, "read, decode and verify, " + c.where, reader, c.format1})
	}
	return all, func() { _ = file.Close() }, nil
}

// appendTogether appends a thousand events, so many at once.
func appendTogether(ctx context.Context, chain *ropewalk.Chain, together int, event []byte) (err error) {
	drafts := make([]changeset.Draft, together)
	for i := range drafts {
		drafts[i] = changeset.Draft{Content: event, ContentType: "application/json"}
	}
	var h head.Head
	for at := 0; at < packedAppends && err == nil; at += together {
		h, err = chain.Append(ctx, h, drafts[:min(together, packedAppends-at)]...)
	}
	return err
}
