package soak

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/gc"
	"ropewalk/head"
)

// Load is work at full speed, without faults but throttling.
type Load struct {
	// Appends is how many there are in all, by so many writers at once.
	Appends, Writers int
	// Length is how long an aggregate grows, before its writer reads it, erases
	// it and goes on with a new one.
	Length int
	// ThrottleOneIn lets one swap of so many be throttled; 0 for none.
	ThrottleOneIn int
	// Samples is how often memory, goroutines and open files are counted.
	Samples int
}

// Sample is what a process takes at one moment. Memory is what is left when
// garbage is collected.
type Sample struct{ Heap, Goroutines, Files int }

// LoadFigures are what happened under a load.
type LoadFigures struct {
	Place                               string
	Appended, Read, Throttled, Erasures int
	Took                                time.Duration
	Samples                             []Sample
}

// loading is a load under way.
type loading struct {
	Load
	place     Place
	store     *ropewalk.Store
	collector *gc.Collector
	throttled atomic.Int64

	mu     sync.Mutex
	result LoadFigures
}

// Run puts the load on the place. Its error reports anything that was lost:
// each writer reads the changesets whose commit was reported to it.
func (l Load) Run(ctx context.Context, place Place) (*LoadFigures, error) {
	w := &loading{Load: l, place: place, collector: gc.New(place.Changesets, place.Heads, nil)}
	w.store = ropewalk.New(place.Changesets, w.heads(), nil)
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for n := range l.Writers {
		group.Go(func() error { return w.write(ctx, n) })
	}
	err := group.Wait()
	w.result.Took, w.result.Throttled = time.Since(began), int(w.throttled.Load())
	return &w.result, err
}

// heads returns the place's heads, throttled.
func (w *loading) heads() head.Store {
	if w.ThrottleOneIn == 0 {
		return w.place.Heads
	}
	return throttling{head.NewPassThrough(w.place.Heads), w}
}

// throttling refuses some swaps for now.
type throttling struct {
	head.PassThrough
	load *loading
}

func (s throttling) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	if err := s.load.throttle(); err != nil {
		return head.Head{}, err
	}
	return s.PassThrough.Swap(ctx, old, next)
}

func (s throttling) Commit(ctx context.Context, changesets []changeset.Changeset, old, next head.Head) (head.Head, error) {
	if err := s.load.throttle(); err != nil {
		return head.Head{}, err
	}
	return s.PassThrough.Commit(ctx, changesets, old, next)
}

func (s throttling) SwapAll(ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
	if err := s.load.throttle(); err != nil {
		return nil, err
	}
	return s.PassThrough.SwapAll(ctx, exchanges)
}

// throttle refuses one call in ThrottleOneIn.
func (w *loading) throttle() error {
	if rand.IntN(w.ThrottleOneIn) > 0 {
		return nil
	}
	w.throttled.Add(1)
	return &head.NotAppliedError{Retryable: true, Err: faults.ErrInjected}
}

// write does a writer's part, one aggregate after another.
func (w *loading) write(ctx context.Context, writer int) error {
	part := w.Appends / w.Writers
	for n := 0; part > 0; n++ {
		length := min(w.Length, part)
		if err := w.grow(ctx, fmt.Sprintf("load/%d/%d", writer, n), length); err != nil {
			return err
		}
		part -= length
	}
	return nil
}

// grow lets one aggregate live from its first append to its erasure.
func (w *loading) grow(ctx context.Context, id string, length int) error {
	chain := w.store.Chain(id)
	var h head.Head
	var err error
	for n := range length {
		content := bytes.Repeat([]byte{byte(n)}, 1000)
		if h, err = chain.Append(ctx, h, changeset.Draft{Content: content}); err != nil {
			return err
		}
		w.appended()
	}
	read, err := ropewalk.Collect(chain.ReaderAt(h).All(ctx))
	if err != nil || len(read) != length {
		return fmt.Errorf("%s has %d changesets of %d: %w", id, len(read), length, err)
	}
	for n, c := range read {
		if c.Content[0] != byte(n) {
			return fmt.Errorf("%s is not what was appended", c.Ref)
		}
	}
	if _, err := w.collector.Erase(ctx, id); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.result.Read += length
	w.result.Erasures++
	return nil
}

// appended counts, and takes a sample when it is time. The others wait, so that
// samples are of moments.
func (w *loading) appended() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.result.Appended++
	if w.Samples > 0 && w.result.Appended%(w.Appends/w.Samples) == 0 {
		w.result.Samples = append(w.result.Samples, sample())
	}
}

func sample() Sample {
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	files, _ := os.ReadDir("/proc/self/fd") // of Linux; elsewhere none are counted
	return Sample{int(memory.HeapAlloc), runtime.NumGoroutine(), len(files)}
}

// Growth returns how much more the process typically took in the last quarter
// of the load than in the first one.
func (f *LoadFigures) Growth() Sample {
	first, last := f.quarters()
	return Sample{last.Heap - first.Heap, last.Goroutines - first.Goroutines, last.Files - first.Files}
}

// quarters returns the medians of the first and of the last quarter.
func (f *LoadFigures) quarters() (first, last Sample) {
	quarter := len(f.Samples) / 4
	return median(f.Samples[:quarter]), median(f.Samples[len(f.Samples)-quarter:])
}

func median(samples []Sample) Sample {
	middle := func(of func(Sample) int) int {
		var all []int
		for _, s := range samples {
			all = append(all, of(s))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return Sample{
		middle(func(s Sample) int { return s.Heap }),
		middle(func(s Sample) int { return s.Goroutines }),
		middle(func(s Sample) int { return s.Files }),
	}
}

// LoadTable returns the figures of several places as a Markdown table.
func LoadTable(all []*LoadFigures) string {
	var text strings.Builder
	text.WriteString("| | appends | changesets read | aggregates erased | appends/s | swaps throttled | heap, first and last quarter | goroutines | open files | took |\n" +
		"| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, f := range all {
		first, last := f.quarters()
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s | %s | %.1f and %.1f MiB | %d and %d | %d and %d | %s |\n", f.Place,
			Grouped(f.Appended), Grouped(f.Read), Grouped(f.Erasures), Grouped(int(float64(f.Appended)/f.Took.Seconds())), Grouped(f.Throttled),
			mebibytes(first.Heap), mebibytes(last.Heap), first.Goroutines, last.Goroutines, first.Files, last.Files, f.Took.Round(100*time.Millisecond))
	}
	return text.String()
}

func mebibytes(n int) float64 { return float64(n) / (1 << 20) }
