package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMutantsApply keeps the list in step with the code that it breaks; that
// the tests kill each of them takes minutes: make mutants.
func TestMutantsApply(t *testing.T) {
	t.Chdir("../..")
	names := map[string]bool{}
	for _, m := range list {
		t.Run(m.name, func(t *testing.T) {
			require.False(t, names[m.name], "there are two of this name")
			names[m.name] = true
			source, err := m.source()
			require.NoError(t, err)
			_, err = parser.ParseFile(token.NewFileSet(), m.file, source, parser.SkipObjectResolution)
			require.NoError(t, err)
			require.NotEmpty(t, m.tests)
		})
	}
}

// The page of the last whole run has a row for each of them, and no other.
func TestPageListsMutants(t *testing.T) {
	page, err := os.ReadFile("../../docs/mutants.md")
	require.NoError(t, err)
	for _, m := range list {
		require.Contains(t, string(page), fmt.Sprintf("\n| %s | `%s` | `", m.name, m.file))
	}
	require.Equal(t, len(list)+2, strings.Count(string(page), "\n| "), "rows, and the table's head")
	require.Contains(t, string(page), fmt.Sprintf("**%d mutants, %d killed**", len(list), len(list)))
}

func TestFirstFailure(t *testing.T) {
	by, err := firstFailure([]byte("x\n--- FAIL: TestA (0.1s)\n    --- FAIL: TestA/b\nFAIL\n"))
	require.NoError(t, err)
	require.Equal(t, "TestA", by)
	by, err = firstFailure([]byte("panic: test timed out after 3m0s\n"))
	require.NoError(t, err)
	require.Equal(t, "panic: test timed out after 3m0s", by)
	_, err = firstFailure([]byte("go: no such package\n"))
	require.Error(t, err)
}
