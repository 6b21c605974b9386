package ropewalk_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var goBlock = regexp.MustCompile("(?s)```go\n(package main\n.*?)```")

// readmeProgram writes a program of the README to a folder of its own.
func readmeProgram(t *testing.T, number int) string {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	blocks := goBlock.FindAllStringSubmatch(string(readme), -1)
	require.Len(t, blocks, 2)
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "main.go"), []byte(blocks[number][1]), 0o600))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", folder, filepath.Join(folder, "main.go"))
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	return folder
}

func TestQuickStartRuns(t *testing.T) {
	folder := readmeProgram(t, 0)
	for version := range 3 {
		run := exec.CommandContext(t.Context(), filepath.Join(folder, "main"))
		run.Dir = folder
		out, err := run.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Regexp(t, fmt.Sprintf(`^committed order-4711@%d\.[0-9a-f-]{36}\n$`, version), string(out))
	}
}

func TestCloudExampleBuilds(t *testing.T) { readmeProgram(t, 1) }

// The README speaks of files that are there.
func TestReadmeLinks(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(string(readme), -1) {
		if !strings.Contains(link[1], "://") {
			_, err := os.Stat(link[1])
			require.NoError(t, err)
		}
	}
}
