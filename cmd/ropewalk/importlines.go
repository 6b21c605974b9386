package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"ropewalk/changeset"
)

// maxLine is the largest line that import takes, in bytes with its end: what
// fits into one changeset.
const maxLine = maxContent

// lines reads NDJSON, line by line.
type lines struct {
	file   string
	r      *bufio.Reader
	number int64
}

// line is one line with the newline behind it. It is the reader's only until
// the next one is read.
type line struct {
	number int64
	text   []byte
}

// lineError says at which line of the input an import has failed.
type lineError struct {
	file string
	line int64
	err  error
}

func (e *lineError) Error() string {
	return fmt.Sprintf("%s, line %s: %v", quote(e.file), thousands(e.line), e.err)
}

func (e *lineError) Unwrap() error { return e.err }

func newLines(file string, r io.Reader) *lines {
	return &lines{file: file, r: bufio.NewReaderSize(r, 256<<10)}
}

// bad is the failure of the line that was read last.
func (l *lines) bad(err error) error {
	return &problem{class: &badLine, err: &lineError{l.file, l.number, err}}
}

// next returns the next line that is not empty; io.EOF at the end. A last line
// without a newline gets one.
func (l *lines) next() (line, error) {
	for {
		text, err := l.read()
		if err != nil {
			return line{}, err
		}
		if len(bytes.TrimSpace(text)) > 0 {
			return line{l.number, text}, nil
		}
	}
}

func (l *lines) read() ([]byte, error) {
	l.number++
	text, err := l.r.ReadSlice('\n')
	if err == nil {
		return text, nil
	}
	whole := bytes.Clone(text)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(whole) > maxLine {
			return nil, l.bad(errTooLong)
		}
		text, err = l.r.ReadSlice('\n')
		whole = append(whole, text...)
	}
	switch {
	case errors.Is(err, io.EOF) && len(whole) > 0:
		whole, err = append(whole, '\n'), nil
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	case err != nil:
		return nil, inputError(l.file, err)
	}
	if len(whole) > maxLine {
		return nil, l.bad(errTooLong)
	}
	return whole, err
}

var errTooLong = fmt.Errorf("longer than %d bytes", maxLine)

// aggregateOf returns the aggregate ID that an event holds in a field.
func aggregateOf(event []byte, field string) (string, error) {
	if !utf8.Valid(event) {
		return "", errors.New("not UTF-8")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(event, &fields); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return "", fmt.Errorf("not a JSON object, but a JSON %s", kind.Value)
		}
		return "", fmt.Errorf("not JSON: %w", err)
	}
	if fields == nil {
		return "", errors.New("not a JSON object, but null")
	}
	value, there := fields[field]
	if !there {
		return "", fmt.Errorf("field %q is missing", field)
	}
	var id *string
	if err := json.Unmarshal(value, &id); err != nil || id == nil {
		return "", fmt.Errorf("field %q is not a string: %.64s", field, value)
	}
	if err := changeset.ValidateAggregateID(*id); err != nil {
		return "", fmt.Errorf("field %q: %w", field, err)
	}
	return *id, nil
}
