package main

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/spf13/cobra"

	"ropewalk"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
)

func newExport(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var field exportField
	var all, internal bool
	cmd := &cobra.Command{
		Use:   "export [ID...]",
		Short: "Export events as NDJSON",
		Long: `Print the events of aggregates, or of all of them, one JSON object a line, in
their order within each aggregate. Lines that were imported come out as they
went in, and the same import takes them again. A JSON object that was appended
otherwise gets the aggregate as its first field if the field is missing. Any
other content becomes an object with the aggregate, the content_type, and the
content, or the content_base64 if the content is not JSON.

With --aggregate-field every line has that field, also lines that were imported
with another field: use it to import the whole export again.

A damaged aggregate is printed up to its fault and reported. The others follow,
and the exit code is 6.

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
			if err := cmp.Or(refuseAll(all, args), refuseInternal(internal, args)); err != nil {
				return err
			}
			return runExport(cmd.Context(), std, stores, field, internal, args)
		},
	}
	cmd.Flags().StringVar(&field.name, "aggregate-field", "aggregate", "`FIELD` that holds the aggregate ID in every line")
	cmd.Flags().BoolVar(&all, "all", false, "export every aggregate, as without IDs")
	addInternal(cmd, &internal, "export")
	return cmd
}

// check refuses the names of the fields in which export puts content.
func (f exportField) check() error {
	if slices.Contains([]string{"content", "content_type", "content_base64"}, f.name) {
		return cliexit.WithHint(cliexit.Usagef("--aggregate-field %s: export uses this name for content that is no JSON object", f.name),
			"without --aggregate-field, lines that were imported come out as they went in")
	}
	return checkField(f.name)
}

// refuseAll refuses --all together with aggregate IDs.
func refuseAll(all bool, args []string) error {
	if all && len(args) > 0 {
		return cliexit.Usagef("--all and aggregate IDs do not go together")
	}
	return nil
}

func runExport(ctx context.Context, std *ui.Streams, stores *storeFlags, field exportField, internal bool, args []string) error {
	ids, err := reference.ParseIDs(args)
	if err != nil {
		return err
	}
	return withStore(ctx, stores, func(s *store) error {
		narrow := s.with(ropewalk.Options{WindowCount: exportWindow, WindowBytes: exportWindowBytes})
		bar := &ui.Progress{}
		if !std.IsTerminal(std.Out) { // a bar would stand between the events
			bar = std.NewProgress(-1, false, "changesets")
		}
		bad, err := exportAll(std, histories(ctx, narrow, chainHeads(ctx, narrow, ids, internal)), field, len(ids) == 0, bar)
		bar.End()
		if err != nil {
			return err
		}
		return bad.report(std, "exported")
	})
}

// exportAll prints all changesets, and returns the faults of single aggregates. An
// aggregate that was erased in the meantime is left out, unless it was named.
func exportAll(std *ui.Streams, all iter.Seq[reply], field exportField, unnamed bool, bar *ui.Progress) (bad damage, err error) {
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
		if err := printEvents(std, r.changeset, field); err != nil {
			return bad, err
		}
		bar.Add(1)
	}
	return bad, nil
}
