//go:build integration

package integration_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// copyModule copies the checkout, without its history and caches.
func copyModule(t *testing.T) (folder string) {
	folder = t.TempDir()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", ".cache", "bin"}, d.Name()) {
			return filepath.SkipDir
		}
		if !d.Type().IsRegular() || strings.Contains(d.Name(), ".db") {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, rel)), 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(folder, rel), content, info.Mode().Perm())
	}))
	return folder
}

func runIn(t *testing.T, folder string, args ...string) string {
	c := exec.CommandContext(t.Context(), args[0], args[1:]...)
	c.Dir = folder
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s: %s", strings.Join(args, " "), out)
	return string(out)
}

// TestModuleCanBeRenamed renames the module of a copy as its publisher would.
func TestModuleCanBeRenamed(t *testing.T) {
	t.Parallel()
	const module = "example.org/acme/ropewalk"
	folder := copyModule(t)
	runIn(t, folder, "make", "module", "MODULE="+module)
	runIn(t, folder, "go", "build", "./...")
	for _, pkg := range strings.Fields(runIn(t, folder, "go", "list", "./...")) {
		require.True(t, pkg == module || strings.HasPrefix(pkg, module+"/"), pkg)
	}
	// The rules for imports, the README's programs, and the stored formats still hold.
	runIn(t, folder, "go", "test", "-run", "Imports|QuickStart|Golden", ".", "./changeset", "./head")
	modules, err := filepath.Glob(filepath.Join(folder, "publish", "*", "go.mod"))
	require.NoError(t, err)
	require.NotEmpty(t, modules)
	for _, file := range append(modules, filepath.Join(folder, "bench", "go.mod")) {
		inner := strings.TrimSpace(runIn(t, filepath.Dir(file), "go", "list", "-m"))
		require.True(t, strings.HasPrefix(inner, module+"/"), inner)
		runIn(t, filepath.Dir(file), "go", "list", "-deps", "-test", "./...")
	}

	leftover := regexp.MustCompile(`(?m)^\s*([\w.]+ )?"ropewalk(/[^"]*)?"$`)
	for _, name := range []string{"README.md", "example_test.go", "docs/aws.md", "bench/memory.go", "publish/watermill/watermill.go"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		require.Contains(t, string(text), `"`+module, name)
		require.NotRegexp(t, leftover, string(text), name)
	}
}

func TestModulePathsThatCannotBeFetchedAreRefused(t *testing.T) {
	for _, module := range []string{"", "ropewalk", "acme/ropewalk", "https://example.org/ropewalk", "example.org/a b"} {
		out, err := exec.CommandContext(t.Context(), "./module.sh", module).CombinedOutput()
		require.Error(t, err, module)
		require.Contains(t, string(out), "hint: make module", module)
	}
}
