package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/internal/eventline"
)

const (
	// maxShown is about how many bytes of a changeset's events show prints.
	maxShown = 1 << 20
	// eventIndent is in front of what an event holds.
	eventIndent = "     "
)

// showEvents prints the events of a changeset for people: each with its type,
// its time, its ID and its metadata, and its data below.
func (a *app) showEvents(c changeset.Changeset) error {
	var out strings.Builder
	left, whole := maxShown, true
	for e := range eventsOf(c, false) {
		if whole = whole && left > 0; !whole {
			break
		}
		var body string
		body, whole = e.body(left)
		text := "\n" + string(a.eventHeading(e)) + body
		left -= len(text)
		out.WriteString(text)
	}
	if !whole {
		fmt.Fprintf(&out, "\n(cut short: ropewalk cat %s gives all %s)\n", ui.Operand(c.Ref.String()), ui.Plural(int64(len(c.Content)), "byte"))
	}
	return a.Print("%s", ui.Safe(out.String()))
}

func (a *app) eventHeading(e event) ui.Safe {
	heading := ui.Safef("%d.%d", e.Version, e.Index)
	if e.Type == "" {
		return heading + ui.Safef("  (no event: %s)\n", ui.Clip(e.fault.Error(), ui.MaxCell))
	}
	heading += "  " + a.Paint(a.Out, ui.Cyan, ui.Clip(e.Type, ui.MaxCell))
	var words []string
	if e.Time != "" {
		words = append(words, e.when(ui.Precisely))
	}
	if e.ID != "" {
		words = append(words, "id "+ui.Clip(ui.QuoteText(e.ID), ui.MaxCell))
	}
	if meta := ui.FormatMetadata(metaText(e.Meta)); meta != "" {
		words = append(words, ui.Clip(meta, ui.MaxCell))
	}
	for _, word := range words {
		heading += ui.Safef("  %s", word)
	}
	return heading + "\n"
}

// body returns what an event holds: its data, or the line that is no event,
// and whatever else there is but the aggregate's own ID, which imported events
// have; and whether that is all of it.
func (e event) body(limit int) (text string, whole bool) {
	other := e.Other
	if e.onlyNamesAggregate() {
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

// onlyNamesAggregate reports whether the other fields say no more than which
// aggregate this is.
func (e event) onlyNamesAggregate() bool {
	if e.Other == nil {
		return false
	}
	for _, value := range eventline.Fields(e.Other) {
		var id string
		if json.Unmarshal(value, &id) != nil || id != e.AggregateID {
			return false
		}
	}
	return true
}

// indented returns a line as a terminal may show it: JSON on as many lines as
// it takes, where that is no more than about limit bytes, and anything else on
// one, cut to these. It reports whether that is all of it.
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

// indentedSize returns how many bytes JSON has when it is indented, or a few
// more. Nested deeply, it can have thousands of times as many as before.
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
