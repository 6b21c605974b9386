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

	got := rebuilt.Inherit(stored)
	require.Equal(t, head.Head{Revision: 8, Formats: newer}.WithExtra(`{"zone":"north"}`), got, "the token is another swap's")

	own := head.Head{Formats: head.Formats{Written: 3, MinReader: 1, MinWriter: 1}}.WithExtra(`{"zone":"south"}`)
	require.Equal(t, own, own.Inherit(stored), "what a head knows of itself stands")
	require.Equal(t, rebuilt, rebuilt.Inherit(head.Head{}))
}
