package main

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"ropewalk"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"ropewalk/changeset"
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
	r, err := parseReference(arg)
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
	out := newTable(a.stdout, columns...).alignRight(0, slices.Index(columns, "SIZE"))
	object := func(h changeset.Header) any { return newChangesetJSON(h) }
	return printRows(a, out, headers, object, func(h changeset.Header) []string { return a.logRow(h, full) })
}

// printRows prints each item as a row of a table, or with --json as an object.
// All items that were read are shown, also before one that cannot be read.
func printRows[T any](a *app, out *table, items iter.Seq2[T, error], object func(T) any, row func(T) []string) error {
	for item, err := range items {
		if err == nil && a.json {
			err = a.emit(object(item))
		} else if err == nil {
			err = out.row(row(item)...)
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
func (a *app) flushLog(out *table) error {
	if a.json {
		return nil
	}
	return out.flush()
}

func (a *app) logRow(h changeset.Header, full bool) []string {
	version, size := strconv.FormatUint(h.Version, 10), byteSize(h.BodySize)
	if !full {
		return []string{version, a.shortID(h.ID), seconds(h.RecordedAt), size, h.ContentType, formatMetadata(h.Metadata)}
	}
	parent := "-"
	if !h.Parent.IsZero() {
		parent = h.Parent.String()
	}
	command := "-"
	if h.CommandID != "" {
		command = quoteText(h.CommandID)
	}
	return []string{
		version, h.ID.String(), parent, h.Digest.String(), precisely(h.RecordedAt),
		strconv.FormatInt(h.BodySize, 10), h.ContentType, command, formatMetadata(h.Metadata),
	}
}

// formatMetadata returns metadata as k=v, sorted by key.
func formatMetadata(metadata map[string]string) string {
	pairs := make([]string, 0, len(metadata))
	for _, k := range slices.Sorted(maps.Keys(metadata)) {
		pairs = append(pairs, quoteText(k)+"="+quoteText(metadata[k]))
	}
	return strings.Join(pairs, " ")
}

// quoteText quotes what would not stand as one word, or would write more than
// characters to a terminal.
func quoteText(s string) string {
	odd := func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == '"' || r == '=' }
	if s == "" || strings.ContainsFunc(s, odd) {
		return strconv.Quote(s)
	}
	return s
}

// byteSize returns a size as people read it, in powers of 1,000: 19B, 4.1MB.
func byteSize(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + "B"
	}
	size := float64(n)
	for _, unit := range []string{"kB", "MB", "GB", "TB", "PB"} {
		if size /= 1000; size < 999.95 {
			return fmt.Sprintf("%.1f%s", size, unit)
		}
	}
	return fmt.Sprintf("%.0fPB", size)
}
