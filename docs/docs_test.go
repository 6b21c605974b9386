package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	program = regexp.MustCompile("(?s)```go\n(package main\n.*?)```")
	link    = regexp.MustCompile(`\]\(([^)]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

func pages(t *testing.T, names ...string) map[string]string {
	texts := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		texts[name] = string(text)
	}
	return texts
}

func TestProgramsBuild(t *testing.T) {
	for name, text := range pages(t, "aws.md", "azure.md", "schema-change.md") {
		programs := program.FindAllStringSubmatch(text, -1)
		require.Len(t, programs, 1, name)
		folder := t.TempDir()
		source := filepath.Join(folder, "main.go")
		require.NoError(t, os.WriteFile(source, []byte(programs[0][1]), 0o600))
		out, err := exec.CommandContext(t.Context(), "go", "build", "-o", folder, source).CombinedOutput()
		require.NoError(t, err, "%s: %s", name, out)
	}
}

// The pages speak of files and headings that are there.
func TestLinks(t *testing.T) {
	for name, text := range pages(t, "aws.md", "azure.md", "coming-from.md", "costs.md", "hot-aggregates.md", "restore.md", "schema-change.md") {
		anchors := map[string]bool{}
		for _, h := range heading.FindAllStringSubmatch(text, -1) {
			anchors["#"+strings.NewReplacer(" ", "-", ",", "").Replace(strings.ToLower(h[1]))] = true
		}
		for _, l := range link.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(l[1], "#") {
				require.True(t, anchors[l[1]], "%s: %s", name, l[1])
				continue
			}
			_, err := os.Stat(l[1])
			require.NoError(t, err, name)
		}
	}
}
