package ropewalk_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/internal/chaintest"
)

// Several processes race on one chain in one SQLite file. Each is this test
// binary again; its environment says what to do.

const (
	clientVariable = "ROPEWALK_TEST_CLIENT"
	fileVariable   = "ROPEWALK_TEST_FILE"
	processes      = 4
	perProcess     = 3 // clients
	perClient      = 8 // operations
)

func TestMain(m *testing.M) {
	if number, ok := os.LookupEnv(clientVariable); ok {
		if err := runClients(number, os.Getenv(fileVariable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
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
	var mu sync.Mutex
	var group sync.WaitGroup
	out := json.NewEncoder(os.Stdout)
	for n := range perProcess {
		group.Go(func() {
			client := &chaintest.Client{
				Chain: ropewalk.New(db, db, &ropewalk.Options{Packed: n%2 > 0}).Chain("order-1"), Number: process*perProcess + n, Timeout: time.Minute,
				Rand: rand.New(rand.NewPCG(uint64(process), uint64(n))),
			}
			ops, failure := client.Run(context.Background(), perClient)
			mu.Lock()
			defer mu.Unlock()
			for _, op := range ops {
				err = cmp.Or(err, out.Encode(op))
			}
			err = cmp.Or(err, failure)
		})
	}
	group.Wait()
	return err
}

func TestLinearizableOverProcesses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ropewalk.db")
	var outputs [processes]bytes.Buffer
	var commands []*exec.Cmd
	for n := range processes {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", clientVariable, n), fileVariable+"="+file)
		cmd.Stdout, cmd.Stderr = &outputs[n], os.Stderr
		require.NoError(t, cmd.Start())
		commands = append(commands, cmd)
	}
	var operations []chaintest.Operation
	for n, cmd := range commands {
		require.NoError(t, cmd.Wait())
		for out := json.NewDecoder(&outputs[n]); out.More(); {
			var op chaintest.Operation
			require.NoError(t, out.Decode(&op))
			operations = append(operations, op)
		}
	}
	require.Len(t, operations, processes*perProcess*perClient, "without faults every operation tells something")
	chaintest.RequireLinearizable(t, operations)
}
