package ui

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQuotedWords(t *testing.T) {
	for word, want := range map[string]string{
		"order-4711@1..": "order-4711@1..", "my order": "'my order'", "o'brien": `'o'\''brien'`, "$x": "'$x'", "": "''", "a@1.…ff": "a@1.…ff", "日本": "'日本'", "{x}": "'{x}'",
	} {
		require.Equal(t, want, Quote(word))
	}
}
