// Package ndjson reads content that is lines of JSON: the events in it, and the
// aggregate that a line names.
package ndjson

import (
	"encoding/json"
	"iter"
	"mime"
	"unicode/utf8"

	"ropewalk/changeset"
	"ropewalk/internal/eventline"
)

// Event is a line of a changeset whose lines are events.
type Event struct {
	changeset.Header        // the header of its changeset
	Index            int    // among the lines that are not blank, from 0; -1 for content without events
	Text             []byte // the line itself; the content for Index -1
	// Line has the fields of the event. It is empty if the line is not an event.
	eventline.Line
	Fault error // why the line is not an event
}

// Events yields the lines of a changeset as events, or one event with Index -1 if
// the content has no events.
func Events(c changeset.Changeset, backward bool) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		if !HasEvents(c) {
			yield(Event{Header: c.Header, Index: -1, Text: c.Content})
			return
		}
		lines := eventline.Lines
		if backward {
			lines = eventline.LinesBackward
		}
		for i, text := range lines(c.Content) {
			line, err := eventline.Parse(text)
			if !yield(Event{c.Header, i, text, line, err}) {
				return
			}
		}
	}
}

// HasEvents reports whether the content type of a changeset is NDJSON, and at
// least one line is an event.
func HasEvents(c changeset.Changeset) bool {
	if media, _, err := mime.ParseMediaType(c.ContentType); err != nil || media != ContentType || !utf8.Valid(c.Content) {
		return false
	}
	for _, text := range eventline.Lines(c.Content) {
		if _, err := eventline.Parse(text); err == nil {
			return true
		}
	}
	return false
}

// AllMetadata returns the metadata of the changeset and of the event. If both have
// a key, the value of the event counts.
func (e Event) AllMetadata() map[string]string {
	all := MetaText(e.Meta)
	for k, v := range e.Metadata {
		if _, has := all[k]; !has {
			all[k] = v
		}
	}
	return all
}

// MetaText returns the metadata of an event with each value as text.
func MetaText(meta json.RawMessage) map[string]string {
	all := map[string]string{}
	if meta == nil {
		return all
	}
	for name, value := range eventline.Fields(meta) {
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		all[name] = text
	}
	return all
}

// OnlyNamesAggregate reports whether the other fields only repeat the ID of the
// aggregate, as the field of an imported event does.
func (e Event) OnlyNamesAggregate() bool {
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
