package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/cmd/ropewalk/internal/ui"
)

const (
	// maxShown is about the number of bytes of events that show prints.
	maxShown = 1 << 20
	// eventIndent comes before the data of an event.
	eventIndent = "     "
)

// showEvents prints the events of a changeset for people: each with its type,
// its time, its ID and its metadata, and its data below.
func showEvents(std *ui.Streams, c changeset.Changeset) error {
	var out strings.Builder
	left, whole := maxShown, true
	for e := range ndjson.Events(c, false) {
		if whole = whole && left > 0; !whole {
			break
		}
		var body string
		body, whole = eventBody(e, left)
		text := "\n" + string(eventHeading(std, e)) + body
		left -= len(text)
		out.WriteString(text)
	}
	if !whole {
		fmt.Fprintf(&out, "\n(cut short: ropewalk cat %s gives all %s)\n", ui.Operand(c.Ref.String()), ui.Plural(int64(len(c.Content)), "byte"))
	}
	return std.Print("%s", ui.Safe(out.String()))
}

func eventHeading(std *ui.Streams, e ndjson.Event) ui.Safe {
	heading := ui.Safef("%d.%d", e.Version, e.Index)
	if e.Type == "" {
		return heading + ui.Safef("  (no event: %s)\n", ui.Clip(e.Fault.Error(), ui.MaxCell))
	}
	heading += "  " + std.Paint(std.Out, ui.Cyan, ui.Clip(e.Type, ui.MaxCell))
	var words []string
	if e.Time != "" {
		words = append(words, eventTime(e, ui.Precisely))
	}
	if e.ID != "" {
		words = append(words, "id "+ui.Clip(ui.QuoteText(e.ID), ui.MaxCell))
	}
	if meta := ui.FormatMetadata(ndjson.MetaText(e.Meta)); meta != "" {
		words = append(words, ui.Clip(meta, ui.MaxCell))
	}
	for _, word := range words {
		heading += ui.Safef("  %s", word)
	}
	return heading + "\n"
}

// eventBody returns the data and the other fields of an event, except the ID of
// the aggregate, which imported events have; of a line that is not an event, the
// line. It reports whether the text is whole.
func eventBody(e ndjson.Event, limit int) (text string, whole bool) {
	other := e.Other
	if e.OnlyNamesAggregate() {
		other = nil
	}
	switch {
	case e.Type == "":
		return indented(e.Text, limit)
	case other == nil && e.Data == nil:
		return "", true
	case other == nil:
		return indented(e.Data, limit)
	case e.Data == nil:
		return indented(other, limit)
	}
	return indented(fmt.Appendf(nil, `{"data":%s,%s`, e.Data, other[1:]), limit)
}

// indented returns a line as a terminal may show it: JSON indented, if it then has
// at most about limit bytes; anything else on one line, cut to limit bytes. It
// reports whether the text is whole.
func indented(line []byte, limit int) (text string, whole bool) {
	var compact, out bytes.Buffer
	isJSON := json.Compact(&compact, line) == nil
	if isJSON {
		line = compact.Bytes()
	}
	text, whole = ui.Escape(string(line), limit), len(line) <= limit
	if isJSON && whole && indentedSize(text) <= limit {
		_ = json.Indent(&out, []byte(text), eventIndent, "  ") // escapes leave it valid
		text = out.String()
	}
	return eventIndent + text + "\n", whole
}

// indentedSize returns the number of bytes of JSON when it is indented, or a few
// more. Deeply nested JSON grows a thousandfold.
func indentedSize(text string) int {
	size, depth, quoted, escaped := len(text), 0, false, false
	line := func() { size += 1 + len(eventIndent) + 2*depth }
	for _, b := range []byte(text) {
		switch {
		case escaped:
			escaped = false
		case quoted && b == '\\':
			escaped = true
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{' || b == '[':
			depth++
			line()
		case b == '}' || b == ']':
			depth--
			line()
		case b == ',':
			line()
		case b == ':':
			size++
		}
	}
	return size
}
