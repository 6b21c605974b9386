package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each section about another store has one program; it passes vet, and prints
// what the comment at its end says.
func TestComingFromProgramsRun(t *testing.T) {
	page := pages(t, "coming-from.md")["coming-from.md"]
	ran := 0
	for _, section := range strings.Split(page, "\n## ") {
		name, text, _ := strings.Cut(section, "\n")
		programs := program.FindAllStringSubmatch(text, -1)
		if !strings.HasPrefix(name, "From ") {
			require.Empty(t, programs, name)
			continue
		}
		require.Len(t, programs, 1, name)
		ran++
		t.Run(name, func(t *testing.T) {
			require.Equal(t, outputComment(t, programs[0][1]), runProgram(t, programs[0][1]))
		})
	}
	require.Equal(t, 5, ran)
}

// runProgram builds a program, and returns what it prints when it runs in an
// empty folder.
func runProgram(t *testing.T, source string) string {
	folder := t.TempDir()
	file, binary := filepath.Join(folder, "main.go"), filepath.Join(folder, "program")
	require.NoError(t, os.WriteFile(file, []byte(source), 0o600))
	for _, args := range [][]string{{"vet", file}, {"build", "-o", binary, file}} {
		out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	run := exec.CommandContext(t.Context(), binary)
	run.Dir = t.TempDir()
	out, err := run.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// outputComment returns the lines of the comment that ends a program's main.
func outputComment(t *testing.T, source string) string {
	_, comment, found := strings.Cut(source, "\t// Output:\n")
	require.True(t, found, "a program without its output")
	var lines strings.Builder
	for line := range strings.Lines(strings.TrimSuffix(comment, "}\n")) {
		text, found := strings.CutPrefix(line, "\t// ")
		require.True(t, found, line)
		lines.WriteString(text)
	}
	return lines.String()
}
