package sqlitestore

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// The test binary runs itself as another process that uses a store: its role
// is the name of one of roles.
const (
	roleVariable = "SQLITESTORE_TEST_ROLE"
	pathVariable = "SQLITESTORE_TEST_PATH"
)

var roles = map[string]func(path string) error{
	"appender":    appendForever,
	"swapper":     swapInRounds,
	"provisioner": openOnCue,
	"migrator":    migrateOnCue,
}

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := roles[role](os.Getenv(pathVariable)); err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// process is another process that uses a store.
type process struct {
	*exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Scanner
}

// start starts a process in a role. It is killed at the end of the test, if it
// still runs.
func start(t testing.TB, role, path string) *process {
	t.Helper()
	executable, err := os.Executable()
	require.NoError(t, err)
	p := &process{Cmd: exec.CommandContext(t.Context(), executable)}
	p.Env = append(os.Environ(), roleVariable+"="+role, pathVariable+"="+path)
	p.Stderr = os.Stderr
	p.stdin, err = p.StdinPipe()
	require.NoError(t, err)
	out, err := p.StdoutPipe()
	require.NoError(t, err)
	p.stdout = bufio.NewScanner(out)
	require.NoError(t, p.Start())
	return p
}

// lines returns the lines that the process prints until it ends.
func (p *process) lines() (all []string) {
	for p.stdout.Scan() {
		all = append(all, p.stdout.Text())
	}
	return all
}

// awaitCue blocks a role until the test closes its standard input.
func awaitCue() { _, _ = io.Copy(io.Discard, os.Stdin) }
