package main

import (
	"context"
	"fmt"
	"iter"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// diffVersionsJSON is what came between two versions, with --json. It follows the
// events.
type diffVersionsJSON struct {
	ui.Kind
	Aggregate  string `json:"aggregate"`
	From       uint64 `json:"from"`
	To         uint64 `json:"to"`
	Changesets int64  `json:"changesets"`
	Events     int64  `json:"events"`
	Bytes      int64  `json:"bytes"`
}

// diffVersions lists what came between two versions of an aggregate: its ID and the
// versions are the arguments.
func diffVersions(ctx context.Context, std *ui.Streams, stores *storeFlags, args []string) error {
	id, err := reference.ParseID(args[0])
	if err != nil {
		return err
	}
	out := diffVersionsJSON{Kind: ui.KindOf("diff-versions"), Aggregate: id}
	for i, to := range []*uint64{&out.From, &out.To} {
		if *to, err = changeset.ParseDecimal(args[i+1]); err != nil {
			return cliexit.Usagef("%s is not a version", ui.Quote(args[i+1]))
		}
	}
	if out.From > out.To {
		return cliexit.WithHint(cliexit.Usagef("version %d comes after version %d", out.From, out.To),
			"the other way round: %s", ui.Flagged("ropewalk diff", reference.Argument(id), fmt.Sprintf("%d %d", out.To, out.From)))
	}
	return withStore(ctx, stores, func(s *store) error {
		reader, err := s.Chain(id).Reader(ctx)
		if err != nil {
			return err
		}
		if newest := reader.Head().Version; out.To > newest {
			return fmt.Errorf("version %d of %q, which is at %d: %w", out.To, id, newest, ropewalk.ErrNotFound)
		}
		return out.print(ctx, std, reader)
	})
}

func (out *diffVersionsJSON) print(ctx context.Context, std *ui.Streams, reader *ropewalk.Reader) error {
	if out.From < out.To {
		events := out.count(span{reader, out.From + 1, out.To}.contents(ctx, false))
		table := ui.NewTable(std.Out, "EVENT", "TYPE", "TIME", "METADATA")
		if err := printRows(std, table, events, newEventJSON, func(e ndjson.Event) []string { return eventRow(std, e, false) }); err != nil {
			return err
		}
	}
	if std.JSON {
		return std.Emit(out)
	}
	return std.Print("%s, %s, %s from version %d to %d\n", ui.Plural(out.Changesets, "changeset"), ui.Plural(out.Events, "event"),
		ui.SpacedSize(out.Bytes), out.From, out.To)
}

// count yields the events of changesets, or a changeset without events, and counts them.
func (out *diffVersionsJSON) count(changesets iter.Seq2[changeset.Changeset, error]) iter.Seq2[ndjson.Event, error] {
	return func(yield func(ndjson.Event, error) bool) {
		for c, err := range changesets {
			if err != nil {
				yield(ndjson.Event{}, err)
				return
			}
			out.Changesets++
			out.Bytes += int64(len(c.Content))
			for e := range ndjson.Events(c, false) {
				if e.Index >= 0 {
					out.Events++
				}
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}
