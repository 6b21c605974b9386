//go:build integration

package integration_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/internal/names"
	"ropewalk/internal/soak"
)

var nameKey = []byte("a secret of the tests")

// TestKilledClaimants: processes of 64 claimants each claim, release and swap names in
// DynamoDB. Each process is killed soon after its first acknowledged change.
func TestKilledClaimants(t *testing.T) {
	aws := newLocalStack(t).provisionedBucket(t).provisionedTable(t)
	place := writerPlace{Claims: true, Endpoint: aws.endpoint, Bucket: aws.bucket, Table: aws.table, Prefix: aws.prefix}
	const kills = 4
	var killed [2]soak.Kills
	var group errgroup.Group
	for n := range killed {
		place.Packed = n == 1
		encoded, err := json.Marshal(place)
		require.NoError(t, err)
		group.Go(func() error {
			for range kills {
				claimant := exec.CommandContext(t.Context(), os.Args[0])
				claimant.Env = append(os.Environ(), writerVariable+"="+string(encoded))
				claimant.Stderr = os.Stderr
				if err := killed[n].Kill(claimant, 1500*time.Millisecond); err != nil {
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
	changesets, heads, err := place.open(t.Context())
	require.NoError(t, err)
	r, err := names.Prove(t.Context(), names.Customers{Store: ropewalk.New(changesets, heads, nil), Key: nameKey}, acknowledged)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(acknowledged), len(killed)*kills, "each was killed after its first change")
	t.Log(len(acknowledged), *r)
}
