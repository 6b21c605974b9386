package visible_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ropewalk/cmd/ropewalk/internal/visible"
)

func TestHiddenCharactersAreEscapedAsInJSON(t *testing.T) {
	for name, r := range map[string]rune{
		"escape": 0x1b, "carriage return": '\r', "delete": 0x7f, "C1": 0x9b, "next line": 0x85, "line separator": 0x2028, "paragraph separator": 0x2029,
		"right-to-left override": 0x202e, "isolate": 0x2066, "Arabic letter mark": 0x61c, "zero-width space": 0x200b, "zero-width joiner": 0x200d,
		"word joiner": 0x2060, "byte order mark": 0xfeff, "soft hyphen": 0xad, "Hangul filler": 0x3164, "variation selector": 0xfe0f,
		"combining grapheme joiner": 0x34f, "tag": 0xe0041, "private use": 0xe000, "noncharacter": 0xfdd0, "unassigned": 0xe0fff,
	} {
		require.True(t, visible.Hidden(r), name)
		for _, escaped := range []string{visible.Text("a" + string(r)), visible.Lines("a" + string(r))} {
			require.Regexp(t, `^a(\\u[0-9a-f]{4}){1,2}$`, escaped, name)
			var back string
			require.NoError(t, json.Unmarshal([]byte(`"`+escaped+`"`), &back))
			require.Equal(t, "a"+string(r), back, name)
		}
	}
}

func TestVisibleTextStays(t *testing.T) {
	for _, text := range []string{"order-4711", "grün", "日本語", "e\u0301", "🪢", "a b", "\u00a0", "عربي", `"\`} {
		require.Equal(t, text, visible.Text(text))
		require.Equal(t, text, visible.Lines(text))
	}
	require.Equal(t, "a\tb\nc", visible.Lines("a\tb\nc"))
	require.Equal(t, `a\u0009b\u000ac`, visible.Text("a\tb\nc"))
	require.Equal(t, "caf\ufffd", visible.Text("caf\xe9"))
}

func TestWriter(t *testing.T) {
	for _, color := range []bool{false, true} {
		var out bytes.Buffer
		w := visible.NewWriter(&out, func() bool { return color })
		text := "\x1b[31mred\x1b[m \x1b]52;c;x\x07 \x1b[2J\n"
		n, err := w.Write([]byte(text))
		require.NoError(t, err)
		require.Equal(t, len(text), n)
		want := `\u001b[31mred\u001b[m \u001b]52;c;x\u0007 \u001b[2J` + "\n"
		if color {
			want = "\x1b[31mred\x1b[m " + `\u001b]52;c;x\u0007 \u001b[2J` + "\n"
		}
		require.Equal(t, want, out.String())
		require.Same(t, &out, w.Unwrap())
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\u202eb\xff\x1b[31m\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		got := visible.Text(s)
		require.True(t, utf8.ValidString(got))
		require.False(t, strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsGraphic(r) || visible.Hidden(r) }))
		require.Equal(t, got, visible.Text(got), "escapes are visible")
	})
}

// TestWriterTakesOneWriteAtATime: the inner writer need not be safe for concurrent use.
func TestWriterTakesOneWriteAtATime(t *testing.T) {
	var out bytes.Buffer
	w := visible.NewWriter(&out, func() bool { return false })
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 100 {
				_, err := io.WriteString(w, "a line\n")
				assert.NoError(t, err)
			}
		})
	}
	writers.Wait()
	require.Equal(t, strings.Repeat("a line\n", 800), out.String())
}
