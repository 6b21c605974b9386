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
	shown := regexp.MustCompile("`(.snapshots-[^ `]+@0[.][^`]+)`").FindAllSubmatch(design, -1)
	require.Len(t, shown, 1)
	require.Equal(t, string(shown[0][1]), snapshotRef("order/4711", 99, "1").String())
}
