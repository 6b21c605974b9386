package ui

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSizes(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 999: "999B", 1000: "1.0kB", 1049: "1.0kB", 999_949: "999.9kB", 999_950: "1.0MB", 64 << 20: "67.1MB", 4_100_000_000: "4.1GB", 1 << 62: "4612PB"} {
		require.Equal(t, want, ByteSize(n))
	}
}

func TestEscapes(t *testing.T) {
	require.Equal(t, "grün 日本\u00a0x", Escape("grün 日本\u00a0x", 100))
	require.Equal(t, `\u001b[31m\u009b\u202e\u007f\u0009\u000a`, Escape("\x1b[31m\u009b\u202e\x7f\t\n", 100))
	require.Equal(t, `\udb40\udc01`, Escape("\U000e0001", 100))
	require.Equal(t, "ab…", Escape("abc", 2))
	require.Equal(t, "é…", Clip("éé", 3))
	require.Equal(t, "…", Clip("é", 1))
	require.Equal(t, "abc", Clip("abc", 3))
}

func TestNumbersInSentences(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 orphans", 1: "1 orphan", 999: "999 orphans", 1000: "1,000 orphans", 311772: "311,772 orphans", 1234567: "1,234,567 orphans",
	} {
		require.Equal(t, want, Plural(n, "orphan"))
	}
	require.Equal(t, "19 B", SpacedSize(19))
	require.Equal(t, "4.1 GB", SpacedSize(4_100_000_000))
}

// Metadata writes no more than text to a terminal.
func TestMetadataIsText(t *testing.T) {
	require.Equal(t, `a=1 "b c"="\x1b[31m" "d="="\n" e=grün`, FormatMetadata(map[string]string{"b c": "\x1b[31m", "a": "1", "e": "grün", "d=": "\n"}))
}
