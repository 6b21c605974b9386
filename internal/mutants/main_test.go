package main

import (
	"go/parser"
	"go/token"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// TestMutantsApply keeps the list in step with the code that it breaks; that
// the tests kill each of them takes minutes: make mutants.
func TestMutantsApply(t *testing.T) {
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
