package inspect_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/inspect"
)

const (
	kills        = 100
	fileVariable = "ROPEWALK_TEST_APPEND_TO"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(fileVariable); file != "" {
		fmt.Fprintln(os.Stderr, appendForever(file))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// appendForever appends to three chains at once, with several changesets at a
// time, and prints each reference once its append is acknowledged.
func appendForever(file string) error {
	db, err := sqlitestore.Open(file, nil)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for n := range 3 {
		chain := ropewalk.New(db, db, nil).Chain(fmt.Sprintf("order-%d", n))
		go func() {
			for {
				h, err := chain.Update(context.Background(), func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
					return make([]changeset.Draft, 1+rand.IntN(4)), nil
				})
				if err != nil {
					failed <- err
					return
				}
				fmt.Println(h.Ref)
			}
		}()
	}
	return <-failed
}

// TestKilledWriters kills a process that appends to one file, a hundred times:
// everything that it has acknowledged is there, and all that is there is proved.
func TestKilledWriters(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ropewalk.db")
	acknowledged := map[string]changeset.Ref{}
	times := kills
	if testing.Short() {
		times /= 5
	}
	for n := range times {
		appendUntilKilled(t, file, acknowledged)
		if n%10 == 9 {
			requireSound(t, file, acknowledged)
		}
	}
}

// appendUntilKilled notes the newest reference of each chain that was acknowledged.
func appendUntilKilled(t *testing.T, file string, acknowledged map[string]changeset.Ref) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), fileVariable+"="+file)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		ref, err := changeset.ParseRef(lines.Text())
		if err != nil {
			continue // torn by the kill
		}
		if len(acknowledged) == 0 || ref.Version >= acknowledged[ref.AggregateID].Version {
			acknowledged[ref.AggregateID] = ref
		}
		time.AfterFunc(rand.N(20*time.Millisecond), func() { _ = cmd.Process.Kill() })
	}
	var exit *exec.ExitError
	require.True(t, errors.As(cmd.Wait(), &exit) && !exit.Exited(), "it was not killed")
}

func requireSound(t *testing.T, file string, acknowledged map[string]changeset.Ref) {
	db, err := sqlitestore.Open(file, &sqlitestore.Options{MustExist: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	for id, ref := range acknowledged {
		_, err := ropewalk.New(db, db, nil).Chain(id).HeadOf(t.Context(), ref)
		require.NoError(t, err, "what was acknowledged is in the chain")
	}
	chains := 0
	for report, err := range inspect.New(db, db, nil).VerifyAll(t.Context()) {
		require.NoError(t, err)
		require.Empty(t, report.Problems)
		require.Zero(t, report.Lost+report.Pending+report.Ahead, "half a commit has left objects")
		chains++
	}
	require.Equal(t, len(acknowledged), chains)
}
