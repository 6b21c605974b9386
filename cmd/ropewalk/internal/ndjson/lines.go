package ndjson

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// ContentType is the content type of NDJSON.
const ContentType = "application/x-ndjson"

// Valid reports whether content is lines of JSON. Blank lines are allowed, but
// not only blank lines.
func Valid(content []byte) bool {
	found := false
	for line := range bytes.Lines(content) {
		if IsBlank(line) {
			continue
		}
		if found = json.Valid(line); !found {
			return false
		}
	}
	return found
}

// Values returns content as JSON values without newlines: its lines, or the
// whole content if it is one value on many lines.
func Values(content []byte) (values [][]byte, ok bool) {
	if !utf8.Valid(content) {
		return nil, false
	}
	if Valid(content) {
		for line := range bytes.Lines(content) {
			if !IsBlank(line) {
				values = append(values, bytes.TrimSuffix(line, []byte("\n")))
			}
		}
		return values, true
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, content); err != nil {
		return nil, false
	}
	return [][]byte{compact.Bytes()}, true
}

// ByteOrderMark is U+FEFF. It may begin the first line.
var ByteOrderMark = []byte("\ufeff")

// IsBlank reports whether a line has only the white space of JSON. Any other
// space, such as a no-break space, is content.
func IsBlank(text []byte) bool { return len(bytes.Trim(text, " \t\r\n")) == 0 }
