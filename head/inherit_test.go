package head_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
)

func TestInherit(t *testing.T) {
	newer := head.Formats{Written: 2, MinReader: 1, MinWriter: 1}
	stored := head.Head{Formats: newer}.WithExtra(`{"zone":"north"}`).WithToken("etag")
	rebuilt := head.Head{Revision: 8}

	got := rebuilt.Inherit(head.Head{Revision: 7}, stored)
	require.Equal(t, head.Head{Revision: 8, Formats: newer}.WithExtra(`{"zone":"north"}`), got, "the token is another swap's")

	own := head.Head{Formats: head.Formats{Written: 3, MinReader: 1, MinWriter: 1}}.WithExtra(`{"zone":"south"}`)
	require.Equal(t, own, own.Inherit(stored, stored), "what a head knows of itself stands")
	require.Equal(t, rebuilt, rebuilt.Inherit(head.Head{}, head.Head{}))
}

// A swap that does not concern the checkpoint leaves it as it is stored, even if
// the head it was built on lacks it. A swap that replaces it, or takes it away, does so.
func TestInheritCheckpoint(t *testing.T) {
	stored := head.Head{Revision: 7, Checkpoint: "b"}
	for _, c := range []struct{ name, old, next, want string }{
		{"rebuilt", "", "", "b"},
		{"loaded", "b", "b", "b"},
		{"replaced", "b", "c", "c"},
		{"set on a rebuilt head", "", "c", "c"},
		{"taken away", "b", "", ""},
	} {
		old, next := head.Head{Revision: 7, Checkpoint: c.old}, head.Head{Revision: 8, Checkpoint: c.next}
		require.Equal(t, c.want, next.Inherit(old, stored).Checkpoint, c.name)
	}
}
