package ui

import (
	"context"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"ropewalk/cmd/ropewalk/internal/visible"
)

// Streams are the streams of one run of the command, and how it reads and
// writes them. The fields are set before the first use.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// Env are the variables of the environment.
	Env map[string]string
	// Color is the value of --color: auto, always or never.
	Color string
	// JSON is set by --json: stdout takes one object a line.
	JSON bool
	// IsTerminal reports whether a stream is a terminal.
	IsTerminal func(stream any) bool
	// Redact removes secrets from a message. Nil removes nothing.
	Redact func(text string) string
}

// NewStreams returns the streams of a process. The last of several variables
// with the same name counts.
func NewStreams(stdin io.Reader, stdout, stderr io.Writer, env []string) *Streams {
	s := &Streams{In: stdin, Out: asStdout(stdout), Err: stderr, Env: map[string]string{}, Color: "auto", IsTerminal: isTerminal}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		s.Env[name] = value
	}
	return s
}

// Guard makes stdout and stderr end with the context, also while a write waits,
// and puts an escaping writer in front of them, so that no command writes a
// hidden character to a terminal. Only [Raw] goes around the escaping writer.
// Streams that are not a process's, as in tests, do not end with the context.
func (s *Streams) Guard(ctx context.Context) {
	out, err := s.Out, s.Err
	if o, ok := out.(output); ok {
		out, err = output{newInterruptibleWriter(ctx, o.Writer)}, newInterruptibleWriter(ctx, err)
	}
	s.Out = visible.NewWriter(out, func() bool { return s.colored(out) })
	s.Err = visible.NewWriter(err, func() bool { return s.colored(err) })
}

// Raw returns a stream without its escaping writer: for contents that are
// printed exactly, and for the progress bar.
func Raw(stream io.Writer) io.Writer {
	if w, ok := stream.(*visible.Writer); ok {
		return w.Unwrap()
	}
	return stream
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

// isRegular reports whether a stream is a regular file. A read or a write of a
// regular file never waits for another process.
func isRegular(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}
