package eventline

import (
	"bytes"
	"encoding/json"
	"iter"
	"slices"
)

// space is what JSON allows between tokens. Other white space is not blank: a
// line of it is a line that is not JSON.
const space = " \t\r\n"

// Lines yields the lines that are not blank, without the space around them,
// and their places among these, from 0. It takes no memory, however many lines
// there are.
func Lines(content []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for i := 0; len(content) > 0; {
			var text []byte
			text, content, _ = bytes.Cut(content, []byte("\n"))
			if text = bytes.Trim(text, space); len(text) == 0 {
				continue
			}
			if !yield(i, text) {
				return
			}
			i++
		}
	}
}

// LinesBackward yields what Lines yields, the last line first.
func LinesBackward(content []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for i := CountLines(content) - 1; i >= 0; {
			start := max(0, bytes.LastIndexByte(content, '\n'))
			text := bytes.Trim(content[start:], space)
			if content = content[:start]; len(text) == 0 {
				continue
			}
			if !yield(i, text) {
				return
			}
			i--
		}
	}
}

// CountLines returns how many lines are not blank.
func CountLines(content []byte) (n int) {
	for range Lines(content) {
		n++
	}
	return n
}

// Fields yields the fields of a JSON object in their order. The object must be
// valid JSON in UTF-8, or empty.
func Fields(object []byte) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		for quoted, value := range members(object) {
			if !yield(unquote(quoted), value) {
				return
			}
		}
	}
}

// ReplaceData returns the line of an event with another JSON value as its data.
// All else stays as it is, byte for byte. A line without data is returned as it
// is. The line must be one that [Parse] accepts.
func ReplaceData(line, data []byte) []byte {
	for quoted, at := range spans(line) {
		if unquote(quoted) == "data" {
			return slices.Concat(line[:at.start], data, line[at.end:])
		}
	}
	return line
}

// members yields what Fields yields, with names as they are written.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for name, at := range spans(object) {
			if !yield(name, object[at.start:at.end:at.end]) {
				return
			}
		}
	}
}

// span is the place of a value in a text.
type span struct{ start, end int }

// spans yields the names of an object's fields, as they are written, and the
// places of their values.
func spans(object []byte) iter.Seq2[[]byte, span] {
	return func(yield func(name []byte, value span) bool) {
		rest := bytes.TrimLeft(object, space)
		for len(rest) > 0 {
			rest = bytes.TrimLeft(rest[1:], space) // the brace or a comma
			if len(rest) == 0 || rest[0] == '}' {
				return
			}
			end := valueEnd(rest)
			name := rest[:end]
			rest = bytes.TrimLeft(rest[end:], space)
			rest = bytes.TrimLeft(rest[1:], space) // the colon
			end = valueEnd(rest)
			start := len(object) - len(rest)
			if !yield(name, span{start, start + end}) {
				return
			}
			rest = bytes.TrimLeft(rest[end:], space)
		}
	}
}

// valueEnd returns where the JSON value ends that valid text begins with.
func valueEnd(text []byte) int {
	switch text[0] {
	case '"':
		return stringEnd(text)
	case '{', '[':
		return nestedEnd(text)
	}
	if end := bytes.IndexAny(text, ",]}"+space); end >= 0 {
		return end
	}
	return len(text)
}

func stringEnd(text []byte) int {
	i := 1
	for text[i] != '"' {
		if text[i] == '\\' {
			i++
		}
		i++
	}
	return i + 1
}

func nestedEnd(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i += stringEnd(text[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

// unquote returns the text of a JSON string.
func unquote(quoted []byte) string {
	text := string(quoted[1 : len(quoted)-1])
	if bytes.IndexByte(quoted, '\\') >= 0 {
		_ = json.Unmarshal(quoted, &text) // the line is valid JSON
	}
	return text
}
