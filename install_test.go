package ropewalk_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var consoleCommand = regexp.MustCompile(`(?m)^\$ (go .*)$`)

// installCommands returns the commands in the README's section on installing.
func installCommands(t *testing.T) (install string, module []string) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(readme), "## Install\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	var all []string
	for _, match := range consoleCommand.FindAllStringSubmatch(section, -1) {
		all = append(all, match[1])
	}
	require.Len(t, all, 3)
	return all[0], all[1:]
}

// goCommand runs a command of the README, whose first word is go.
func goCommand(t *testing.T, folder string, env []string, command string) {
	cmd := exec.CommandContext(t.Context(), "go", strings.Fields(command)[1:]...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", command, out)
}

func TestTheCommandIsInstalledFromACheckout(t *testing.T) {
	install, _ := installCommands(t)
	bin := t.TempDir()
	goCommand(t, ".", []string{"GOBIN=" + bin}, install)
	out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "ropewalk"), "version").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "ropewalk ")
}

// A module elsewhere imports the checkout by the README's recipe, and the quick
// start builds in it. The first run downloads what the recipe downloads.
func TestAModuleElsewhereImportsACheckout(t *testing.T) {
	_, recipe := installCommands(t)
	checkout, err := filepath.Abs(".")
	require.NoError(t, err)
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "main.go"), []byte(readmeCode(t)[0]), 0o600))
	goCommand(t, folder, nil, "go mod init example.com/program")
	for _, command := range recipe {
		goCommand(t, folder, nil, strings.ReplaceAll(command, "/path/to/ropewalk", checkout))
	}
	goCommand(t, folder, nil, "go build -o program .")
	require.FileExists(t, filepath.Join(folder, "program"))
}
