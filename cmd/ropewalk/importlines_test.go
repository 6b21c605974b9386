package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLinesThatAreTooLong(t *testing.T) {
	t.Parallel()
	p := newTestPlace()
	for name, end := range map[string]string{"unended": "", "ended": "\n"} {
		a := p.app("")
		opening := fmt.Sprintf("{\"aggregate\":%q}\n{\"aggregate\":\"a\",\"text\":\"", name)
		a.In = io.MultiReader(strings.NewReader(opening), io.LimitReader(letters{}, maxLine), strings.NewReader(`"}`+end))
		got := runApp(t.Context(), a, "import", "-", "--json")
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
	text := io.LimitReader(letters{}, maxLine-int64(len(opening)+len(ending))-1)
	a.In = io.MultiReader(strings.NewReader(opening), text, strings.NewReader(ending))
	got := runApp(t.Context(), a, "import", "-", "--group", "2")
	require.Zero(t, got.exit, got.stderr)
	require.Len(t, p.contents(t)["a"][0], maxLine)
}

// Groups are closed where they are full, would get too large, or too much is held.
func TestGroups(t *testing.T) {
	shape := func(gs []*group) (out []string) {
		for _, g := range gs {
			out = append(out, fmt.Sprintf("%s:%d+%d", g.aggregate, g.position, g.events))
		}
		return out
	}
	add := func(gs *groups, id string, size int) []string {
		return shape(gs.add(id, line{1, bytes.Repeat([]byte("x"), size)}))
	}
	gs := newGroups(3, 10)
	require.Empty(t, add(gs, "a", 1))
	require.Empty(t, add(gs, "b", 4))
	require.Empty(t, add(gs, "a", 1))
	require.Equal(t, []string{"a:0+3"}, add(gs, "a", 1))
	require.Empty(t, add(gs, "a", 5))
	require.Equal(t, []string{"b:0+1"}, add(gs, "c", 2), "the one that began first")
	require.Empty(t, add(gs, "b", 1))
	require.Equal(t, []string{"a:3+1", "c:0+1"}, add(gs, "b", 9))
	require.Equal(t, []string{"b:1+2"}, shape(gs.closeAll()))
	require.Zero(t, gs.held)

	gs = newGroups(3, 4*maxContent)
	require.Empty(t, add(gs, "a", maxContent))
	require.Equal(t, []string{"a:0+1"}, add(gs, "a", 1))
	require.Equal(t, []string{"a:1+1"}, shape(gs.closeAll()))
}

// The command ID of every place fits.
func TestImportCommandIDs(t *testing.T) {
	g := &group{position: 1<<63 - 1, content: []byte("x")}
	require.Len(t, g.commandID(), len("import-")+19+len("-")+16)
	other := &group{position: g.position, content: []byte("y")}
	require.NotEqual(t, g.commandID(), other.commandID())
}
