package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/inspector"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/cmd/ropewalk/internal/visible"
)

const (
	// maxPageText is about the number of bytes of content that a page shows.
	maxPageText = 256 << 10
	// maxPageHex is the number of bytes that a page shows of content that is not text.
	maxPageHex = 4 << 10
)

// uiContent returns content as a page shows it: events one by one, other JSON indented,
// other text by its lines, and anything else in hexadecimal.
func uiContent(c changeset.Changeset) inspector.Content {
	var out inspector.Content
	whole := true
	switch {
	case len(c.Content) == 0:
		return out
	case ndjson.HasEvents(c):
		out.Kind = "events"
		out.Blocks, whole = uiEvents(c)
	case json.Valid(c.Content):
		out.Kind = "JSON"
		var text string
		text, whole = indented(c.Content, maxPageText)
		out.Blocks = []inspector.Block{{Text: outdented(text), JSON: true}}
	case isText(c.Content):
		out.Kind = "text"
		text := strings.ReplaceAll(string(c.Content), "\r\n", "\n")
		whole = len(text) <= maxPageText
		out.Blocks = []inspector.Block{{Text: visible.Lines(ui.Clip(text, maxPageText))}}
	default:
		out.Kind = "bytes"
		whole = len(c.Content) <= maxPageHex
		out.Blocks = []inspector.Block{{Text: hex.Dump(c.Content[:min(len(c.Content), maxPageHex)])}}
	}
	if !whole {
		out.Cut = cutShort(c, out.Kind)
	}
	return out
}

// cutShort says what a page shows of content.
func cutShort(c changeset.Changeset, kind string) string {
	shown := maxPageText
	if kind == "bytes" {
		shown = maxPageHex
	}
	return fmt.Sprintf("Cut short: about the first %s of %s are shown. ropewalk cat %s gives all.",
		ui.SpacedSize(int64(shown)), ui.SpacedSize(int64(len(c.Content))), ui.Operand(c.Ref.String()))
}

// uiEvents returns the events of a changeset, and whether they are all.
func uiEvents(c changeset.Changeset) (blocks []inspector.Block, whole bool) {
	left, whole := maxPageText, true
	for e := range ndjson.Events(c, false) {
		if whole = whole && left > 0; !whole {
			break
		}
		b := inspector.Block{Title: inspector.Text(fmt.Sprintf("%d.%d  %s", e.Version, e.Index, e.Type)), JSON: true}
		if e.Type == "" {
			b.Title = inspector.Text(fmt.Sprintf("%d.%d  no event: %s", e.Version, e.Index, e.Fault))
		}
		b.Notes = eventNotes(e)
		b.Text, whole = eventBody(e, left)
		b.Text = outdented(b.Text)
		left -= len(b.Text) + len(b.Title) + eventCost
		blocks = append(blocks, b)
	}
	return blocks, whole
}

// eventCost is about what an event adds to a page beside its text.
const eventCost = 200

// eventNotes returns the time, the ID and the metadata of an event.
func eventNotes(e ndjson.Event) (notes []inspector.Text) {
	if e.Time != "" {
		notes = append(notes, inspector.Text(eventTime(e, ui.Precisely)))
	}
	if e.ID != "" {
		notes = append(notes, inspector.Text("id "+ui.QuoteText(e.ID)))
	}
	if meta := ui.FormatMetadata(ndjson.MetaText(e.Meta)); meta != "" {
		notes = append(notes, inspector.Text(meta))
	}
	return notes
}

// outdented removes the indent of every line, and the newline at the end.
func outdented(text string) string {
	text = strings.TrimSuffix(strings.TrimPrefix(text, eventIndent), "\n")
	return strings.ReplaceAll(text, "\n"+eventIndent, "\n")
}
