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

// The program on the page about unique names prints what its comment says. Its names are the
// names that the races are run with.
func TestUniqueNamesRun(t *testing.T) {
	programs := program.FindAllStringSubmatch(pages(t, "unique-names.md")["unique-names.md"], -1)
	require.Len(t, programs, 1)
	main, _, _ := strings.Cut(programs[0][1], "\n// ErrTaken")
	require.Equal(t, outputComment(t, main), runProgram(t, programs[0][1]))

	raced, err := os.ReadFile("../internal/names/names.go")
	require.NoError(t, err)
	_, imports, _ := strings.Cut(string(raced), "\n)\n")
	require.Contains(t, programs[0][1], imports)
}

// The piece of the page for package aggregate passes vet within a program.
func TestUniqueNamesWithAggregates(t *testing.T) {
	page := pages(t, "unique-names.md")["unique-names.md"]
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(page, -1)
	require.Len(t, blocks, 2)
	source := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(source, []byte(`package main

import (
	"context"

	"ropewalk/aggregate"
)

type (
	Customer      struct{}
	CustomerEvent interface{}
	EmailChanged  struct{ Email string }
	Name          struct{}
	NameEvent     interface{}
	Claimed       struct{ Owner string }
)

func claim(ctx context.Context, customers *aggregate.Repository[Customer, CustomerEvent], names *aggregate.Repository[Name, NameEvent],
	customer aggregate.Loaded[Customer], name aggregate.Loaded[Name], email string) error {
`+blocks[1][1]+`	return err
}

func main() { _ = claim }
`), 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "vet", source).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
