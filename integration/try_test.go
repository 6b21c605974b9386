//go:build integration

package integration_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The lines of the pages by which a newcomer tries the command without an
// account work as they stand; the emulators run already.
func TestTryItWithoutAnAccount(t *testing.T) {
	c := buildCommand(t)
	for page, stores := range map[string][]string{"aws.md": {"aws", "s3"}, "azure.md": {"azure"}} {
		text := textOf(t, filepath.Join("..", "docs", page))
		section := regexp.MustCompile("(?s)## Try it without an account\n.*?```console\n(.*?)```").FindStringSubmatch(text)
		require.NotNil(t, section, page)
		steps := strings.Split(strings.TrimSpace(section[1]), "\n")
		require.Len(t, steps, 3, page)
		require.Regexp(t, `^\$ make emulators\b`, steps[0])
		for _, store := range stores {
			steps := strings.ReplaceAll(strings.Join(steps[1:], "\n"), "store "+stores[0], "store "+store)
			require.Contains(t, steps, "store "+store)
			t.Run(store, func(t *testing.T) {
				skipAccounts(t, store)
				c.try(t, strings.ReplaceAll(steps, "$ ", ""))
			})
		}
	}
}

// skipAccounts skips the test if the tests do not use an emulator on this machine:
// what the lines create in an account would stay.
func skipAccounts(t *testing.T, store string) {
	variable := map[string]string{"aws": "ROPEWALK_TEST_LOCALSTACK", "s3": "ROPEWALK_TEST_S3", "azure": "ROPEWALK_TEST_AZURITE"}[store]
	if !strings.Contains(os.Getenv(variable), "http://127.0.0.1:") {
		t.Skipf("%s names no emulator on this machine", variable)
	}
}

// try runs lines of a shell, then appends to the store that they have named and
// reads it.
func (c command) try(t *testing.T, steps string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const use = `
id=try-$$
echo content | ropewalk append "$id" --new
ropewalk cat "$id"
`
	shell := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", steps+use)
	shell.Dir = ".."
	shell.Env = []string{"HOME=" + t.TempDir(), "PATH=" + filepath.Dir(c.path) + ":" + os.Getenv("PATH")}
	for _, name := range []string{"LOCALSTACK", "S3", "S3_ACCESS_KEY", "S3_SECRET_KEY", "AZURITE"} {
		name = "ROPEWALK_TEST_" + name
		shell.Env = append(shell.Env, name+"="+os.Getenv(name))
	}
	out, err := shell.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), " is ready\n")
	require.Contains(t, string(out), "\ncontent\n")
}
