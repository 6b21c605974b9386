// Package eventline reads content that is NDJSON with one event a line, as
// package aggregate stores it:
//
//	{"type":"deposited","id":"0199…","time":"2026-…Z","data":{"Cents":100},"meta":{"correlation":"91c2"}}
//
// A line is a JSON object in UTF-8. Field names are exact: "Type" is not
// "type" but a field that this package does not know. Unknown fields are left
// alone.
//
// A line that repeats one of the five fields, or a key of meta, is an error.
// JSON readers disagree on which of the values counts, so such a line could
// mean one event to this package and another one to the next tool.
package eventline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Line is an event as its line has it.
type Line struct {
	// Type is never empty.
	Type string
	// ID is empty if the line has no ID.
	ID string
	// Time is the text of the time, which need not be valid. It is empty if the
	// line has no time.
	Time string
	// Data is any JSON value, nil if the line has no data. It shares the memory
	// of the line, as do Meta and Other.
	Data json.RawMessage
	// Meta is an object, nil if the line has no metadata.
	Meta json.RawMessage
	// Other is an object of all other fields in their order, nil if no others
	// exist. Among them are an ID, time or meta that is empty, null or not of its
	// form.
	Other json.RawMessage

	unfit string // a field whose value is not of its form
}

// Parse reads one line. Its error says why the line is not an event.
func Parse(text []byte) (Line, error) {
	text = bytes.Trim(text, space)
	if err := checkObject(text); err != nil {
		return Line{}, err
	}
	var l Line
	var seen [len(names)]bool
	var other []byte
	for quoted, value := range members(text) {
		name := unquote(quoted)
		i := indexOf(name)
		if i >= 0 && seen[i] {
			return Line{}, fmt.Errorf("the field %q is repeated", name)
		}
		if i >= 0 {
			seen[i] = true
		}
		if !l.take(name, value) {
			other = append(append(append(append(other, ','), quoted...), ':'), value...)
		}
	}
	if l.Type == "" {
		return Line{}, errors.New(`the field "type" is missing, empty or not a string`)
	}
	if other != nil {
		other[0] = '{'
		l.Other = append(other, '}')
	}
	if err := checkKeys(l.Meta); err != nil {
		return Line{}, err
	}
	return l, nil
}

func checkObject(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("the line is not UTF-8")
	}
	if bytes.HasPrefix(text, []byte("\ufeff")) {
		return errors.New("the line begins with a byte order mark")
	}
	if !json.Valid(text) {
		var value any
		return fmt.Errorf("the line is not JSON: %w", json.Unmarshal(text, &value))
	}
	if text[0] != '{' {
		return errors.New("the line is not a JSON object")
	}
	return nil
}

// checkKeys reports a key that an object repeats.
func checkKeys(meta json.RawMessage) error {
	var keys map[string]bool
	for key := range Fields(meta) {
		if keys[key] {
			return fmt.Errorf("the key %q of the field \"meta\" is repeated", key)
		}
		if keys == nil {
			keys = map[string]bool{}
		}
		keys[key] = true
	}
	return nil
}

// names are the fields of an event.
var names = [...]string{"type", "id", "time", "data", "meta"}

func indexOf(name string) int {
	for i := range names {
		if names[i] == name {
			return i
		}
	}
	return -1
}

// take takes the value of a field of an event if it has the form of that
// field. It reports whether it did.
func (l *Line) take(name string, value []byte) bool {
	switch name {
	case "type":
		return l.takeString(&l.Type, name, value)
	case "id":
		return l.takeString(&l.ID, name, value)
	case "time":
		return l.takeString(&l.Time, name, value)
	case "data":
		l.Data = value
		return true
	case "meta":
		if value[0] == '{' {
			l.Meta = value
			return true
		}
		l.misfit(name, value)
	}
	return false
}

func (l *Line) takeString(to *string, name string, value []byte) bool {
	if value[0] != '"' {
		l.misfit(name, value)
		return false
	}
	*to = unquote(value)
	return *to != ""
}

func (l *Line) misfit(name string, value []byte) {
	if value[0] != 'n' { // null stands for a field that is missing
		l.unfit = name
	}
}

// Event is an event of which every field has its form.
type Event struct {
	Type, ID string
	// Time is the zero time if the line has no time.
	Time time.Time
	// Data does not share the memory of the line.
	Data json.RawMessage
	// Metadata is nil if the line has no metadata.
	Metadata map[string]string
}

// ParseEvent reads one line as an event. Next to an error the event has only its type,
// if the line has one. The error is an error of [Parse] or [Line.Event].
func ParseEvent(text []byte) (Event, error) {
	line, err := Parse(text)
	if err != nil {
		return Event{}, err
	}
	e, err := line.Event()
	if err != nil {
		return Event{Type: line.Type}, err
	}
	return e, nil
}

// Event returns the event of a line. It fails if the line lacks data, or has an
// ID that is not a string, a time that is not one of RFC 3339, or metadata that
// is not an object of strings.
func (l Line) Event() (Event, error) {
	if l.Data == nil {
		return Event{}, errors.New(`the field "data" is missing`)
	}
	if l.unfit != "" {
		return Event{}, fmt.Errorf("the field %q has a value of another kind", l.unfit)
	}
	metadata, err := l.metadata()
	if err != nil {
		return Event{}, err
	}
	e := Event{Type: l.Type, ID: l.ID, Data: bytes.Clone(l.Data), Metadata: metadata}
	if l.Time != "" {
		e.Time, err = ParseTime(l.Time)
	}
	return e, err
}

func (l Line) metadata() (map[string]string, error) {
	if l.Meta == nil {
		return nil, nil
	}
	all := map[string]string{}
	for key, value := range Fields(l.Meta) {
		switch value[0] {
		case '"':
			all[key] = unquote(value)
		case 'n':
			all[key] = "" // as encoding/json reads null
		default:
			return nil, fmt.Errorf("the key %q of the field \"meta\" is not a string", key)
		}
	}
	return all, nil
}
