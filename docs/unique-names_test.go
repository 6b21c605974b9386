package docs_test

import (
	"os"
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
