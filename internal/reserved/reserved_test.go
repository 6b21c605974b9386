package reserved_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/internal/reserved"
)

func TestReserved(t *testing.T) {
	require.True(t, reserved.Is("$chain"))
	require.False(t, reserved.Is("chain$"))
	seen := map[string]bool{}
	for _, id := range []string{"a", "b", "order-4711", strings.Repeat("%", 42)} {
		own := reserved.Snapshots(id)
		require.NoError(t, changeset.ValidateAggregateID(own))
		require.True(t, reserved.Is(own))
		require.False(t, seen[own])
		seen[own] = true
	}
	require.Equal(t, "$snapshots-ypeBEsobvcr6wjGzmiPcTaeG7_gUfE5yuYB3ha_uSLs", reserved.Snapshots("a"), "stored under this name for good")
}
