package ui

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTables(t *testing.T) {
	var b bytes.Buffer
	out := NewTable(&b, "NAME", "N", "NOTE").AlignRight(1)
	require.NoError(t, out.Row("日本語", "1", "wide"))
	require.NoError(t, out.Row("🪢", "1000", ""))
	require.NoError(t, out.Row("e\u0301", "", "a combining accent"))
	require.Empty(t, b.String(), "widths are not known yet")
	require.NoError(t, out.Flush())
	require.Equal(t, ""+
		"NAME       N  NOTE\n"+
		"日本語     1  wide\n"+
		"🪢      1000\n"+
		"e\u0301             a combining accent\n", b.String())
}

func TestLongTablesStream(t *testing.T) {
	var b bytes.Buffer
	out := NewTable(&b, "A", "B")
	for range tableAhead {
		require.NoError(t, out.Row("x", "y"))
	}
	require.Equal(t, tableAhead+1, strings.Count(b.String(), "\n"))
	require.NoError(t, out.Row("wider than before", "y"))
	require.True(t, strings.HasSuffix(b.String(), "wider than before  y\n"), "nothing is cut off")
	require.NoError(t, out.Flush())
	require.Equal(t, tableAhead+2, strings.Count(b.String(), "\n"))
}
