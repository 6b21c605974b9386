package ledger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/internal/ledger"
)

// Several processes move money in one SQLite file. Each is this test binary again; its
// environment says what to do.

const (
	processVariable = "ROPEWALK_TEST_LEDGER_PROCESS"
	fileVariable    = "ROPEWALK_TEST_LEDGER_FILE"
	name            = "of-processes"
	processes       = 3
	perProcess      = 2 // clients
	perClient       = 8 // operations, without reads
)

func TestMain(m *testing.M) {
	if number, ok := os.LookupEnv(processVariable); ok {
		if err := runClients(number, os.Getenv(fileVariable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// runClients is the life of one process: it prints what its clients saw.
func runClients(number, file string) error {
	process, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	db, err := sqlitestore.Open(file, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	var group errgroup.Group
	h := &ledger.History{}
	for n := range perProcess {
		group.Go(func() error {
			c := &ledger.Client{
				Store: ropewalk.New(db, db, &ropewalk.Options{Packed: n%2 > 0}), Ledger: name, Number: process*perProcess + n,
				Rand: rand.New(rand.NewPCG(uint64(process), uint64(n))), Timeout: time.Minute, History: h,
			}
			c.Do(context.Background(), perClient)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(h.Operations)
}

func TestLedgerOverProcesses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ropewalk.db")
	db, err := sqlitestore.Open(file, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	store := ropewalk.New(db, db, nil)
	require.NoError(t, ledger.Open(t.Context(), store, name))
	var outputs [processes]bytes.Buffer
	var commands []*exec.Cmd
	for n := range processes {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", processVariable, n), fileVariable+"="+file)
		cmd.Stdout, cmd.Stderr = &outputs[n], os.Stderr
		require.NoError(t, cmd.Start())
		commands = append(commands, cmd)
	}
	h := &ledger.History{}
	for n, cmd := range commands {
		require.NoError(t, cmd.Wait())
		var operations []*ledger.Operation
		require.NoError(t, json.Unmarshal(outputs[n].Bytes(), &operations))
		require.NotEmpty(t, operations)
		h.Operations = append(h.Operations, operations...)
	}
	for _, op := range h.Operations {
		require.Contains(t, []ledger.Outcome{ledger.Done, ledger.Refused}, op.Outcome, "nothing goes wrong here: %s", op.Err)
	}
	require.NoError(t, h.Close(t.Context(), store, name))
	requireSound(t, h)
}
