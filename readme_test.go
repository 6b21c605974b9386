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

// readmeCode returns the pieces of Go in the README and in the pages on hot
// aggregates and on the feed: two programs, a type and its use, a subscription, the
// use of an appender, a loop, a relay and another subscription.
func readmeCode(t *testing.T) []string {
	var code []string
	for _, name := range []string{"README.md", "docs/hot-aggregates.md", "docs/feed.md"} {
		page, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, block := range goBlock.FindAllStringSubmatch(string(page), -1) {
			code = append(code, block[1])
		}
	}
	require.Len(t, code, 9)
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
	"log"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/feed"
)

%s
func update(ctx context.Context, store *ropewalk.Store, requestID, etag string) (aggregate.Loaded[Order], error) {
%s	return order, err
}

func measure(ctx context.Context, store *ropewalk.Store, reading []byte) ([]ropewalk.Header, error) {
%s	return made, err
}

var (
	forget func(ctx context.Context, aggregateID string) error
	mail   func(ctx context.Context, aggregateID string, content []byte) error
	handle func(feed.Change) error
)

func follow(ctx context.Context, store *ropewalk.Store) error {
%s	return err
}

func loop(ctx context.Context, store *ropewalk.Store, position feed.Position) error {
%s
%s	return nil
}

func subscribe(ctx context.Context, f *feed.Feed, mail feed.Handler) error {
%s	return err
}

func main() { _, _, _, _, _ = update, measure, follow, loop, subscribe }
`, code[2], code[3], code[5], code[4], code[6], code[7], code[8]))
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
