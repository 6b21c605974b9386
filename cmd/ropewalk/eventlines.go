package main

import (
	"iter"
	"mime"
	"unicode/utf8"

	"ropewalk/changeset"
	"ropewalk/internal/eventline"
)

// event is a line of content whose lines are events.
type event struct {
	changeset.Header        // the header of its changeset
	Index            int    // its place among the lines that are not blank, from 0; -1 for content without events
	Text             []byte // the line itself
	// Line has the event's fields. It is empty if the line is not an event; then
	// fault says why.
	eventline.Line
	fault error
}

// eventsOf yields the lines of a changeset's content as events, or one event
// with Index -1 if the content has no events.
func eventsOf(c changeset.Changeset, backward bool) iter.Seq[event] {
	return func(yield func(event) bool) {
		if !hasEvents(c) {
			yield(event{Header: c.Header, Index: -1})
			return
		}
		lines := eventline.Lines
		if backward {
			lines = eventline.LinesBackward
		}
		for i, text := range lines(c.Content) {
			line, err := eventline.Parse(text)
			if !yield(event{c.Header, i, text, line, err}) {
				return
			}
		}
	}
}

// countEvents returns how many events eventsOf yields.
func countEvents(c changeset.Changeset) uint64 {
	if !hasEvents(c) {
		return 1
	}
	return uint64(eventline.CountLines(c.Content))
}

// hasEvents reports whether a changeset says that its content is NDJSON, and
// at least one line of it is an event.
func hasEvents(c changeset.Changeset) bool {
	if media, _, err := mime.ParseMediaType(c.ContentType); err != nil || media != typeNDJSON || !utf8.Valid(c.Content) {
		return false
	}
	for _, text := range eventline.Lines(c.Content) {
		if _, err := eventline.Parse(text); err == nil {
			return true
		}
	}
	return false
}
