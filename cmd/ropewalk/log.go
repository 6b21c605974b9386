package main

import (
	"context"
	"iter"
	"slices"
	"strconv"

	"ropewalk"

	"github.com/spf13/cobra"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// logFlags are the flags of log.
type logFlags struct {
	reverse bool
	limit   uint64
	full    bool
	events  bool
}

func newLog(a *app) *cobra.Command {
	var f logFlags
	cmd := &cobra.Command{
		Use:   "log ID|RANGE",
		Short: "List the changesets of an aggregate's chain",
		Long: `List the changesets of an aggregate's chain, the newest first, without reading
their contents. IDs are shortened to their ends on a terminal; references take
these ends as well.

With --events it reads the contents, and lists the events in those that are
NDJSON: each as VERSION.INDEX, with its type, its time (that of its changeset
if it has none), and its metadata with that of its changeset. A content that
has no events, and a line that is none, is a line as well.`,
		Example: `  ropewalk log order-4711
  ropewalk log order-4711@2..5 --reverse
  ropewalk log order-4711 -n 20 --full
  ropewalk log order-4711 --events`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runLog(cmd, f, args[0]) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.reverse, "reverse", false, "list the oldest first")
	flags.Uint64VarP(&f.limit, "limit", "n", 0, "list the newest `N` of them; 0 lists all")
	flags.BoolVar(&f.full, "full", false, "show whole IDs, parents and digests as well")
	flags.BoolVar(&f.events, "events", false, "read the contents, and list the events in them")
	return cmd
}

func (a *app) runLog(cmd *cobra.Command, f logFlags, arg string) error {
	r, err := reference.Parse(arg)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	return a.reading(ctx, func(s *store) error {
		sp, err := s.span(ctx, r)
		if err != nil {
			return err
		}
		if n := sp.last - sp.first; f.limit > 0 && f.limit <= n {
			sp.first = sp.last - f.limit + 1
		}
		if f.events {
			return a.printEventLog(ctx, sp, f)
		}
		return a.printLog(sp.headers(ctx, f.reverse), f.full)
	})
}

// headers yields the headers of the span, the newest first unless it is reversed.
func (s span) headers(ctx context.Context, reverse bool) iter.Seq2[changeset.Header, error] {
	return s.reader.Headers(ctx, ropewalk.Range{First: s.first, Last: s.last, Backward: !reverse})
}

func (a *app) printLog(headers iter.Seq2[changeset.Header, error], full bool) error {
	columns := []string{"VERSION", "CHANGESET", "RECORDED", "SIZE", "TYPE", "METADATA"}
	if full {
		columns = []string{"VERSION", "CHANGESET", "PARENT", "DIGEST", "RECORDED", "SIZE", "TYPE", "COMMAND", "METADATA"}
	}
	out := ui.NewTable(a.Out, columns...).AlignRight(0, slices.Index(columns, "SIZE"))
	object := func(h changeset.Header) any { return newChangesetJSON(h) }
	return printRows(a, out, headers, object, func(h changeset.Header) []string { return a.logRow(h, full) })
}

// printRows prints each item as a row of a table, or with --json as an object.
// All items that were read are shown, also before one that cannot be read.
func printRows[T any](a *app, out *ui.Table, items iter.Seq2[T, error], object func(T) any, row func(T) []string) error {
	for item, err := range items {
		if err == nil && a.JSON {
			err = a.Emit(object(item))
		} else if err == nil {
			err = out.Row(row(item)...)
		}
		if err != nil {
			if flushed := a.flushLog(out); flushed != nil {
				return flushed
			}
			return err
		}
	}
	return a.flushLog(out)
}

// flushLog writes what the table holds back.
func (a *app) flushLog(out *ui.Table) error {
	if a.JSON {
		return nil
	}
	return out.Flush()
}

func (a *app) logRow(h changeset.Header, full bool) []string {
	version, size := strconv.FormatUint(h.Version, 10), ui.ByteSize(h.BodySize)
	if !full {
		return []string{version, a.ShortID(h.ID.String()), ui.Seconds(h.RecordedAt), size, h.ContentType, ui.FormatMetadata(h.Metadata)}
	}
	parent := "-"
	if !h.Parent.IsZero() {
		parent = h.Parent.String()
	}
	command := "-"
	if h.CommandID != "" {
		command = ui.QuoteText(h.CommandID)
	}
	return []string{
		version, h.ID.String(), parent, h.Digest.String(), ui.Precisely(h.RecordedAt),
		strconv.FormatInt(h.BodySize, 10), h.ContentType, command, ui.FormatMetadata(h.Metadata),
	}
}
