package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/peers"
	"ropewalk/bench/internal/report"
)

// experiment is one part of the page.
type experiment struct {
	name, title, setup string
	// peers are the modules that Ropewalk is compared with.
	peers []string
	run   func(ctx context.Context, l *laboratory, r *report.Results) error
}

// experiments are all parts of the page, in its order.
var experiments = []experiment{
	walkExperiment, spanExperiment, tableExperiment, packedExperiment, commitsExperiment, hotExperiment, embeddedExperiment, processorExperiment, operationsExperiment, copyingExperiment, bulkExperiment,
	clientsExperiment, memoryExperiment, scaleExperiment, aggregatesExperiment, feedExperiment, feedCostsExperiment, queryExperiment,
	newcomerExperiment,
}

// laboratory is what all experiments of one run share. It must be closed.
type laboratory struct {
	quick    bool
	seed     uint64
	dir      string // of this run's own, removed at the end
	s3, aws  *lab.Server
	versions []string
	padding  *peers.Padding // nil until it is measured
}

func newLaboratory(quick bool, seed uint64, work string) (*laboratory, error) {
	if work == "" {
		work = filepath.Join("..", ".cache")
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(work, "bench.")
	if err != nil {
		return nil, err
	}
	dir, err = filepath.Abs(dir)
	return &laboratory{quick: quick, seed: seed, dir: dir}, err
}

func (l *laboratory) close() {
	l.s3.Stop()
	l.aws.Stop()
	_ = os.RemoveAll(l.dir)
}

// experiment runs one experiment and saves what it gives.
func (l *laboratory) experiment(ctx context.Context, e experiment, folder string) error {
	start, load := time.Now(), lab.Load()
	l.versions = lab.Versions(e.peers...)
	fmt.Fprintf(os.Stderr, "%s: %s\n", e.name, e.title)
	r := report.Results{
		Name: e.name, Title: e.title, Setup: e.setup, Command: "make bench RUN=" + e.name,
		Machine: lab.ThisMachine(l.dir), Seed: l.seed, Date: start, Quick: l.quick,
	}
	if err := e.run(ctx, l, &r); err != nil {
		return err
	}
	r.Peers, r.Seconds = l.versions, time.Since(start).Seconds()
	r.Conditions = fmt.Sprintf("Load of the machine in the minute before: %s; in the last minute: %s", load, lab.Load())
	for _, row := range r.Rows {
		fmt.Fprintln(os.Stderr, "  "+row.String())
	}
	return r.Save(folder)
}

// page writes the page of all results that are there.
func page(results string) error {
	var all []report.Results
	for _, e := range experiments {
		r, err := report.Load(results, e.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		all = append(all, r)
	}
	return report.Page(results, all)
}

// pick returns the size for a whole run, or the size for a quick one.
func pick[T any](l *laboratory, whole, quick T) T {
	if l.quick {
		return quick
	}
	return whole
}

// folder makes a folder of the run's own.
func (l *laboratory) folder(name string) (string, error) {
	return os.MkdirTemp(l.dir, strings.ReplaceAll(name, " ", "-")+".")
}

// content returns bytes that do not compress, the same for the same seed.
func (l *laboratory) content(size int) []byte {
	random := rand.New(rand.NewPCG(l.seed, uint64(size)))
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(random.Uint32())
	}
	return content
}

// event returns an event in JSON of exactly that size, the same for the same seed: at
// least 200 bytes.
func (l *laboratory) event(size int) []byte {
	const form = `{"type":"OrderLineAdded","id":"01991f3c-8a52-7c31-9d0e-3b8f6a1c2d4e","time":"2026-11-28T00:15:58.000000000Z","data":{"sku":"abc-123-def","quantity":3,"price":{"amount":1299,"currency":"EUR"},"note":"%s"}}`
	note := l.content(size - len(form) + len("%s"))
	for i, b := range note {
		note[i] = 'a' + b%26
	}
	return fmt.Appendf(nil, form, note)
}

// startS3 starts the S3 server at its first call.
func (l *laboratory) startS3(ctx context.Context) (err error) {
	if l.s3 == nil {
		l.s3, err = lab.StartS3(ctx, l.dir)
	}
	if err == nil && !slices.Contains(l.versions, l.s3.Name) {
		l.versions = append(l.versions, l.s3.Name)
	}
	return err
}

// startDynamoDB starts DynamoDB Local at its first call.
func (l *laboratory) startDynamoDB(ctx context.Context) (err error) {
	if l.aws == nil {
		l.aws, err = lab.StartDynamoDB(ctx, l.dir)
	}
	if err == nil {
		l.versions = append(l.versions, l.aws.Name)
	}
	return err
}
