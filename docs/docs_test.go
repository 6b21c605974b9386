package docs_test

import (
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

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

// Every link of a page leads to a file, and to a heading if it names one.
func TestLinks(t *testing.T) {
	for _, page := range markdown(t) {
		text := pages(t, page)[page]
		for _, l := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(l[1], "://") {
				continue
			}
			file, anchor, named := strings.Cut(l[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			_, err := os.Stat(target)
			require.NoError(t, err, page)
			if named {
				require.Contains(t, anchors(t, target), anchor, "%s: %s", page, l[1])
			}
		}
	}
}

// markdown returns the paths of all Markdown pages of the repository.
func markdown(t *testing.T) (paths []string) {
	for path := range sources(t, ".md") {
		paths = append(paths, path)
	}
	require.Greater(t, len(paths), 10)
	return paths
}

// sources yields the paths of the repository's files with one of the endings,
// apart from test data and hidden folders.
func sources(t *testing.T, endings ...string) iter.Seq[string] {
	return func(yield func(string) bool) {
		err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
			switch name := d.Name(); {
			case err != nil:
				return err
			case d.IsDir() && (name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".") && name != ".."):
				return fs.SkipDir
			case slices.Contains(endings, filepath.Ext(path)) && !yield(path):
				return fs.SkipAll
			}
			return nil
		})
		require.NoError(t, err)
	}
}

// anchors returns the names by which links lead to the headings of a page.
func anchors(t *testing.T, page string) (names []string) {
	for _, h := range heading.FindAllStringSubmatch(pages(t, page)[page], -1) {
		names = append(names, strings.Map(func(c rune) rune {
			switch {
			case c == ' ':
				return '-'
			case c == '-' || c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c):
				return unicode.ToLower(c)
			}
			return -1
		}, h[1]))
	}
	return names
}

// The rows of figures that a page quotes are on the page that the soak or the
// benchmarks have written.
func TestQuotedFigures(t *testing.T) {
	for _, quote := range []struct {
		page, from, to, results string
		rows                    int
	}{
		{"reliability.md", "\n## The soak\n", "\n## Full disks", "../bench/results/soak.md", 10},
		{"feed.md", "\n## Costs and figures\n", "\n## What it does not do", "../bench/results/performance.md", 10},
	} {
		texts := pages(t, quote.page, quote.results)
		_, quoted, _ := strings.Cut(texts[quote.page], quote.from)
		quoted, _, found := strings.Cut(quoted, quote.to)
		require.True(t, found, quote.page)
		rows := 0
		for line := range strings.Lines(quoted) {
			if strings.HasPrefix(line, "| ") {
				require.Contains(t, texts[quote.results], line, quote.page)
				rows++
			}
		}
		require.Greater(t, rows, quote.rows, quote.page)
	}
}
