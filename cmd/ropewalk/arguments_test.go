package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The names of other tools lead to commands that exist, and hide none.
func TestFamiliarNames(t *testing.T) {
	root := newRoot(newTestPlace().app("").parts())
	for name, hint := range familiarNames {
		require.Equal(t, name, strings.ToLower(name))
		found, _, err := root.Find([]string{name})
		require.True(t, err != nil || found == root, "%s is a command", name)
		for _, each := range strings.Split(hint, ", or ") {
			found, rest, err := root.Find(strings.Fields(each))
			require.NoError(t, err, each)
			require.NotEqual(t, root, found, each)
			require.NoError(t, found.ParseFlags(rest), each)
		}
	}
}

// Every command that needs an argument names it, with an example that calls it.
func TestMissingArgumentsAreNamed(t *testing.T) {
	for _, cmd := range newRoot(newTestPlace().app("").parts()).Commands() {
		if cmd.Args == nil || cmd.Args(cmd, nil) == nil {
			continue
		}
		got := newTestPlace().run(t.Context(), "", cmd.Name())
		require.Equal(t, 2, got.exit, cmd.Name())
		require.Regexp(t, `^error: name (the|one of) \S.*\nhint: for example: .*ropewalk `+cmd.Name()+` \S`, got.stderr)
	}
}

// A second argument that is missing is named as well, and is not called unexpected.
func TestMissingSecondArgument(t *testing.T) {
	got := newTestPlace().run(t.Context(), "", "copy", "mem:")
	require.Equal(t, 2, got.exit)
	require.Regexp(t, `^error: name the store to copy to as well\nhint: for example: ropewalk copy \S+ \S+`, got.stderr)
}
