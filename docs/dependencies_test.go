package docs_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDependenciesAreListed holds the page to go.mod: every module that is
// required directly is on it, and no other.
func TestDependenciesAreListed(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{if not (or .Indirect .Main)}}{{.Path}}{{end}}", "all").Output()
	require.NoError(t, err)
	page, err := os.ReadFile("dependencies.md")
	require.NoError(t, err)
	var listed []string
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
				listed = append(listed, name[1])
			}
		}
	}
	required := strings.Fields(string(out))
	require.NotEmpty(t, required)
	for _, module := range required {
		require.Truef(t, matches(listed, module), "%s is not listed", module)
	}
	for _, name := range listed {
		require.Truef(t, matches([]string{name}, required...), "%s is not required", name)
	}
}

// matches reports whether one of the names is one of the modules; a name that
// begins with … stands for the end of a module's path.
func matches(names []string, modules ...string) bool {
	for _, name := range names {
		for _, module := range modules {
			if suffix, short := strings.CutPrefix(name, "…"); name == module || short && strings.HasSuffix(module, suffix) {
				return true
			}
		}
	}
	return false
}
