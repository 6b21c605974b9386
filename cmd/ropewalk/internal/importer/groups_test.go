package importer

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

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

	gs = newGroups(3, 4*MaxContent)
	require.Empty(t, add(gs, "a", MaxContent))
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
