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

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// readmeCode returns the pieces of Go in the README and in the page on hot
// aggregates: two programs, a type and its use, and the use of an appender.
func readmeCode(t *testing.T) []string {
	var code []string
	for _, name := range []string{"README.md", "docs/hot-aggregates.md"} {
		page, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, block := range goBlock.FindAllStringSubmatch(string(page), -1) {
			code = append(code, block[1])
		}
	}
	require.Len(t, code, 5)
	return code
}

// build writes a program to a folder of its own, and builds it there.
func build(t *testing.T, program string) (folder string) {
	folder = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "main.go"), []byte(program), 0o600))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", folder, filepath.Join(folder, "main.go"))
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	return folder
}

func TestQuickStartRuns(t *testing.T) {
	folder := build(t, readmeCode(t)[0])
	for version := range 3 {
		run := exec.CommandContext(t.Context(), filepath.Join(folder, "main"))
		run.Dir = folder
		out, err := run.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Regexp(t, fmt.Sprintf(`^committed order-4711@%d\.[0-9a-f-]{36}\n$`, version), string(out))
	}
}

func TestCloudExampleBuilds(t *testing.T) { build(t, readmeCode(t)[1]) }

// The pieces that are not programs are built within a program.
func TestOtherExamplesBuild(t *testing.T) {
	code := readmeCode(t)
	build(t, fmt.Sprintf(`package main

import (
	"context"
	"errors"

	"ropewalk"
	"ropewalk/aggregate"
)

%s
func update(ctx context.Context, store *ropewalk.Store, requestID, etag string) (aggregate.Loaded[Order], error) {
%s	return order, err
}

func measure(ctx context.Context, store *ropewalk.Store, reading []byte) ([]ropewalk.Header, error) {
%s	return made, err
}

func main() { _, _ = update, measure }
`, code[2], code[3], code[4]))
}

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
