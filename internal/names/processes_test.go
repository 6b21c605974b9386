package names

import (
	"context"
	"fmt"
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
	"ropewalk/internal/soak"
)

// Several processes claim names in one SQLite file, and are killed. Each is this test binary
// again; its environment says what to do.

const (
	processVariable = "ROPEWALK_TEST_NAMES_PROCESS"
	fileVariable    = "ROPEWALK_TEST_NAMES_FILE"
)

func TestMain(m *testing.M) {
	if seed, ok := os.LookupEnv(processVariable); ok {
		fmt.Fprintln(os.Stderr, claimUntilKilled(seed, os.Getenv(fileVariable)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func claimUntilKilled(number, file string) error {
	seed, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return err
	}
	db, err := sqlitestore.Open(file, nil)
	if err != nil {
		return err
	}
	store := ropewalk.New(db, db, &ropewalk.Options{Packed: seed%2 > 0})
	return RaceUntilKilled(context.Background(), Customers{store, key}, seed, os.Stdout)
}

// TestKilledClaimants: three processes at a time claim names, release and swap them, and each
// is killed soon after its first acknowledged change.
func TestKilledClaimants(t *testing.T) {
	const processes, kills = 3, 4
	file := filepath.Join(t.TempDir(), "ropewalk.db")
	var group errgroup.Group
	var killed [processes]soak.Kills
	for n := range processes {
		group.Go(func() error {
			for i := range kills {
				claimant := exec.CommandContext(t.Context(), os.Args[0])
				claimant.Env = append(os.Environ(), fmt.Sprintf("%s=%d", processVariable, n*kills+i), fileVariable+"="+file)
				claimant.Stderr = os.Stderr
				if err := killed[n].Kill(claimant, 100*time.Millisecond); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	var acknowledged []ropewalk.Ref
	for n := range killed {
		acknowledged = append(acknowledged, killed[n].Refs()...)
	}
	db, err := sqlitestore.Open(file, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	r, err := Prove(t.Context(), Customers{ropewalk.New(db, db, nil), key}, acknowledged)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(acknowledged), processes*kills, "each was killed after its first change")
	t.Log(len(acknowledged), *r)
}
