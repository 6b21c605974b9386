package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/color"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"

	"ropewalk/changeset"
)

// output is stdout, whose errors are told from those of a storage.
type output struct{ io.Writer }

func (o output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil {
		err = &outputError{err}
	}
	return n, err
}

// outputError is the error of a write to stdout.
type outputError struct{ err error }

func (e *outputError) Error() string { return "write to stdout: " + e.err.Error() }

func (e *outputError) Unwrap() error { return e.err }

// print writes to stdout what the command was asked for.
func (a *app) print(format string, args ...any) error {
	_, err := fmt.Fprintf(a.stdout, format, args...)
	return err
}

// emit writes one line of JSON to stdout.
func (a *app) emit(v any) error {
	line, err := marshal(v)
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(append(line, '\n'))
	return err
}

// marshal is json.Marshal without the escapes for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// kind opens every object of --json.
type kind struct {
	V    int    `json:"v"`
	Kind string `json:"kind"`
}

func kindOf(name string) kind { return kind{1, name} }

// complain writes a line to stderr. A stderr that is gone is no failure.
func (a *app) complain(label string, c color.Color, message string) {
	_, _ = fmt.Fprintln(a.stderr, a.paint(a.stderr, c, label), message)
}

// warn writes a warning to stderr.
func (a *app) warn(format string, args ...any) {
	a.complain("warning:", yellow, oneLine(fmt.Sprintf(format, args...)))
}

// The colours that the command uses, all of a terminal's own palette.
var (
	red    = lipgloss.Red
	green  = lipgloss.Green
	yellow = lipgloss.Yellow
	cyan   = lipgloss.Cyan
)

// paint colours text for a stream, a.stdout or a.stderr, if it takes colours.
func (a *app) paint(stream any, c color.Color, text string) string {
	if !a.colored(stream) {
		return text
	}
	return lipgloss.NewStyle().Foreground(c).Render(text)
}

func (a *app) colored(stream any) bool {
	switch a.color {
	case "always":
		return true
	case "never":
		return false
	}
	return a.env["NO_COLOR"] == "" && a.env["TERM"] != "dumb" && a.terminal(stream)
}

func isTerminal(stream any) bool {
	if o, ok := stream.(output); ok {
		stream = o.Writer
	}
	if w, ok := stream.(*interruptibleWriter); ok {
		stream = w.w
	}
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// shortID returns the end of an ID, as references take it, where stdout is a
// terminal, and all of it elsewhere: nothing that a program reads is cut off.
func (a *app) shortID(id changeset.ID) string {
	s := id.String()
	if a.terminal(a.stdout) {
		return "…" + s[len(s)-8:]
	}
	return s
}

// shortDigest returns the beginning of a digest where stdout is a terminal,
// and all of it elsewhere.
func (a *app) shortDigest(d changeset.Digest) string {
	if a.terminal(a.stdout) {
		return d.String()[:4] + "…"
	}
	return d.String()
}

// nanoseconds is the layout of times as people read them, where nothing is left out.
const nanoseconds = "2006-01-02 15:04:05.000000000Z"

// seconds returns a time as people read it in columns.
func seconds(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// precisely returns a time as people read it, with nothing left out.
func precisely(t time.Time) string { return t.UTC().Format(nanoseconds) }

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./…-]+$`)

// quote returns a word as a shell takes it.
func quote(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
