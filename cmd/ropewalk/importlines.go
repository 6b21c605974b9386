package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// maxLine is the largest line that import takes, in bytes with its end: what
// fits into one changeset.
const maxLine = maxContent

// lines reads NDJSON, line by line.
type lines struct {
	file   string
	r      *bufio.Reader
	number int64
	first  *line // read by begin, and not yet returned by next
}

// line is one line with its newline. It is valid only until the next line is
// read.
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
	return fmt.Sprintf("%s, line %s: %v", ui.Quote(e.file), ui.Thousands(e.line), e.err)
}

func (e *lineError) Unwrap() error { return e.err }

func newLines(file string, r io.Reader) *lines {
	return &lines{file: file, r: bufio.NewReaderSize(r, 256<<10)}
}

// bad is the failure of the line that was read last.
func (l *lines) bad(err error) error {
	return cliexit.Wrap(cliexit.BadLine, &lineError{l.file, l.number, err})
}

// begin reads up to the first line, which next then returns. It returns io.EOF
// if there is no line.
func (l *lines) begin() error {
	first, err := l.next()
	if err == nil {
		l.first = &first
	}
	return err
}

// next returns the next line that is not empty; io.EOF at the end. A last line
// without a newline gets one, and a byte order mark before the first line is
// left out.
func (l *lines) next() (line, error) {
	if first := l.first; first != nil {
		l.first = nil
		return *first, nil
	}
	for {
		text, err := l.read()
		if err != nil {
			return line{}, err
		}
		if l.number == 1 {
			text = bytes.TrimPrefix(text, byteOrderMark)
		}
		if !isBlank(text) {
			return line{l.number, text}, nil
		}
	}
}

var byteOrderMark = []byte("\ufeff")

// isBlank reports whether a line has nothing but the white space of JSON. Any
// other space, such as a no-break space, is content.
func isBlank(text []byte) bool { return len(bytes.Trim(text, " \t\r\n")) == 0 }

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
		return nil, ui.InputError(l.file, err)
	}
	if len(whole) > maxLine {
		return nil, l.bad(errTooLong)
	}
	return whole, err
}

var errTooLong = fmt.Errorf("longer than %d bytes", maxLine)
