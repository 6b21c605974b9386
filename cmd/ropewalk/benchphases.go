package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/location"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/meter"
)

// benchJSON is a measurement of bench with --json.
type benchJSON struct {
	ui.Kind
	What string `json:"what"`
	// N is the number of calls, Parallel of them at the same time.
	N        int `json:"n"`
	Parallel int `json:"parallel"`
	// The times of a call in milliseconds, by percentiles.
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
	// PerSecond is the number of calls in a second.
	PerSecond float64 `json:"per_second"`
}

// benching is one run of bench.
type benching struct {
	*ui.Streams
	*store
	flags  benchFlags
	meter  *meter.Meter
	prefix string
	bar    *ui.Progress
}

// newBenching counts the requests to a store.
func newBenching(std *ui.Streams, s *store, f benchFlags) *benching {
	m := meter.New(0)
	counted := *s
	counted.objects, counted.heads = m.Changesets(s.objects).(location.Objects), m.Heads(s.heads).(location.Heads)
	return &benching{
		Streams: std, store: counted.with(ropewalk.Options{}), flags: f, meter: m,
		prefix: "bench-" + strings.ToLower(rand.Text()[:10]),
		bar:    std.NewProgress(int64(f.chain()+f.together()+f.chain()+f.reads), false, "operations"),
	}
}

// aggregate returns the ID of an aggregate of this run. Aggregate 0 is read; each
// writer has one after it.
func (b *benching) aggregate(number int) string { return fmt.Sprintf("%s-%d", b.prefix, number) }

// run measures one phase after another, and prints all results at the end.
func (b *benching) run(ctx context.Context) error {
	content := make([]byte, b.flags.size)
	_, _ = rand.Read(content) // never fails
	draft := changeset.Draft{Content: content}
	chain := b.Chain(b.aggregate(0))
	phases := []struct {
		what        string
		n, parallel int
		each        func(writer int) func(context.Context) error
	}{
		{"append", b.flags.chain(), 1, func(int) func(context.Context) error { return appending(chain, draft) }},
		{"load head", b.flags.chain(), 1, func(int) func(context.Context) error {
			return func(ctx context.Context) error { _, err := chain.Head(ctx); return err }
		}},
		{"read " + strconv.Itoa(benchRead), b.flags.reads, 1, func(int) func(context.Context) error { return readingNewest(chain) }},
		{"append", b.flags.together(), b.flags.parallel, func(writer int) func(context.Context) error {
			return appending(b.Chain(b.aggregate(writer+1)), draft)
		}},
	}
	var all []benchJSON
	for _, p := range phases {
		times, took, err := b.measure(ctx, p.n, p.parallel, p.each)
		if err != nil {
			return err
		}
		all = append(all, newBenchJSON(p.what, p.parallel, times, took))
	}
	return b.printBench(all)
}

// appending returns a function that appends a changeset after its previous one.
func appending(chain *ropewalk.Chain, draft changeset.Draft) func(context.Context) error {
	var h head.Head
	return func(ctx context.Context) (err error) {
		h, err = chain.Append(ctx, h, draft)
		return err
	}
}

// readingNewest returns a function that loads the head and reads the newest
// changesets.
func readingNewest(chain *ropewalk.Chain) func(context.Context) error {
	return func(ctx context.Context) error {
		r, err := chain.Reader(ctx)
		if err != nil {
			return err
		}
		for _, err := range r.Changesets(ctx, ropewalk.Range{First: r.Head().Version + 1 - benchRead, Last: ropewalk.Newest}) {
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// measure calls each n times, by so many workers at once. It returns the time of
// each call, and the time of all.
func (b *benching) measure(ctx context.Context, n, parallel int, each func(worker int) func(context.Context) error) ([]time.Duration, time.Duration, error) {
	times := make([]time.Duration, n)
	done := make(chan struct{}, n)
	group, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for worker := range parallel {
		do := each(worker)
		group.Go(func() error {
			for i := worker; i < n; i += parallel {
				began := time.Now()
				if err := do(ctx); err != nil {
					return err
				}
				times[i] = time.Since(began)
				done <- struct{}{}
			}
			return nil
		})
	}
	failed := make(chan error, 1)
	go func() { failed <- group.Wait(); close(done) }()
	for range done {
		b.bar.Add(1)
	}
	return times, time.Since(start), <-failed
}

func newBenchJSON(what string, parallel int, times []time.Duration, took time.Duration) benchJSON {
	slices.Sort(times)
	at := func(percent int) float64 {
		return milliseconds(times[max(0, (len(times)*percent+99)/100-1)])
	}
	return benchJSON{
		ui.KindOf("bench"), what, len(times), parallel, at(50), at(95), at(99), at(100),
		float64(len(times)) / took.Seconds(),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (b *benching) printBench(all []benchJSON) error {
	if b.JSON {
		for _, m := range all {
			if err := b.Emit(m); err != nil {
				return err
			}
		}
		return nil
	}
	t := ui.NewTable(b.Out, "WHAT", "TIMES", "AT ONCE", "P50", "P95", "P99", "MAX", "A SECOND").AlignRight(1, 2, 3, 4, 5, 6, 7)
	ms := func(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) + "ms" }
	for _, m := range all {
		if err := t.Row(m.What, strconv.Itoa(m.N), strconv.Itoa(m.Parallel), ms(m.P50), ms(m.P95), ms(m.P99), ms(m.Max),
			strconv.FormatFloat(m.PerSecond, 'f', 1, 64)); err != nil {
			return err
		}
	}
	return t.Flush()
}

// cleanTimeout is the time limit of erasing the aggregates of a run.
const cleanTimeout = 2 * time.Minute

// clean erases the aggregates of the run, also after an interrupt, and returns the
// number of tombstones that remain.
func (b *benching) clean(ctx context.Context) (tombstones int, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	collector := gc.New(b.objects, b.heads, nil)
	for number := range b.flags.parallel + 1 {
		_, failed := collector.Erase(ctx, b.aggregate(number))
		switch {
		case errors.Is(failed, ropewalk.ErrNotFound):
		case failed != nil:
			err = errors.Join(err, cliexit.WithHint(fmt.Errorf("erase %s: %w", b.aggregate(number), failed),
				"what remains is named %s-…: ropewalk erase removes it", b.prefix))
		default:
			tombstones++
		}
	}
	return tombstones, err
}
