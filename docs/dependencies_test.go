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

// TestDependenciesAreListed holds the page to go.mod, and to the go.mod files below
// publish and observe: every module that is required directly is on it, and no other.
func TestDependenciesAreListed(t *testing.T) {
	modules, err := filepath.Glob("../[op]*/*/go.mod")
	require.NoError(t, err)
	require.Len(t, modules, 3)
	required := requirements(t, "..")
	for _, file := range modules {
		required = append(required, requirements(t, filepath.Dir(file))...)
	}
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
	for _, module := range required {
		require.Truef(t, matches(listed, module), "%s is not listed", module)
	}
	for _, name := range listed {
		require.Truef(t, matches([]string{name}, required...), "%s is not required", name)
	}
}

// requirements returns the modules that the module in a folder requires directly, except
// a module that it replaces by a folder.
func requirements(t *testing.T, folder string) (paths []string) {
	c := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{if not (or .Indirect .Main .Replace)}}{{.Path}}{{end}}", "all")
	c.Dir = folder
	out, err := c.Output()
	require.NoError(t, err)
	paths = strings.Fields(string(out))
	require.NotEmpty(t, paths)
	return paths
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
