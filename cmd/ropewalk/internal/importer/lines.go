package importer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// MaxContent is the largest content of a changeset in bytes: the default of
// [ropewalk.Options].
const MaxContent = 64 << 20

// maxLine is the largest line of an import in bytes, with its end. It fits into
// one changeset.
const maxLine = MaxContent

// lines reads the lines of an import.
type lines struct {
	file   string
	r      *bufio.Reader
	number int64
	first  *line // read by begin, and not yet returned by next
}

// line is a line with its newline. It is valid until the next line is read.
type line struct {
	number int64
	text   []byte
}

// LineError is the error of an import at a line of its input.
type LineError struct {
	file string
	Line int64
	err  error
}

// Error returns the message of the cause, after the file and the line.
func (e *LineError) Error() string {
	return fmt.Sprintf("%s, line %s: %v", ui.Quote(e.file), ui.Thousands(e.Line), e.err)
}

// Unwrap returns the cause.
func (e *LineError) Unwrap() error { return e.err }

// BadLine returns the error of a line of a file.
func BadLine(file string, number int64, err error) error {
	return cliexit.Wrap(cliexit.BadLine, &LineError{file, number, err})
}

// NewLines returns the lines of a file, which r reads. Messages name the file.
func NewLines(file string, r io.Reader) *lines {
	return &lines{file: file, r: bufio.NewReaderSize(r, 256<<10)}
}

// bad returns the error of the line that was read last.
func (l *lines) bad(err error) error {
	return BadLine(l.file, l.number, err)
}

// Begin reads the first line, which next then returns. It returns [io.EOF] if
// there is no line.
func (l *lines) Begin() error {
	first, err := l.next()
	if err == nil {
		l.first = &first
	}
	return err
}

// next returns the next line that is not blank, and [io.EOF] at the end. A last
// line without a newline gets one. A byte order mark before the first line is
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
			text = bytes.TrimPrefix(text, ndjson.ByteOrderMark)
		}
		if !ndjson.IsBlank(text) {
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
		return nil, ui.InputError(l.file, err)
	}
	if len(whole) > maxLine {
		return nil, l.bad(errTooLong)
	}
	return whole, err
}

var errTooLong = fmt.Errorf("longer than %d bytes", maxLine)
