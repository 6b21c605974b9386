package link_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
)

// A head that an append has made is known by its digest, in both formats, whether the
// content is compressed, in a line or alone. Another append has not made it.
func TestMade(t *testing.T) {
	for _, packed := range []bool{false, true} {
		for i, size := range []int{0, 1000, link.MaxLine + 4, 0, 1000, link.MaxLine + 4} {
			for _, start := range []head.Head{{}, link.Void("order-1")} {
				compress := i >= 3
				t.Run(fmt.Sprint("packed ", packed, ", compress ", compress, ", size ", size, " ", start.State), func(t *testing.T) {
					l := link.Layout{Packed: packed, Tip: 1 << 16, Compress: compress}
					before, h := head.Head{}, start
					var draft changeset.Draft
					for i := range 2 {
						draft = changeset.Draft{CommandID: fmt.Sprint(i), ContentType: "text/plain", Content: bytes.Repeat([]byte("rope"), size/4)}
						a, err := link.Build(h, "order-1", [][]body.Draft{l.Drafts(h, []changeset.Draft{draft})}, time.Now(), l)
						require.NoError(t, err)
						before, h = h, a.Next
						require.True(t, link.Made(before, h, draft, changeset.Commit{}, compress))
					}
					mark := changeset.Commit{ID: changeset.NewID(), Members: 2}
					require.False(t, link.Made(before, h, draft, mark, compress), "it was appended alone")
					joint := l.Drafts(h, []changeset.Draft{draft})
					joint[0].Mark = mark
					a, err := link.Build(h, "order-1", [][]body.Draft{joint}, time.Now(), l)
					require.NoError(t, err)
					require.True(t, link.Made(h, a.Next, draft, mark, compress))
					require.False(t, link.Made(h, a.Next, draft, changeset.Commit{}, compress))

					other := draft
					other.Content = []byte("other")
					require.False(t, link.Made(before, h, other, changeset.Commit{}, compress))
					require.False(t, link.Made(head.Head{}, h, draft, changeset.Commit{}, compress))
				})
			}
		}
	}
}
