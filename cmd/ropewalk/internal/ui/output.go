package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"io"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/visible"
)

// output is stdout. Its errors differ from a storage's.
type output struct{ io.Writer }

// asStdout returns a writer whose errors are [*cliexit.OutputError].
func asStdout(w io.Writer) io.Writer { return output{w} }

func (o output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil {
		err = &cliexit.OutputError{Err: err}
	}
	return n, err
}

// Print writes the result of the command to stdout, formatted by [Safef].
func (s *Streams) Print(format string, args ...any) error {
	_, err := io.WriteString(s.Out, string(Safef(format, args...)))
	return err
}

// Kind begins every object of --json.
type Kind struct {
	V    int    `json:"v"`
	Kind string `json:"kind"`
}

// KindOf returns the beginning of an object of a kind.
func KindOf(name string) Kind { return Kind{1, name} }

// Emit writes one line of JSON to stdout.
func (s *Streams) Emit(v any) error {
	line, err := Marshal(v)
	if err != nil {
		return err
	}
	// Hidden characters occur only in strings, where JSON allows their escapes.
	_, err = io.WriteString(s.Out, visible.Text(string(line))+"\n")
	return err
}

// Marshal is json.Marshal without the escapes for HTML.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// ReportError writes an error and a hint, if there is a hint, to stderr. Both
// must be free of secrets.
func (s *Streams) ReportError(message, hint string) {
	s.complain("error:", Red, message)
	if hint != "" {
		s.complain("hint:", Cyan, hint)
	}
}

// Warn writes a warning to stderr.
func (s *Streams) Warn(format string, args ...any) {
	s.complain("warning:", Yellow, s.Redacted(OneLine(fmt.Sprintf(format, args...))))
}

// complain writes a line to stderr. It ignores that stderr cannot be written.
func (s *Streams) complain(label string, c color.Color, message string) {
	_, _ = io.WriteString(s.Err, string(Safef("%s %s\n", s.Paint(s.Err, c, label), message)))
}

// Unread warns of the work that a command has done, if err says that the command
// was interrupted while it wrote its result to a stdout that is not read. It
// returns err.
func (s *Streams) Unread(err error, format string, args ...any) error {
	if cliexit.IsOutput(err) && errors.Is(err, context.Canceled) {
		s.Warn(format, args...)
	}
	return err
}

// Message returns an error as one line without secrets.
func (s *Streams) Message(err error) string { return s.Redacted(OneLine(err.Error())) }

// Redacted returns text without secrets.
func (s *Streams) Redacted(text string) string {
	if s.Redact == nil {
		return text
	}
	return s.Redact(text)
}

// ShortID returns the end of an ID, which references accept, if stdout is a
// terminal. Otherwise it returns all of it: output for programs is not cut.
func (s *Streams) ShortID(id string) string {
	if s.IsTerminal(s.Out) {
		return "…" + id[len(id)-8:]
	}
	return id
}

// ShortDigest returns the beginning of a digest if stdout is a terminal, and all
// of it otherwise.
func (s *Streams) ShortDigest(digest string) string {
	if s.IsTerminal(s.Out) {
		return digest[:4] + "…"
	}
	return digest
}
