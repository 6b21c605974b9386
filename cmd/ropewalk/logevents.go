package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"time"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/internal/eventline"
)

// eventJSON is one line of a changeset's content with log --events --json.
type eventJSON struct {
	ui.Kind
	Ref        string            `json:"ref"`
	Aggregate  string            `json:"aggregate"`
	Version    uint64            `json:"version"`
	Index      int               `json:"index"`
	RecordedAt string            `json:"recorded_at"`
	Commit     *commitJSON       `json:"commit,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	// Type to Other are the event's fields, as they are stored. A line that is not an
	// event has content or content_text instead.
	Type  string          `json:"type,omitempty"`
	ID    string          `json:"id,omitempty"`
	Time  string          `json:"time,omitempty"`
	Data  json.RawMessage `json:"data,omitempty"`
	Meta  json.RawMessage `json:"meta,omitempty"`
	Other json.RawMessage `json:"other,omitempty"`
	*contentJSON
}

// newEventJSON returns an event for --json, or the changeset if it has no events.
func newEventJSON(e ndjson.Event) any {
	if e.Index < 0 {
		return newChangesetJSON(e.Header)
	}
	out := eventJSON{
		Kind: ui.KindOf("event"), Ref: e.Ref.String(), Aggregate: e.AggregateID, Version: e.Version, Index: e.Index,
		RecordedAt: changeset.FormatTime(e.RecordedAt), Commit: newCommitJSON(e.Header), Metadata: ownMetadata(e.Header),
		Type: e.Type, ID: e.ID, Time: e.Time, Data: e.Data, Meta: e.Meta, Other: e.Other,
	}
	if e.Type == "" {
		out.contentJSON = newContentJSON(e.Text)
	}
	return out
}

// printEventLog lists the wanted events of the span.
func printEventLog(ctx context.Context, std *ui.Streams, sp span, f logFlags, wanted eventFilter) error {
	if wanted.all() { // a changeset takes at least a line
		sp = sp.newest(f.limit)
	}
	skip := uint64(0)
	if f.reverse && f.limit > 0 {
		var err error
		if sp.first, skip, err = sp.newestEvents(ctx, f.limit, wanted); err != nil {
			return err
		}
	}
	columns := []string{"EVENT", "TYPE", "TIME", "METADATA"}
	if f.full {
		columns = []string{"EVENT", "TYPE", "ID", "TIME", "METADATA"}
	}
	out := ui.NewTable(std.Out, columns...)
	events := window(sp.events(ctx, f.reverse, wanted), skip, f.limit)
	return printRows(std, out, events, newEventJSON, func(e ndjson.Event) []string { return eventRow(std, e, f.full) })
}

// events yields the wanted events of the span, the newest first unless reverse is set.
func (s span) events(ctx context.Context, reverse bool, wanted eventFilter) iter.Seq2[ndjson.Event, error] {
	return func(yield func(ndjson.Event, error) bool) {
		for c, err := range s.contents(ctx, !reverse) {
			if err != nil {
				yield(ndjson.Event{}, err)
				return
			}
			for e := range ndjson.Events(c, !reverse) {
				if wanted.has(e) && !yield(e, nil) {
					return
				}
			}
		}
	}
}

// newestEvents returns the version at which the newest n wanted events of the span
// begin, and the number of its wanted events before them. If the span has fewer than n,
// they begin with the span.
func (s span) newestEvents(ctx context.Context, n uint64, wanted eventFilter) (version, before uint64, err error) {
	for c, err := range s.contents(ctx, true) {
		if err != nil {
			return 0, 0, err
		}
		count := wanted.count(c)
		if count >= n {
			return c.Version, count - n, nil
		}
		n -= count
	}
	return s.first, 0, nil
}

// window yields limit items after the first skip; all of them for limit 0.
func window[T any](items iter.Seq2[T, error], skip, limit uint64) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		place := uint64(0)
		for item, err := range items {
			if place++; place <= skip && err == nil {
				continue
			}
			if !yield(item, err) || place-skip == limit {
				return
			}
		}
	}
}

func eventRow(std *ui.Streams, e ndjson.Event, full bool) []string {
	place := fmt.Sprintf("%d.%d", e.Version, e.Index)
	layout, id, shown := ui.Seconds, []string{}, std.ShortID
	if full {
		layout, id, shown = ui.Precisely, []string{"-"}, whole
	}
	kind, metadata := ui.Escape(e.Type, ui.MaxCell), ui.Clip(metadataCell(e.AllMetadata(), e.Commit(), shown), ui.MaxCell)
	switch {
	case e.Index < 0:
		place = strconv.FormatUint(e.Version, 10)
		kind = fmt.Sprintf("(%s, %s)", e.ContentType, ui.ByteSize(e.BodySize))
	case e.Type == "":
		kind, metadata = "-", "no event: "+ui.Escape(string(e.Text[:min(len(e.Text), 2*ui.MaxCell)]), ui.MaxCell)
	case full && e.ID != "":
		id[0] = ui.Clip(ui.QuoteText(e.ID), ui.MaxCell)
	}
	return append(append([]string{place, kind}, id...), eventTime(e, layout), metadata)
}

// eventTime returns the time of an event, or of its changeset if the event has
// no time. A time that does not parse is returned as it is.
func eventTime(e ndjson.Event, layout func(time.Time) string) string {
	if e.Time == "" {
		return layout(e.RecordedAt)
	}
	at, err := eventline.ParseTime(e.Time)
	if err != nil {
		return ui.Clip(ui.QuoteText(e.Time), ui.MaxCell)
	}
	return layout(at)
}
