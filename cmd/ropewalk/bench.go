package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
)

func newBench(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench URL",
		Short: "Measure a store: latency, throughput, requests and their price",
		Long: `Measure how long an append, the load of a head and a read of 100 changesets take
on a store, and how many appends a second it takes from several writers, each
with an aggregate of its own. Requests are counted, and priced at example list
prices that are not kept up to date; storage and traffic come on top.

The estimated cost comes first; on a store in a cloud it must be confirmed, or
--yes given. All aggregates are named bench-RANDOM-…, and are erased at the end.
The tombstone of each remains, as of every erased aggregate.`,
		Example: `  ropewalk bench file:scratch.db
  ropewalk bench 'aws://acme-orders/?table=acme-heads&region=eu-west-1' --appends 50`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return runBench(cmd.Context(), std, stores, f, args[0]) },
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

func runBench(ctx context.Context, std *ui.Streams, stores *storeFlags, f benchFlags, rawURL string) error {
	if err := f.check(); err != nil {
		return err
	}
	if _, err := stores.parse(rawURL, std.Env); err != nil {
		return err
	}
	scheme, _, _ := strings.Cut(rawURL, ":")
	price := benchPrices[scheme]
	if err := printBenchCost(std, newBenchCost("estimate", price, f.estimate(scheme))); err != nil {
		return err
	}
	if err := std.Confirm(ctx, f.yes || price.free(), "bench", "spend that on "+rawURL); err != nil {
		return err
	}
	return withURL(ctx, stores, rawURL, true, func(s *store) error {
		b := newBenching(std, s, f)
		err := b.run(ctx)
		b.bar.End()
		left, cleaning := b.clean(ctx)
		actual := newBenchCost("actual", price, b.meter.Count())
		actual.Tombstones = left
		return errors.Join(err, cleaning, printBenchCost(std, actual))
	})
}
