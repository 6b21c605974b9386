package main

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
	"ropewalk/internal/headlist"
	"ropewalk/internal/reserved"
)

// Export reads some chains ahead of the one that it prints, each within a
// smaller window than a reader has by default.
const (
	exportChains      = 16
	exportWindow      = 64
	exportWindowBytes = 8 << 20
)

func newExport(a *app) *cobra.Command {
	var field exportField
	var all bool
	cmd := &cobra.Command{
		Use:   "export [ID...]",
		Short: "Export events as NDJSON",
		Long: `Print the events of aggregates, or of all of them, one JSON object a line, in
their order within each aggregate. Lines that were imported come out as they
went in, and the same import takes them again. A JSON object that was appended
otherwise gets the aggregate as its first field if the field is missing. Any
other content becomes an object with the aggregate, the content_type, and the
content, or the content_base64 if it is not JSON.

With --aggregate-field every line has that field, also lines whose import used
another one: use it if the export is to be imported as a whole.

An aggregate that is damaged is printed up to its fault and reported, and the
others follow; the exit code is 6 then.

With --json whole changesets are printed, in the command's own format.`,
		Example: `  ropewalk export > events.ndjson
  ropewalk export order-4711 order-4712
  ropewalk export --aggregate-field order_id > events.ndjson`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			field.forced = cmd.Flags().Changed("aggregate-field")
			if err := field.check(); err != nil {
				return err
			}
			if err := refuseAll(all, args); err != nil {
				return err
			}
			return a.runExport(cmd.Context(), field, args)
		},
	}
	cmd.Flags().StringVar(&field.name, "aggregate-field", "aggregate", "`FIELD` that holds the aggregate ID in every line")
	cmd.Flags().BoolVar(&all, "all", false, "export every aggregate, as without IDs")
	return cmd
}

// check refuses the names that export itself gives to content.
func (f exportField) check() error {
	if slices.Contains([]string{"content", "content_type", "content_base64"}, f.name) {
		return cliexit.WithHint(cliexit.Usagef("--aggregate-field %s: export uses this name for content that is no JSON object", f.name),
			"without --aggregate-field, lines that were imported come out as they went in")
	}
	return checkField(f.name)
}

// refuseAll refuses --all beside aggregate IDs. Without both, all is meant.
func refuseAll(all bool, args []string) error {
	if all && len(args) > 0 {
		return cliexit.Usagef("--all and aggregate IDs do not go together")
	}
	return nil
}

func (a *app) runExport(ctx context.Context, field exportField, args []string) error {
	ids, err := reference.ParseIDs(args)
	if err != nil {
		return err
	}
	return a.reading(ctx, func(s *store) error {
		narrow := s.with(ropewalk.Options{WindowCount: exportWindow, WindowBytes: exportWindowBytes})
		bar := &ui.Progress{}
		if !a.IsTerminal(a.Out) { // a bar would stand between the events
			bar = a.NewProgress(-1, false, "changesets")
		}
		bad, err := a.exportAll(histories(ctx, narrow, chainHeads(ctx, narrow, ids)), field, len(ids) == 0, bar)
		bar.End()
		if err != nil {
			return err
		}
		return bad.report(a, "exported")
	})
}

// exportAll prints all changesets, and returns the faults that ended the
// history of one aggregate. An aggregate erased in the meantime is left out,
// unless it was named.
func (a *app) exportAll(all iter.Seq[reply], field exportField, unnamed bool, bar *ui.Progress) (bad damage, err error) {
	for r := range all {
		switch {
		case unnamed && errors.Is(r.err, ropewalk.ErrErased):
			continue
		case r.err != nil && confined(r.err):
			bad.add(r.aggregateID, r.err)
			continue
		case r.err != nil:
			return bad, r.err
		}
		if err := a.printEvents(r.changeset, field); err != nil {
			return bad, err
		}
		bar.Add(1)
	}
	return bad, nil
}

// chainHeads yields the heads of the given aggregates, or of all that are not
// erased. The fault of a head that was asked for may be any error.
func chainHeads(ctx context.Context, s *store, ids []string) iter.Seq2[headlist.Entry, error] {
	return func(yield func(headlist.Entry, error) bool) {
		for _, id := range ids {
			h, err := s.Chain(id).Head(ctx)
			if !yield(headlist.Entry{AggregateID: id, Head: h, Fault: err}, nil) {
				return
			}
		}
		if len(ids) > 0 {
			return
		}
		for e, err := range headlist.All(ctx, s.heads, "") {
			if skip := err == nil && (e.Head.State == head.Erased || reserved.Is(e.AggregateID)); !skip && !yield(e, err) {
				return
			}
		}
	}
}

// reply is one changeset, or the error that ends the history of its aggregate;
// without an aggregate, the error that ends all.
type reply struct {
	aggregateID string
	changeset   changeset.Changeset
	err         error
}

// histories yields the whole history of each head, one after the other. It
// reads the chains to come ahead, and leaves nothing running. When the context
// ends, its error is the last reply.
func histories(ctx context.Context, s *store, all iter.Seq2[headlist.Entry, error]) iter.Seq[reply] {
	return func(yield func(reply) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		queue := make(chan chan reply, exportChains)
		running.Go(func() {
			defer close(queue)
			for e, err := range all {
				out := make(chan reply, 1)
				if !send(ctx, queue, out) {
					return
				}
				running.Go(func() { s.readAhead(ctx, e, err, out) })
			}
		})
		for out := range queue {
			for r := range out {
				if ctx.Err() == nil && !yield(r) {
					return
				}
			}
		}
		if err := ctx.Err(); err != nil {
			yield(reply{err: err})
		}
	}
}

// readAhead sends the history of one head, or the error that there is instead.
func (s *store) readAhead(ctx context.Context, e headlist.Entry, err error, out chan<- reply) {
	defer close(out)
	if err == nil {
		err = e.Fault
	}
	if err != nil {
		send(ctx, out, reply{aggregateID: e.AggregateID, err: err})
		return
	}
	for c, err := range s.Chain(e.AggregateID).ReaderAt(e.Head).All(ctx) {
		if !send(ctx, out, reply{e.AggregateID, c, err}) || err != nil {
			return
		}
	}
}

// send reports false where the context ends first.
func send[T any](ctx context.Context, to chan<- T, item T) bool {
	select {
	case to <- item:
		return true
	case <-ctx.Done():
		return false
	}
}
