// Package visible escapes text that comes from a storage, a server or an
// argument, so that it writes nothing but visible characters to a terminal.
//
// Escaped are control characters (C0, DEL and C1), bidirectional controls, line
// and paragraph separators, characters without a glyph of their own (zero-width
// characters, fillers, tags, variation selectors) and unassigned code points:
// each as JSON escapes it, \u202e. Bytes that are not UTF-8 become U+FFFD.
package visible

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Hidden reports whether a terminal may show nothing for r, or do something
// else than show it.
func Hidden(r rune) bool {
	switch {
	case r >= ' ' && r <= '~':
		return false
	case !unicode.IsGraphic(r):
		return true
	default:
		return unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r)
	}
}

// Text returns text as one line: every hidden character is escaped, newlines
// and tabs included.
func Text(text string) string { return escape(text, Hidden) }

// Lines returns text of several lines: every hidden character except newlines
// and tabs is escaped.
func Lines(text string) string {
	return escape(text, func(r rune) bool { return r != '\n' && r != '\t' && Hidden(r) })
}

func escape(text string, hidden func(rune) bool) string {
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	if !strings.ContainsFunc(text, hidden) {
		return text
	}
	var out strings.Builder
	for _, r := range text {
		if !hidden(r) {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.String()
}
