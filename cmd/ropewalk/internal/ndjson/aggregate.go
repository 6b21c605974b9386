package ndjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/internal/eventline"
)

// AggregateOf returns the aggregate ID that an event holds in a field.
func AggregateOf(event []byte, field string) (string, error) {
	if err := checkText(event); err != nil {
		return "", err
	}
	values, err := Field(event, field)
	switch {
	case err != nil:
		return "", err
	case len(values) == 0:
		return "", cliexit.WithHint(fmt.Errorf("field %q is missing", field), "--aggregate-field names the field that holds the aggregate ID")
	case len(values) > 1:
		return "", fmt.Errorf("field %q occurs %d times", field, len(values))
	}
	id, err := textOf(values[0])
	if err != nil {
		return "", fmt.Errorf("field %q %w: %.64s", field, err, values[0])
	}
	if err := changeset.ValidateAggregateID(id); err != nil {
		return "", fmt.Errorf("field %q: %w", field, err)
	}
	return id, nil
}

// textOf returns the text of a JSON value that must be a string.
func textOf(value json.RawMessage) (string, error) {
	if value[0] == '"' && bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), nil
	}
	var text *string
	if err := json.Unmarshal(value, &text); err != nil || text == nil {
		return "", errors.New("is not a string")
	}
	if hasLoneSurrogate(value) {
		return "", errors.New("has half of a surrogate pair, which is not a character")
	}
	return *text, nil
}

// checkText returns an error that names the encoding, unless it is plain UTF-8.
func checkText(event []byte) error {
	switch {
	case bytes.HasPrefix(event, []byte("\xff\xfe")), bytes.HasPrefix(event, []byte("\xfe\xff")):
		return errors.New("UTF-16, not UTF-8")
	case !utf8.Valid(event):
		return errors.New("not UTF-8")
	case bytes.HasPrefix(event, ByteOrderMark):
		return errors.New("it begins with a byte order mark, which may stand only before the first line")
	}
	return nil
}

// Field returns the value of each occurrence of a field in a JSON object.
func Field(object []byte, field string) (values []json.RawMessage, err error) {
	if err := checkObject(object); err != nil {
		return nil, err
	}
	for name, value := range eventline.Fields(object) {
		if name == field {
			values = append(values, value)
		}
	}
	return values, nil
}

// checkObject returns an error unless the text is a JSON object.
func checkObject(text []byte) error {
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(text) {
		return nil
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return fmt.Errorf("not a JSON object, but a JSON %s", kind.Value)
		}
		return fmt.Errorf("not JSON: %w", err)
	}
	return errors.New("not a JSON object, but null")
}

// hasLoneSurrogate reports whether a valid JSON string escapes half of a
// surrogate pair. Go reads each such half as U+FFFD: different strings would
// become the same.
func hasLoneSurrogate(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++ // the escaped character
		if text[i] != 'u' {
			continue
		}
		r := escapedUnit(text[i-1:])
		i += 4
		if !utf16.IsSurrogate(r) {
			continue
		}
		if utf16.DecodeRune(r, escapedUnit(text[i+1:])) == utf8.RuneError {
			return true
		}
		i += 6
	}
	return false
}

// escapedUnit returns the UTF-16 unit of text that begins with \uXXXX, and -1 for
// any other text.
func escapedUnit(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(unit)
}
