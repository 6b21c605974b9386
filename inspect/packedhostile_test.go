package inspect_test

import (
	"bytes"
	"crypto/sha256"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/inspect"
)

// TestPacksThatAnnounceTooMuchAreFaults has packs of hostile sizes. Contents that are
// not read are not proved, and nothing is made room for.
func TestPacksThatAnnounceTooMuchAreFaults(t *testing.T) {
	b := newBench(t, order)
	b.spill(draft("0"))
	for _, size := range []int64{changeset.MaxReadBody + 1, 1 << 40, math.MaxInt64} {
		r, err := inspect.New(liar{b, size}, b, nil).Verify(t.Context(), b.id)
		require.NoError(t, err)
		require.Contains(t, onlyProblem(t, r).Reason, "is not proved: larger than 16777216")
		require.Equal(t, 1, r.Committed)
		g, err := inspect.New(liar{b, size}, b, nil).Graph(t.Context(), b.id, 0)
		require.NoError(t, err)
		require.Len(t, g.Nodes, 1)
		require.Contains(t, g.Nodes[0].Fault.Reason, "is not proved")
	}
	// A frame that states a size, and ends.
	frame := func(size ...byte) []byte { return append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0}, size...) }
	for reason, body := range map[string][]byte{
		"its lines are not proved: larger than 16777216":     frame(0, 0, 0, 0, 0, 0, 0, 0x7f),
		"content is not a zstd frame that states its size":   {0x28, 0xb5, 0x2f, 0xfd},
		"content is not one zstd frame":                      frame(9, 0, 0, 0, 0, 0, 0, 0),
		"content is not a zstd frame that states its size\n": bytes.Repeat([]byte("x"), 99),
	} {
		b := newBench(t, order)
		o := b.spill(draft("0")).Objects[0]
		ref := b.forge(o, func(o *changeset.Changeset) {
			o.Encoding, o.Body, o.BodySize, o.BodySHA256 = changeset.EncodingZstd, body, int64(len(body)), sha256.Sum256(body)
		})
		p := onlyProblem(t, b.verify())
		require.Equal(t, ref, p.Ref)
		require.Contains(t, reason, p.Reason[:20])
		plan, err := b.plan()
		require.Error(t, err, plan)
		b.loseHead()
		plan, err = b.plan()
		require.NoError(t, err)
		require.Empty(t, plan.Tips)
		require.Equal(t, 1, plan.Beyond)
	}
}

// TestPacksWithHugeVersionsAreInspectedInBounds has an orphan far up, and then as the head's.
func TestPacksWithHugeVersionsAreInspectedInBounds(t *testing.T) {
	for _, count := range []uint16{1, 7, math.MaxUint16} {
		b := newBench(t, order)
		o := b.spill(draft("0")).Objects[0]
		far := changeset.Ref{AggregateID: b.id, Version: math.MaxUint64 - 1, ID: changeset.NewID(), Count: count}
		b.Tamper(func(m *memstore.Contents) { m.Objects[far.ObjectName()] = m.Objects[o.ObjectName()] })
		r := b.verify()
		require.Equal(t, far, onlyProblem(t, r).Ref)
		require.Equal(t, []int{1, int(count)}, []int{r.Committed, r.Unknown})
		require.Len(t, b.graph(0).Nodes, 2)
		_, err := b.plan()
		require.NoError(t, err)
	}
}
