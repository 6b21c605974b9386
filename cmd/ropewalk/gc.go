package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/gc"
)

// leastGrace is the shortest --grace: clocks that differ, and appends that are
// settled by hand, are well within.
const leastGrace = ui.Day

// gcFlags are the flags of gc.
type gcFlags struct {
	delete bool
	grace  time.Duration
	after  string
	all    bool
}

func newGC(a *app) *cobra.Command {
	var f gcFlags
	cmd := &cobra.Command{
		Use:   "gc [ID...]",
		Short: "Delete orphans: what lost a race, or was left behind",
		Long: `Find the orphans of the aggregates, or of all of them: changesets that are
stored and not in their chain. Lost ones can never be committed any more.
Pending ones still may; they are shut out first, by a fence, which a writer that
still lives gets over by itself. What remains of erased aggregates goes too.

Without --delete nothing is changed: it tells what it would delete. Orphans
younger than --grace are kept, by the storage's clock.

An aggregate whose head is older than what was built on it, as after a restore
of the heads, is left as it is, with exit code 6 when the others are done.`,
		Example: `  ropewalk gc
  ropewalk gc --delete --grace 14d
  ropewalk gc --delete --after order-4711`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runGC(cmd.Context(), f, args) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.delete, "delete", false, "delete what is found; a dry run otherwise")
	f.grace = 7 * ui.Day
	flags.Var((*ui.Duration)(&f.grace), "grace", "keep what is younger, for a `DURATION` like 7d; 1d at least")
	flags.BoolVar(&f.all, "all", false, "collect every aggregate, as without IDs")
	flags.StringVar(&f.after, "after", "", "begin behind this `ID`, the last one of a run that was ended")
	return cmd
}

func (a *app) runGC(ctx context.Context, f gcFlags, args []string) error {
	ids, err := f.parse(args)
	if err != nil {
		return err
	}
	return a.reading(ctx, func(s *store) error {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		g := collecting{app: a, gcFlags: f, stop: stop, total: gcJSON{Kind: ui.KindOf("gc"), Delete: f.delete}}
		bar := a.NewProgress(-1, false, "objects")
		c := gc.New(s.objects, s.heads, &gc.Options{Grace: f.grace, Delete: f.delete, Logger: s.log, Progress: bar.Add})
		reports := c.CollectAll(ctx, f.after)
		if len(ids) > 0 {
			reports = collectEach(ctx, c, ids)
		}
		err := g.run(reports)
		bar.End()
		return g.finish(err)
	})
}

func (f gcFlags) parse(args []string) (ids []string, err error) {
	switch {
	case f.grace < leastGrace:
		return nil, cliexit.Usagef("--grace %s: want %s or more", ui.FormatDuration(f.grace), ui.FormatDuration(leastGrace))
	case f.all && len(args) > 0:
		return nil, cliexit.Usagef("--all and aggregate IDs do not go together")
	case f.after != "" && len(args) > 0:
		return nil, cliexit.Usagef("--after and aggregate IDs do not go together")
	case f.after != "":
		return nil, changeset.ValidateAggregateID(f.after)
	}
	return reference.ParseIDs(args)
}

// collectEach collects the aggregates that were named. It ends with the first
// one that is missing, or with the context.
func collectEach(ctx context.Context, c *gc.Collector, ids []string) iter.Seq2[gc.Report, error] {
	return func(yield func(gc.Report, error) bool) {
		for _, id := range ids {
			r, err := c.Collect(ctx, id)
			if !errors.Is(err, ropewalk.ErrNotFound) && !errors.Is(err, ropewalk.ErrInvalidAggregateID) {
				r.Err, err = err, nil
			}
			if !yield(r, err) || err != nil || ctx.Err() != nil {
				return
			}
		}
	}
}

// collecting is one run of gc. Its lines wait for the end, so that the progress
// bar has the terminal for itself; --json has no bar, and no wait.
type collecting struct {
	*app
	gcFlags
	stop   func() // ends the work on all aggregates
	total  gcJSON
	found  []gc.Report // with something to report
	failed []gc.Report
}

// run takes in all reports. An interrupt, or a storage that cannot be worked
// with, ends the work on all aggregates: the reports that are still to come
// count the work done until then.
func (g *collecting) run(reports iter.Seq2[gc.Report, error]) error {
	var ended error
	for r, err := range reports {
		if ended == nil && (err != nil || cliexit.Unavailable(r.Err) || errors.Is(r.Err, context.Canceled)) {
			ended = cmp.Or(err, r.Err)
			g.stop()
		}
		if err == nil {
			err = g.take(r, ended == nil)
		}
		if err != nil {
			return cmp.Or(ended, err)
		}
	}
	return ended
}

// finish prints what was done, whatever ended it, and returns what has failed.
func (g *collecting) finish(ended error) error {
	if cliexit.IsOutput(ended) || ended != nil && g.total.Aggregates == 0 {
		return ended // a total would read as an empty store
	}
	if err := g.printFound(); err != nil {
		return err
	}
	for _, r := range g.found {
		g.warnOf(r)
	}
	if ended != nil {
		return g.resumable(ended)
	}
	return g.failure()
}

// resumable says how to go on.
func (g *collecting) resumable(err error) error {
	if g.total.Last == "" {
		return err
	}
	again := "ropewalk gc --after " + ui.Quote(g.total.Last)
	if g.delete {
		again += " --delete"
	}
	if g.grace != 7*ui.Day {
		again += " --grace " + ui.FormatDuration(g.grace)
	}
	return cliexit.WithHint(err, "all up to %s is done; continue: %s", g.total.Last, again)
}

// failure returns the error of the aggregates that could not be collected: one
// whose head was rolled back comes first.
func (g *collecting) failure() error {
	if len(g.failed) == 0 {
		return nil
	}
	first := g.failed[0]
	for _, r := range g.failed {
		if errors.Is(r.Err, ropewalk.ErrHeadLost) {
			first = r
			break
		}
	}
	err := first.Err
	if len(g.failed) > 1 {
		for _, r := range g.failed {
			g.Warn("%v", r.Err)
		}
		err = fmt.Errorf("%s could not be collected, the others are done; the first of them: %w", ui.Plural(int64(len(g.failed)), "aggregate"), err)
	}
	argument := reference.Operand(first.AggregateID)
	if errors.Is(err, ropewalk.ErrHeadLost) {
		return cliexit.WithHint(err, "see what is there: ropewalk verify %s; then decide: ropewalk rebuild-head %s", argument, argument)
	}
	return cliexit.WithHint(err, "see what is wrong: ropewalk verify %s", argument)
}
