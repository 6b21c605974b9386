package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/gc"
)

// flushedJSON is an aggregate of flush with --json. An aggregate without a tip is left
// out.
type flushedJSON struct {
	ui.Kind
	Aggregate  string    `json:"aggregate"`
	Revision   uint64    `json:"revision,omitempty"`
	Changesets int64     `json:"changesets"`
	Objects    countJSON `json:"objects"`
	// Fault says why the tip could not be moved; Code is its class.
	Fault string `json:"fault,omitempty"`
	Code  string `json:"code,omitempty"`
}

// flushJSON is the summary of flush with --json.
type flushJSON struct {
	ui.Kind
	Aggregates int64     `json:"aggregates"`
	Changesets int64     `json:"changesets"`
	Objects    countJSON `json:"objects"`
	// Failed counts the aggregates whose tip could not be moved.
	Failed int64 `json:"failed"`
}

func newFlush(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "flush ID... | --all",
		Short: "Move the newest changesets out of the heads into objects",
		Long: `Move the changesets that are only in the heads of packed chains into objects. The
head of a packed chain has its newest changesets in itself, until an append moves
them. After a flush, every changeset that was committed before it is an object:
before a backup of the objects, or for a tool that reads the bucket.

A flush changes no history. A writer that is at work meets it as a fence, and
appends again after it. An aggregate of which nothing is in the head is left as
it is. Running an interrupted flush again finishes it.`,
		Example: `  ropewalk flush order-4711
  ropewalk flush --all`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runFlush(cmd.Context(), std, stores, all, args)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "flush every aggregate of the store")
	return cmd
}

func runFlush(ctx context.Context, std *ui.Streams, stores *storeFlags, all bool, args []string) error {
	ids, err := reference.ParseIDs(args)
	switch {
	case err != nil:
		return err
	case all && len(args) > 0:
		return cliexit.Usagef("--all and aggregate IDs do not go together")
	case !all && len(args) == 0:
		return cliexit.Usagef("name the aggregates, or flush all of them with --all")
	}
	return withStore(ctx, stores, func(s *store) error {
		f := flushing{Streams: std, total: flushJSON{Kind: ui.KindOf("flush")}, bar: std.NewProgress(-1, false, "changesets")}
		c := gc.New(s.objects, s.heads, &gc.Options{Compress: s.Options().Compress, Logger: s.log})
		reports := c.FlushAll(ctx)
		if !all {
			reports = flushEach(ctx, c, ids)
		}
		err := f.run(reports)
		f.bar.End()
		return f.finish(err)
	})
}

// flushEach flushes the aggregates that were named. It ends at the first that cannot be
// flushed, or with the context.
func flushEach(ctx context.Context, c *gc.Collector, ids []string) iter.Seq2[gc.Flushed, error] {
	return func(yield func(gc.Flushed, error) bool) {
		for _, id := range ids {
			if f, err := c.Flush(ctx, id); !yield(f, err) || err != nil {
				return
			}
		}
	}
}

// flushing is a run of flush.
type flushing struct {
	*ui.Streams
	total  flushJSON
	bar    *ui.Progress
	failed []gc.Flushed
}

// run takes all reports. A storage that is unavailable ends the work on all aggregates.
func (f *flushing) run(reports iter.Seq2[gc.Flushed, error]) error {
	for r, err := range reports {
		if err == nil && (cliexit.Unavailable(r.Err) || errors.Is(r.Err, context.Canceled)) {
			err = r.Err
		}
		if err == nil {
			err = f.take(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *flushing) take(r gc.Flushed) error {
	f.bar.Add(r.Changesets)
	switch {
	case r.Err != nil:
		f.total.Failed++
		f.failed = append(f.failed, r)
	case r.Changesets == 0:
		return nil
	default:
		f.total.Aggregates++
		f.total.Changesets += r.Changesets
		f.total.Objects.add(r.Objects)
	}
	if !f.JSON {
		return nil
	}
	out := flushedJSON{ui.KindOf("flushed"), r.AggregateID, r.Head.Revision, r.Changesets, countJSON(r.Objects), "", ""}
	if r.Err != nil {
		out.Fault, out.Code = f.Message(r.Err), cliexit.Classify(context.Background(), r.Err).Code
	}
	return f.Emit(out)
}

// finish prints what was moved, also after an interrupt, and returns the error of the run.
func (f *flushing) finish(ended error) error {
	if cliexit.IsOutput(ended) || ended != nil && f.total.Aggregates == 0 {
		return ended // a total would read as an empty store
	}
	t := f.total
	moved := fmt.Sprintf("moved %s into %s, %s, of %s", ui.Plural(t.Changesets, "changeset"), ui.Plural(t.Objects.Objects, "object"),
		ui.SpacedSize(t.Objects.Bytes), ui.Plural(t.Aggregates, "aggregate"))
	err := error(nil)
	if f.JSON {
		err = f.Emit(t)
	} else {
		err = f.Print("%s\n", moved)
	}
	switch {
	case err != nil:
		return f.Unread(err, "%s", moved)
	case ended != nil:
		return ended
	}
	return f.failure()
}

// failure returns the error of the aggregates whose tips could not be moved.
func (f *flushing) failure() error {
	if len(f.failed) == 0 {
		return nil
	}
	first := f.failed[0]
	err := first.Err
	if len(f.failed) > 1 {
		for _, r := range f.failed {
			f.Warn("%v", r.Err)
		}
		err = fmt.Errorf("%s could not be flushed, the others are done; the first of them: %w", ui.Plural(int64(len(f.failed)), "aggregate"), err)
	}
	return cliexit.WithHint(err, "see what is wrong: ropewalk verify %s", reference.Operand(first.AggregateID))
}
