package main

import (
	"context"
	"errors"
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

// leastGrace is the shortest --grace. It covers clocks that differ, and appends that
// are settled by hand.
const leastGrace = ui.Day

// gcFlags are the flags of gc.
type gcFlags struct {
	delete bool
	grace  time.Duration
	after  string
	all    bool
	// headless lets void heads be written, and parts lets parts of commits be deleted.
	headless, parts bool
}

func newGC(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var f gcFlags
	cmd := &cobra.Command{
		Use:   "gc [ID...]",
		Short: "Delete orphans: changesets that are stored and not in a chain",
		Long: `Find the orphans of the aggregates, or of all aggregates: changesets that are
stored and not in their chain. A lost changeset can no longer be committed. A
pending changeset still can; a fence shuts it out first, and a writer that is at
work appends again after the fence. The objects of erased aggregates are deleted
as well.

Without --delete nothing is changed: gc reports what it would delete. Orphans
younger than --grace are kept, by the storage's clock.

An aggregate is left alone if objects were built beyond its head, as after a
restore of the heads. The exit code is then 6, once the others are done.

An aggregate with objects and no head is left alone too, unless --headless is
given. Then its first appends are fenced by a void head, and their objects are
orphans. A chain with one append whose head was lost looks the same: give it only
if no heads were lost. The store must be packed.

An orphan that is a part of a commit of several aggregates is kept, unless gc looks at
all aggregates and finds an orphan of the commit in each of them. Otherwise the chain of
another aggregate may have the commit, if a head was restored. With --parts such
orphans are deleted too: give it only if ropewalk verify --all has just found no torn
commit.`,
		Example: `  ropewalk gc
  ropewalk gc --delete --grace 14d
  ropewalk gc --delete --after order-4711`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return runGC(cmd.Context(), std, stores, f, args) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.delete, "delete", false, "delete what is found; a dry run otherwise")
	f.grace = 7 * ui.Day
	flags.Var((*ui.Duration)(&f.grace), "grace", "keep what is younger, for a `DURATION` like 7d; 1d at least")
	flags.BoolVar(&f.all, "all", false, "collect every aggregate, as without IDs")
	flags.BoolVar(&f.headless, "headless", false, "collect aggregates without a head too; only if no heads were lost")
	flags.BoolVar(&f.parts, "parts", false, "delete parts of commits of several aggregates too; only if no commit is torn")
	flags.StringVar(&f.after, "after", "", "begin after this `ID`, the last one of an interrupted run")
	return cmd
}

func runGC(ctx context.Context, std *ui.Streams, stores *storeFlags, f gcFlags, args []string) error {
	ids, err := f.parse(args)
	if err != nil {
		return err
	}
	return withStore(ctx, stores, func(s *store) error {
		if f.headless && !s.layout.Packed {
			return cliexit.Usagef("--headless writes void heads, which only a packed store has: add format=packed to its URL")
		}
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		g := collecting{Streams: std, delete: f.delete, headless: f.headless, grace: f.grace, stop: stop, total: gcJSON{Kind: ui.KindOf("gc"), Delete: f.delete}}
		bar := std.NewProgress(-1, false, "objects")
		c := gc.New(s.objects, s.heads, &gc.Options{Grace: f.grace, Delete: f.delete, Void: f.headless, Parts: f.parts, Logger: s.log, Progress: bar.Add})
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

// collectEach collects the aggregates that were named. It ends at the first that is
// missing, or with the context.
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
