package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/cmd/ropewalk/internal/importer"
)

func TestLinesThatAreTooLong(t *testing.T) {
	t.Parallel()
	p := newTestPlace()
	for name, end := range map[string]string{"unended": "", "ended": "\n"} {
		a := p.app("")
		opening := fmt.Sprintf("{\"aggregate\":%q}\n{\"aggregate\":\"a\",\"text\":\"", name)
		a.In = io.MultiReader(strings.NewReader(opening), io.LimitReader(letters{}, importer.MaxContent), strings.NewReader(`"}`+end))
		got := runCommand(t.Context(), a, "import", "-", "--json")
		require.Equal(t, 2, got.exit)
		require.Contains(t, got.stdout, `"code":"bad-line","exit":2,"message":"-, line 2: longer than 67108864 bytes","line":2`)
		require.Len(t, p.contents(t)[name], 1, "what comes before is kept")
	}
}

// letters is an endless reader.
type letters struct{}

var page = bytes.Repeat([]byte("x"), 64<<10)

func (letters) Read(p []byte) (int, error) { return copy(p, page), nil }

func TestTheLongestLine(t *testing.T) {
	t.Parallel()
	p := newTestPlace()
	const opening, ending = `{"aggregate":"a","text":"`, `"}`
	a := p.app("")
	text := io.LimitReader(letters{}, importer.MaxContent-int64(len(opening)+len(ending))-1)
	a.In = io.MultiReader(strings.NewReader(opening), text, strings.NewReader(ending))
	got := runCommand(t.Context(), a, "import", "-", "--group", "2")
	require.Zero(t, got.exit, got.stderr)
	require.Len(t, p.contents(t)["a"][0], importer.MaxContent)
}
