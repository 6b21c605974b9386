package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"iter"
	"path/filepath"
	"testing"
	"time"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/bench/internal/report"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

var operationsExperiment = experiment{
	name: "operations", title: "The processor's part of each operation",
	setup: `What is left where the storage takes no time: each operation over memory, one after the other on one core, with what
it allocates. Reading is given for each changeset of 1,000. Memory keeps a copy of every content, and hands out another.`,
	run: runOperations,
}

// operation is what is repeated; per is how many changesets each time takes in.
type operation struct {
	name, what string
	per        int
	run        func(b *testing.B)
}

func runOperations(ctx context.Context, l *laboratory, r *report.Results) error {
	testing.Init()
	if err := flag.Set("test.benchtime", pick(l, "500ms", "3x")); err != nil {
		return err
	}
	operations, done, err := l.operations(ctx)
	if err != nil {
		return err
	}
	defer done()
	micros, last := make([][]float64, len(operations)), make([]testing.BenchmarkResult, len(operations))
	for range pick(l, 5, 1) {
		for i, o := range operations {
			last[i] = testing.Benchmark(o.run)
			if last[i].N == 0 {
				return fmt.Errorf("%s, %s: it has failed", o.name, o.what)
			}
			micros[i] = append(micros[i], float64(last[i].T.Nanoseconds())/1000/float64(last[i].N*o.per))
		}
	}
	for i, o := range operations {
		r.Rows = append(r.Rows, report.Row{
			Name: o.name, What: o.what, Value: report.Of(micros[i]), Unit: "µs",
			Note: fmt.Sprintf("%s bytes in %s allocations",
				report.Count(int(last[i].AllocedBytesPerOp())/o.per), report.Number(float64(last[i].AllocsPerOp())/float64(o.per))),
		})
	}
	r.Limits = []string{
		"Content is hashed once, when it is appended, and once when it is read; of 1 MiB that is nearly all of the time, beside memory's own copy.",
		"A header costs its ancestor index: up to 1 KB, which the digest hashes and the text form writes as base64. As a row of SQLite, a header has a binary form, without base64.",
		"Headers are decoded in one pass that accepts the one form alone, with one allocation for the index. A head is decoded in one pass as well, and held against what it encodes to; package json decodes only records with fields of a later version. An append after a head that its caller has decodes none.",
	}
	return nil
}

// operations returns all of them, and what to do after the last one.
func (l *laboratory) operations(ctx context.Context) ([]operation, func(), error) {
	h := longHead()
	changesets, _, err := link.Extend(h, h.AggregateID, []changeset.Draft{{Content: l.content(1 << 10)}}, time.Now())
	if err != nil {
		return nil, nil, err
	}
	header := changesets[0].Header
	row, err := changeset.EncodeRow(header)
	if err != nil {
		return nil, nil, err
	}
	metadata, err := changeset.Encode(header, changeset.Hyphenated)
	if err != nil {
		return nil, nil, err
	}
	record, err := head.EncodeJSON(h)
	if err != nil {
		return nil, nil, err
	}
	mebibyte, stored := l.content(1<<20), changeset.Stored{Ref: header.Ref, ContentType: header.ContentType, Size: header.BodySize, Metadata: metadata}
	all := []operation{
		{"append", "1 KiB", 1, appends(l.content(1 << 10))},
		{"append", "1 MiB", 1, appends(mebibyte)},
		{"SHA-256 alone", "1 MiB", 1, repeat(func() error { sha256.Sum256(mebibyte); return nil })},
		{"header", "digest", 1, repeat(func() error { header.ComputeDigest(h.Digest); return nil })},
		{"header", "encode", 1, repeat(func() error { _, err := changeset.Encode(header, changeset.Hyphenated); return err })},
		{"header", "encode, as a row", 1, repeat(func() error { _, err := changeset.EncodeRow(header); return err })},
		{"header", "decode", 1, repeat(func() error { _, err := changeset.Decode(stored, changeset.Hyphenated); return err })},
		{"header", "decode, as a row", 1, repeat(func() error { _, err := changeset.DecodeRow(stored, row); return err })},
		{"head", "encode", 1, repeat(func() error { _, err := head.EncodeJSON(h); return err })},
		{"head", "decode", 1, repeat(func() error { _, err := head.DecodeJSON(h.AggregateID, "", record); return err })},
	}
	typed, err := typedOperations(ctx)
	if err != nil {
		return nil, nil, err
	}
	reads, done, err := l.readOperations(ctx)
	return append(append(all, reads...), typed...), done, err
}

