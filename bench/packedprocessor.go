package main

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"testing"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/bench/internal/report"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
)

// stored is a chain of a thousand changesets of 1 KiB, and what reads it.
type stored struct {
	name, what string
	read       func(*testing.B)
	format1    int // the row that it is compared with; its own for format 1
}

// packedProcessor compares what the processor does to read, decode and verify a
// changeset, where the storage takes no time.
func (l *laboratory) packedProcessor(ctx context.Context, r *report.Results) error {
	testing.Init()
	if err := flag.Set("test.benchtime", pick(l, "300ms", "1x")); err != nil {
		return err
	}
	chains, done, err := l.storedChains(ctx)
	if err != nil {
		return err
	}
	defer done()
	micros, allocations := make([][]float64, len(chains)), make([]float64, len(chains))
	for range pick(l, 7, 1) {
		for i, c := range chains {
			result := testing.Benchmark(c.read)
			if result.N == 0 {
				return fmt.Errorf("%s, %s: it has failed", c.name, c.what)
			}
			micros[i] = append(micros[i], float64(result.T.Nanoseconds())/1000/float64(result.N*packedAppends))
			allocations[i] = float64(result.AllocsPerOp()) / packedAppends
		}
	}
	for i, c := range chains {
		row := report.Row{Name: c.name, What: c.what, N: packedAppends, Value: report.One(allocations[i]), Unit: "allocations each"}
		if c.format1 != i {
			row = row.Against(report.Ratios(micros[i], micros[c.format1]), "the time of format 1")
		}
		if c.name == packsName {
			row = row.Aim("12 allocations", allocations[i] <= 12)
		}
		r.Rows = append(r.Rows, row)
	}
	return nil
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
		chain := c.store.Chain(fmt.Sprintf("%s, %d", c.name, c.together))
		if err := appendTogether(ctx, chain, c.together, l.event(1<<10)); err != nil {
			_ = file.Close()
			return nil, nil, err
		}
		reader, err := chain.Reader(ctx)
		if err != nil {
			_ = file.Close()
			return nil, nil, err
		}
		all = append(all, stored{c.name, "read, decode and verify, " + c.where, repeat(func() error { return drain(reader.All(ctx)) }), c.format1})
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
