package main

import (
	"context"
	"iter"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
)

func newLog(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var f logFlags
	cmd := &cobra.Command{
		Use:   "log ID|RANGE",
		Short: "List the changesets of an aggregate's chain",
		Long: `List the changesets of an aggregate's chain, the newest first, without reading
their contents. IDs are shortened to their ends on a terminal; references take
these ends as well.

With --events it reads the contents, and lists the events of NDJSON: each as
VERSION.INDEX, with its type, its time, or else the time of its changeset, and the
metadata of both. A changeset without events is listed as well, and so is a line
that is not an event.

--since and --until compare the time that is listed: when a changeset was recorded,
or with --events the time of an event. They include both ends, and a date is the
whole day in UTC. A range of recording times is ID@{2026-01-01}..{2026-01-31}, with
--events too: it is found by a binary search, and nothing else is read. --grep takes
TEXT as it is stored, in the same case.`,
		Example: `  ropewalk log order-4711
  ropewalk log order-4711@2..5 --reverse
  ropewalk log order-4711 -n 20 --full
  ropewalk log order-4711 --events
  ropewalk log order-4711 --events --type shipped --since 2026-01-01
  ropewalk log 'order-4711@{2026-01-01}..{2026-01-31}'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return runLog(cmd, std, stores, f, args[0]) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.reverse, "reverse", false, "list the oldest first")
	flags.Uint64VarP(&f.limit, "limit", "n", 0, "list the newest `N` of them; 0 lists all")
	flags.BoolVar(&f.full, "full", false, "show whole IDs, parents and digests as well")
	flags.BoolVar(&f.events, "events", false, "read the contents, and list the events in them")
	flags.StringVar(&f.since, "since", "", "list what has this `TIME` or a later one")
	flags.StringVar(&f.until, "until", "", "list what has this `TIME` or an earlier one")
	flags.StringVar(&f.kind, "type", "", "with --events: list the events of this `TYPE`")
	flags.StringVar(&f.text, "grep", "", "with --events: list the lines that contain `TEXT`")
	return cmd
}

func runLog(cmd *cobra.Command, std *ui.Streams, stores *storeFlags, f logFlags, arg string) error {
	r, err := reference.Parse(arg)
	if err != nil {
		return err
	}
	wanted, err := f.filter()
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	return withStore(ctx, stores, func(s *store) error {
		sp, err := s.span(ctx, r)
		if err != nil {
			return err
		}
		if f.events {
			return printEventLog(ctx, std, sp, f, wanted)
		}
		part, found, err := sp.recorded(ctx, wanted.since, wanted.until)
		switch {
		case err != nil:
			return err
		case !found:
			return printLog(std, func(func(changeset.Header, error) bool) {}, f.full)
		}
		return printLog(std, part.newest(f.limit).headers(ctx, f.reverse), f.full)
	})
}

// newest returns the newest n changesets of the span; all of them for 0.
func (s span) newest(n uint64) span {
	if n > 0 && n <= s.last-s.first {
		s.first = s.last - n + 1
	}
	return s
}

// headers yields the headers of the span, the newest first unless reverse is set.
func (s span) headers(ctx context.Context, reverse bool) iter.Seq2[changeset.Header, error] {
	return s.reader.Headers(ctx, ropewalk.Range{First: s.first, Last: s.last, Backward: !reverse})
}

func printLog(std *ui.Streams, headers iter.Seq2[changeset.Header, error], full bool) error {
	columns := []string{"VERSION", "CHANGESET", "RECORDED", "SIZE", "TYPE", "METADATA"}
	if full {
		columns = []string{"VERSION", "CHANGESET", "PARENT", "DIGEST", "RECORDED", "SIZE", "TYPE", "COMMAND", "METADATA"}
	}
	out := ui.NewTable(std.Out, columns...).AlignRight(0, slices.Index(columns, "SIZE"))
	object := func(h changeset.Header) any { return newChangesetJSON(h) }
	return printRows(std, out, headers, object, func(h changeset.Header) []string { return logRow(std, h, full) })
}

func logRow(std *ui.Streams, h changeset.Header, full bool) []string {
	version, size := strconv.FormatUint(h.Version, 10), ui.ByteSize(h.BodySize)
	if !full {
		return []string{version, std.ShortID(h.ID.String()), ui.Seconds(h.RecordedAt), size, h.ContentType, metadataCell(h.Metadata, h.Commit(), std.ShortID)}
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
		strconv.FormatInt(h.BodySize, 10), h.ContentType, command, metadataCell(h.Metadata, h.Commit(), whole),
	}
}
