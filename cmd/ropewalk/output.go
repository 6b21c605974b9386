package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/color"
	"io"
	"os"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/redact"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/cmd/ropewalk/internal/visible"
)

// output is stdout. Its errors are distinguished from a storage's.
type output struct{ io.Writer }

func (o output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil {
		err = &cliexit.OutputError{Err: err}
	}
	return n, err
}

// screen puts an escaping writer in front of stdout and stderr, so that no
// command writes a hidden character to a terminal. Only [raw] goes around it.
func (a *app) screen() {
	out, err := a.stdout, a.stderr
	a.stdout = visible.NewWriter(out, func() bool { return a.colored(out) })
	a.stderr = visible.NewWriter(err, func() bool { return a.colored(err) })
}

// raw returns the stream without the escaping writer: for contents that are
// printed exactly, and for the progress bar.
func raw(stream io.Writer) io.Writer {
	if w, ok := stream.(*visible.Writer); ok {
		return w.Unwrap()
	}
	return stream
}

// print writes to stdout what the command was asked for, formatted by [showf].
func (a *app) print(format string, args ...any) error {
	_, err := io.WriteString(a.stdout, string(ui.Safef(format, args...)))
	return err
}

// emit writes one line of JSON to stdout.
func (a *app) emit(v any) error {
	line, err := marshal(v)
	if err != nil {
		return err
	}
	// Hidden characters stand in strings alone, where JSON takes their escapes.
	_, err = io.WriteString(a.stdout, visible.Text(string(line))+"\n")
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
	_, _ = io.WriteString(a.stderr, string(ui.Safef("%s %s\n", a.paint(a.stderr, c, label), message)))
}

// redacted returns text without the secrets of the store's URL and of the
// environment, and without what looks like one.
func (a *app) redacted(text string) string { return redact.New(a.storeURL(), a.env).Text(text) }

// message returns an error as one line that people may read: without secrets.
func (a *app) message(err error) string { return a.redacted(ui.OneLine(err.Error())) }

// warn writes a warning to stderr.
func (a *app) warn(format string, args ...any) {
	a.complain("warning:", yellow, a.redacted(ui.OneLine(fmt.Sprintf(format, args...))))
}

// The colours that the command uses, all of a terminal's own palette.
var (
	red    = lipgloss.Red
	green  = lipgloss.Green
	yellow = lipgloss.Yellow
	cyan   = lipgloss.Cyan
)

// paint escapes text and colours it for a stream, a.stdout or a.stderr, if that
// takes colours.
func (a *app) paint(stream any, c color.Color, text string) ui.Safe {
	text = visible.Text(text)
	if !a.colored(stream) || text == "" {
		return ui.Safe(text)
	}
	return ui.Safe(lipgloss.NewStyle().Foreground(c).Render(text))
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
	if w, ok := stream.(*visible.Writer); ok {
		stream = w.Unwrap()
	}
	if o, ok := stream.(output); ok {
		return isTerminal(o.Writer)
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
