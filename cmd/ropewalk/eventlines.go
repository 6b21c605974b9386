package main

import (
	"bytes"
	"encoding/json"
	"iter"
	"mime"
	"unicode/utf8"

	"ropewalk/changeset"
)

// event is a line of a content whose lines are events.
type event struct {
	changeset.Header        // that of its changeset
	Index            int    // its place among the lines that are not empty, from 0; -1 for a content that has no events
	Text             []byte // the line itself
	// Type is empty where the line is no event; then only the fields above are set.
	Type, ID, Time string
	Data, Meta     json.RawMessage
	Other          json.RawMessage // an object of all else that it has; nil if nothing
}

// eventsOf yields the lines of a changeset's content as events; one event with
// Index -1 where they are none.
func eventsOf(c changeset.Changeset, backward bool) iter.Seq[event] {
	return func(yield func(event) bool) {
		if !hasEvents(c) {
			yield(event{Header: c.Header, Index: -1})
			return
		}
		for i, text := range eventLines(c.Content, backward) {
			e := parseEvent(text)
			e.Header, e.Index, e.Text = c.Header, i, text
			if !yield(e) {
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
	return uint64(countLines(c.Content))
}

// hasEvents reports whether a changeset says that its content is NDJSON, and
// at least one line of it is an event.
func hasEvents(c changeset.Changeset) bool {
	if media, _, err := mime.ParseMediaType(c.ContentType); err != nil || media != typeNDJSON || !utf8.Valid(c.Content) {
		return false
	}
	for _, text := range eventLines(c.Content, false) {
		if parseEvent(text).Type != "" {
			return true
		}
	}
	return false
}

// eventLines yields the lines that are not empty, and their places among
// these. It takes no memory, however many there are.
func eventLines(content []byte, backward bool) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		i, step, cut := 0, 1, firstLine
		if backward {
			i, step, cut = countLines(content)-1, -1, lastLine
		}
		var text []byte
		for len(content) > 0 {
			if text, content = cut(content); len(text) == 0 {
				continue
			}
			if !yield(i, text) {
				return
			}
			i += step
		}
	}
}

func firstLine(content []byte) (text, rest []byte) {
	text, rest, _ = bytes.Cut(content, []byte("\n"))
	return bytes.TrimSpace(text), rest
}

func lastLine(content []byte) (text, rest []byte) {
	end := max(0, bytes.LastIndexByte(content, '\n'))
	return bytes.TrimSpace(content[end:]), content[:end]
}

func countLines(content []byte) (n int) {
	for range eventLines(content, false) {
		n++
	}
	return n
}

// parseEvent returns the event that a line is, without its place. Its Type is
// empty where the line is none: a JSON object with a type.
func parseEvent(text []byte) (e event) {
	if !json.Valid(text) || text[0] != '{' {
		return event{}
	}
	var other []byte
	for name, value := range fields(text) {
		if e.take(name, value) {
			continue
		}
		key, _ := marshal(name) // a string, which has a JSON form
		other = append(append(append(append(other, ','), key...), ':'), value...)
	}
	if e.Type == "" {
		return event{}
	}
	if other != nil {
		other[0] = '{'
		e.Other = append(other, '}')
	}
	return e
}

// fields yields the fields of a valid JSON object in their order.
func fields(object []byte) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		d := json.NewDecoder(bytes.NewReader(object))
		_, _ = d.Token() // the brace; there are no errors in what is valid
		for d.More() {
			name, _ := d.Token()
			var value json.RawMessage
			if d.Decode(&value) != nil || !yield(name.(string), value) {
				return
			}
		}
	}
}

// take takes a field that events have, in the form that it has there.
func (e *event) take(name string, value json.RawMessage) bool {
	switch name {
	case "type":
		return takeString(&e.Type, value)
	case "id":
		return takeString(&e.ID, value)
	case "time":
		return takeString(&e.Time, value)
	case "data":
		return takeValue(&e.Data, value)
	case "meta":
		return value[0] == '{' && takeValue(&e.Meta, value)
	}
	return false
}

func takeString(to *string, value json.RawMessage) bool {
	return *to == "" && value[0] == '"' && json.Unmarshal(value, to) == nil && *to != ""
}

func takeValue(to *json.RawMessage, value json.RawMessage) bool {
	if *to != nil {
		return false
	}
	*to = value
	return true
}