// longHead is a head at version 1,000.
func longHead() head.Head {
	h := head.Head{Ref: changeset.Ref{AggregateID: "order-4711", Version: 1000}, Revision: 1001, State: head.Live, UpdatedAt: time.Now()}
	for range h.Version + 1 {
		h.ID = changeset.NewID()
		h.Ancestors = h.Ancestors.Push(h.ID)
	}
	return h
}

func repeat(do func() error) func(*testing.B) {
	return func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := do(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// appends begins again after 100, so that the memory does not grow for ever.
func appends(content []byte) func(*testing.B) {
	return func(b *testing.B) {
		b.ReportAllocs()
		var chain *ropewalk.Chain
		var h head.Head
		for n := 0; b.Loop(); n++ {
			if n%100 == 0 {
				db := memstore.New()
				chain, h = ropewalk.New(db, db, nil).Chain("order"), head.Head{}
			}
			var err error
			if h, err = chain.Append(b.Context(), h, changeset.Draft{Content: content}); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// readOperations read a thousand changesets of 1 KiB from memory and from SQLite.
func (l *laboratory) readOperations(ctx context.Context) ([]operation, func(), error) {
	folder, err := l.folder("operations")
	if err != nil {
		return nil, nil, err
	}
	file, err := sqlitestore.Open(filepath.Join(folder, "ropewalk.db"), nil)
	if err != nil {
		return nil, nil, err
	}
	const n = 1000
	memory := memstore.New()
	var all []operation
	for _, db := range []struct {
		name  string
		store *ropewalk.Store
	}{{"memory", ropewalk.New(memory, memory, nil)}, {"SQLite", ropewalk.New(file, file, nil)}} {
		chain := db.store.Chain("order")
		var h head.Head
		for range n {
			if h, err = chain.Append(ctx, h, changeset.Draft{Content: l.content(1 << 10)}); err != nil {
				return nil, nil, errors.Join(err, file.Close())
			}
		}
		r := chain.ReaderAt(h)
		all = append(all,
			operation{"read", "forward, " + db.name, n, repeat(func() error { return drain(r.All(ctx)) })},
			operation{"read", "backward, " + db.name, n, repeat(func() error { return drain(r.Backward(ctx)) })})
	}
	return all, func() { _ = file.Close() }, nil
}

func drain(seq iter.Seq2[changeset.Changeset, error]) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

// lineAdded is the event of the typed operations; the sum of the quantities is
// their state.
type lineAdded struct {
	Item     string
	Quantity int
}

// ordersIn returns the repository of the typed operations.
func ordersIn(store *ropewalk.Store) *aggregate.Repository[int, lineAdded] {
	return aggregate.New(store, aggregate.Type[int, lineAdded]{
		Name: "order", Events: aggregate.Events[lineAdded]{"line-added": {}},
		Evolve: func(total int, e lineAdded) int { return total + e.Quantity },
	}, nil)
}

// typedOperations save one event, and load an aggregate of a hundred.
func typedOperations(ctx context.Context) ([]operation, error) {
	db := memstore.New()
	orders := ordersIn(ropewalk.New(db, db, nil))
	var err error
	order := aggregate.Loaded[int]{ID: "order"}
	for range 100 {
		if order, err = orders.Save(ctx, order, []lineAdded{{"rope", 2}}); err != nil {
			return nil, err
		}
	}
	fresh := aggregate.Loaded[int]{}
	saved := 0
	return []operation{
		{"aggregate", "save an event", 1, repeat(func() error {
			if saved%100 == 0 {
				fresh = aggregate.Loaded[int]{ID: fmt.Sprintf("order-%d", saved)}
			}
			saved++
			fresh, err = orders.Save(ctx, fresh, []lineAdded{{"rope", 2}})
			return err
		})},
		{"aggregate", "load, for each of 100 changesets", 100, repeat(func() error { _, err := orders.Load(ctx, "order"); return err })},
	}, nil
}
