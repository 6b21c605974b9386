package ui

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"charm.land/lipgloss/v2"

	"ropewalk/cmd/ropewalk/internal/visible"
)

// MaxCell is the number of bytes of a type, of metadata or of a line that a list
// shows.
const MaxCell = 1000

// Clip cuts text that is longer than n bytes, and marks the cut by an ellipsis.
func Clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}

// Escape clips text to about limit bytes, and escapes the characters that a
// terminal does not show.
func Escape(text string, limit int) string { return visible.Text(Clip(text, limit)) }

// OneLine joins the lines of a message, such as a message of errors.Join.
func OneLine(message string) string {
	var lines []string
	for line := range strings.Lines(message) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// FormatMetadata returns metadata as pairs of k=v, sorted by key.
func FormatMetadata(metadata map[string]string) string {
	pairs := make([]string, 0, len(metadata))
	for _, k := range slices.Sorted(maps.Keys(metadata)) {
		pairs = append(pairs, QuoteText(k)+"="+QuoteText(metadata[k]))
	}
	return strings.Join(pairs, " ")
}

// QuoteText quotes text that is not one word, or that would write more than
// characters to a terminal.
func QuoteText(s string) string {
	odd := func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == '"' || r == '=' }
	if s == "" || strings.ContainsFunc(s, odd) {
		return strconv.Quote(s)
	}
	return s
}

// ByteSize returns a size in bytes for people, in powers of 1,000: 19B, 4.1MB.
func ByteSize(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + "B"
	}
	size := float64(n)
	for _, unit := range []string{"kB", "MB", "GB", "TB", "PB"} {
		if size /= 1000; size < 999.95 {
			return fmt.Sprintf("%.1f%s", size, unit)
		}
	}
	return fmt.Sprintf("%.0fPB", size)
}

// nanoseconds is the layout of a time for people, to the nanosecond.
const nanoseconds = "2006-01-02 15:04:05.000000000Z"

// Seconds returns a time for the column of a table, to the second.
func Seconds(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// Precisely returns a time for people, to the nanosecond.
func Precisely(t time.Time) string { return t.UTC().Format(nanoseconds) }

// Padded returns text with spaces up to a width, as a terminal shows it.
func Padded(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-lipgloss.Width(s)))
}

// Plural returns a number with its noun: 1 orphan, 12,408 orphans.
func Plural(n int64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return Thousands(n) + " " + thing
}

// Thousands returns a number with its digits in groups: 12,408.
func Thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// SpacedSize returns a size for a sentence: 4.1 GB.
func SpacedSize(n int64) string {
	s := ByteSize(n)
	unit := strings.TrimLeft(s, "0123456789.")
	return strings.TrimSuffix(s, unit) + " " + unit
}
