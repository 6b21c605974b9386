package changeset_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

func TestReserved(t *testing.T) {
	require.True(t, changeset.IsReserved("$chain"))
	require.False(t, changeset.IsReserved("chain$"))
	seen := map[string]bool{}
	for _, id := range []string{"a", "b", "order-4711", strings.Repeat("%", 42)} {
		reserved := changeset.SnapshotsOf(id)
		require.NoError(t, changeset.ValidateAggregateID(reserved))
		require.True(t, changeset.IsReserved(reserved))
		require.False(t, seen[reserved])
		seen[reserved] = true
	}
	require.Equal(t, "$snapshots-ypeBEsobvcr6wjGzmiPcTaeG7_gUfE5yuYB3ha_uSLs", changeset.SnapshotsOf("a"), "stored under this name for good")
}
