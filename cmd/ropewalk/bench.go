package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ropewalk"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/location"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/gc"
	"ropewalk/internal/meter"
)

// benchFlags are the flags of bench.
type benchFlags struct {
	appends, reads, size, parallel int
	yes                            bool
}

// benchRead is how many changesets bench reads at a time.
const benchRead = 100

// cleanTimeout bounds how long bench cleans up after itself.
const cleanTimeout = 2 * time.Minute

func newBench(a *app) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench URL",
		Short: "Measure a store: latency, throughput, requests and their price",
		Long: `Measure how long an append, the load of a head and a read of 100 changesets take
on a store, and how many appends a second it takes from several writers, each
with an aggregate of its own. Requests are counted, and priced at example list
prices that are not kept up to date; storage and traffic come on top.

What it will cost comes first; on a store in a cloud it must be confirmed, or
--yes given. All of its aggregates are named bench-RANDOM-…; they are erased at
the end. Of each a tombstone remains, as of every aggregate that was erased.`,
		Example: `  ropewalk bench file:scratch.db
  ropewalk bench 'aws://acme-orders/?table=acme-heads&region=eu-west-1' --appends 50`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runBench(cmd.Context(), f, args[0]) },
	}
	flags := cmd.Flags()
	flags.IntVar(&f.appends, "appends", 200, "append `N` changesets one after the other, and as many by all writers together")
	flags.IntVar(&f.reads, "reads", 10, "read 100 changesets `N` times")
	flags.IntVar(&f.size, "size", 1024, "size of each changeset's content in `BYTES`")
	flags.IntVar(&f.parallel, "parallel", 16, "append by `N` writers at once")
	flags.BoolVar(&f.yes, "yes", false, "do not ask before requests that cost money")
	return cmd
}

func (f benchFlags) check() error {
	for _, limit := range []struct {
		name             string
		value, low, high int
	}{
		{"appends", f.appends, 1, 10_000},
		{"reads", f.reads, 1, 1000},
		{"size", f.size, 0, 16 << 20},
		{"parallel", f.parallel, 1, 256},
	} {
		if limit.value < limit.low || limit.value > limit.high {
			return cliexit.Usagef("--%s %d: want %d to %d", limit.name, limit.value, limit.low, limit.high)
		}
	}
	return nil
}

// chain is how long the chain is that is read from.
func (f benchFlags) chain() int { return max(f.appends, benchRead) }

// together is how many changesets are appended by all writers: the same number by each.
func (f benchFlags) together() int { return (f.appends + f.parallel - 1) / f.parallel * f.parallel }

func (a *app) runBench(ctx context.Context, f benchFlags, rawURL string) error {
	if err := f.check(); err != nil {
		return err
	}
	if _, err := a.place(rawURL, a.Env); err != nil {
		return err
	}
	scheme, _, _ := strings.Cut(rawURL, ":")
	price := benchPrices[scheme]
	if err := a.printBenchCost(newBenchCost("estimate", price, f.estimate(scheme))); err != nil {
		return err
	}
	if err := a.Confirm(ctx, f.yes || price.free(), "bench", "spend that on "+rawURL); err != nil {
		return err
	}
	return a.with(ctx, rawURL, true, func(s *store) error {
		b := newBenching(a, s, f)
		err := b.run(ctx)
		b.bar.End()
		left, cleaning := b.clean(ctx)
		actual := newBenchCost("actual", price, b.meter.Count())
		actual.Tombstones = left
		return errors.Join(err, cleaning, a.printBenchCost(actual))
	})
}

// benching is one run of bench.
type benching struct {
	*app
	*store
	flags  benchFlags
	meter  *meter.Meter
	prefix string
	bar    *ui.Progress
}

// newBenching counts the requests to a store.
func newBenching(a *app, s *store, f benchFlags) *benching {
	m := meter.New(0)
	counted := *s
	counted.objects, counted.heads = m.Changesets(s.objects).(location.Objects), m.Heads(s.heads).(location.Heads)
	return &benching{
		app: a, store: counted.with(ropewalk.Options{}), flags: f, meter: m,
		prefix: "bench-" + strings.ToLower(rand.Text()[:10]),
		bar:    a.NewProgress(int64(f.chain()+f.together()+f.chain()+f.reads), false, "operations"),
	}
}

// aggregate returns the ID of one of the aggregates of this run: number 0 is
// the one that is read, and each writer has one of those after it.
func (b *benching) aggregate(number int) string { return fmt.Sprintf("%s-%d", b.prefix, number) }

// clean erases what the run has made, also when it was interrupted, and
// returns how many tombstones remain.
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
