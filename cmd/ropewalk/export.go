package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"slices"

	"github.com/spf13/cobra"

	"ropewalk"
	"ropewalk/archive"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/feed"
)

// exportFlags are the flags of export.
type exportFlags struct {
	field         exportField
	format        string
	all, internal bool
}

// exportFormats are the values of --format.
var exportFormats = []string{"ndjson", "parquet"}

func newExport(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "export [ID...]",
		Short: "Export events as NDJSON or Parquet",
		Long: `Print the events of aggregates, or of all of them, one JSON object a line, in
their order within each aggregate. Lines that were imported come out as they
went in, and the same import takes them again. A JSON object that was appended
otherwise gets the aggregate as its first field if the field is missing. Any
other content becomes an object with the aggregate, the content_type, and the
content, or the content_base64 if the content is not JSON.

With --aggregate-field every line has that field, also lines that were imported
with another field: use it to import the whole export again.

With --format parquet the output is a Parquet file for SQL, with a row for each
event, and one for each changeset without events. docs/analytics.md lists the
columns, and has queries. The column position is NULL: see ropewalk archive for
files that follow the feed.

A damaged aggregate is printed up to its fault and reported. The others follow,
and the exit code is 6.

With --json whole changesets are printed, in the command's own format.`,
		Example: `  ropewalk export > events.ndjson
  ropewalk export order-4711 order-4712
  ropewalk export --aggregate-field order_id > events.ndjson
  ropewalk export --format parquet > events.parquet`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.field.forced = cmd.Flags().Changed("aggregate-field")
			if err := f.check(std, args); err != nil {
				return err
			}
			return runExport(cmd.Context(), std, stores, f, args)
		},
	}
	cmd.Flags().StringVar(&f.field.name, "aggregate-field", "aggregate", "`FIELD` that holds the aggregate ID in every line")
	cmd.Flags().BoolVar(&f.all, "all", false, "export every aggregate, as without IDs")
	cmd.Flags().StringVar(&f.format, "format", exportFormats[0], "`FORMAT` of the output: ndjson or parquet")
	completeFlag(cmd, "format", exportFormats, 0)
	addInternal(cmd, &f.internal, "export")
	return cmd
}

// check refuses flags that do not go together.
func (f exportFlags) check(std *ui.Streams, args []string) error {
	return cmp.Or(f.field.check(), refuseAll(f.all, args), refuseInternal(f.internal, args), f.checkFormat(std))
}

func (f exportFlags) checkFormat(std *ui.Streams) error {
	switch {
	case !slices.Contains(exportFormats, f.format):
		return cliexit.Usagef("--format %s: want ndjson or parquet", ui.Quote(f.format))
	case f.format != "parquet":
		return nil
	case std.JSON:
		return cliexit.Usagef("--format parquet and --json do not go together")
	case f.field.forced:
		return cliexit.Usagef("--format parquet and --aggregate-field do not go together")
	case std.IsTerminal(std.Out):
		return cliexit.WithHint(cliexit.Usagef("Parquet is binary, and stdout is a terminal"), "write to a file: ropewalk export --format parquet > events.parquet")
	}
	return nil
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

func runExport(ctx context.Context, std *ui.Streams, stores *storeFlags, f exportFlags, args []string) error {
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
		out := f.exporter(std)
		bad, err := exportAll(histories(ctx, narrow, chainHeads(ctx, narrow, ids, f.internal)), out, len(ids) == 0, bar)
		bar.End()
		if err == nil {
			err = out.end()
		}
		if err != nil {
			return err
		}
		return bad.report(std, "exported")
	})
}

// exporter writes the changesets of an export. Until its end, the output need not be
// complete.
type exporter struct {
	add func(changeset.Changeset) error
	end func() error
}

func (f exportFlags) exporter(std *ui.Streams) exporter {
	if f.format == "parquet" {
		return parquetExporter(ui.Raw(std.Out))
	}
	return exporter{
		add: func(c changeset.Changeset) error { return printEvents(std, c, f.field) },
		end: func() error { return nil },
	}
}

// parquetExporter writes a row for each event. If the export fails, the file has no
// end, and no tool reads it.
func parquetExporter(to io.Writer) exporter {
	w := archive.NewWriter(to)
	return exporter{
		add: func(c changeset.Changeset) error {
			for row := range archive.RowsOf(c, feed.Position{}) {
				if err := w.Write(row); err != nil {
					return err
				}
			}
			return nil
		},
		end: w.Close,
	}
}

// exportAll exports all changesets, and returns the faults of single aggregates. An
// aggregate that was erased in the meantime is left out, unless it was named.
func exportAll(all iter.Seq[reply], out exporter, unnamed bool, bar *ui.Progress) (bad damage, err error) {
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
		if err := out.add(r.changeset); err != nil {
			return bad, err
		}
		bar.Add(1)
	}
	return bad, nil
}
