package visible

import (
	"io"
	"regexp"
	"strings"
	"sync"
)

// Writer escapes all text that is written to it as [Lines] does. It is the last
// barrier: callers escape what they print as [Text] first, so that foreign text
// cannot begin a line of its own either. Each call of Write must hold whole
// characters. A Writer is safe for concurrent use: a command that works with two stores
// has two logs on one stderr.
type Writer struct {
	inner io.Writer
	color func() bool
	mu    sync.Mutex // held during writes
}

// NewWriter returns a writer in front of inner. While color reports true, the
// sequences that set a terminal's colours pass.
func NewWriter(inner io.Writer, color func() bool) *Writer {
	return &Writer{inner: inner, color: color}
}

// Unwrap returns the inner writer, for bytes that must be written exactly.
func (w *Writer) Unwrap() io.Writer { return w.inner }

// colors matches a sequence that sets colours and nothing else.
var colors = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Write writes p escaped. It reports len(p) where all of it was written.
func (w *Writer) Write(p []byte) (int, error) {
	text := w.escaped(string(p))
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := io.WriteString(w.inner, text); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *Writer) escaped(text string) string {
	if !w.color() {
		return Lines(text)
	}
	var out strings.Builder
	for {
		at := colors.FindStringIndex(text)
		if at == nil {
			return out.String() + Lines(text)
		}
		out.WriteString(Lines(text[:at[0]]) + text[at[0]:at[1]])
		text = text[at[1]:]
	}
}
