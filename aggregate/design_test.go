package aggregate

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSnapshotOfTheDesign computes the snapshot's reference that DESIGN.md shows.
func TestSnapshotOfTheDesign(t *testing.T) {
	design, err := os.ReadFile("../DESIGN.md")
	require.NoError(t, err)
	shown := regexp.MustCompile("The\\s+snapshot of `order/4711` at version 99 with the schema `1` is\\s+`(.+?)`").FindSubmatch(design)
	require.NotNil(t, shown)
	require.Equal(t, string(shown[1]), snapshotRef("order/4711", 99, "1").String())
}
