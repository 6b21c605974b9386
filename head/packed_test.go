package head_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

func TestPackedHeadRoundTrip(t *testing.T) {
	at := time.Date(2026, 11, 28, 1, 2, 3, 4, time.UTC)
	h := head.Head{Ref: changeset.Ref{AggregateID: "order/4711"}, State: head.Live, Formats: head.Packed}
	var text []byte
	parent := changeset.Header{}
	for i := range 6 {
		c, err := changeset.Seal(changeset.Changeset{
			Header:  changeset.Header{Ref: changeset.Ref{AggregateID: "order/4711", Version: uint64(i), ID: changeset.NewID()}, AfterRevision: uint64(i), ContentType: "application/json", RecordedAt: at},
			Content: []byte(`{"a":"<b>"}`),
		}, parent)
		require.NoError(t, err)
		text, parent = changeset.AppendLine(text, c), c.Header
		h.Ref, h.Digest, h.Revision, h.UpdatedAt, h.Tip = c.Ref, c.Digest, uint64(i+1), at, string(text)
		if i == 3 {
			pack := changeset.NewPack(changeset.NewID(), 3, h.Index, h.PackedHeader(), c.Header, text)
			h.Index, h.PackedID, h.PackedDigest, h.Tip, text = h.Index.Push(pack.Ref), c.ID, c.Digest, "", nil
		}
		for _, h := range []head.Head{h, h.WithExtra(`{"zone":"a"}`)} {
			raw, err := head.EncodeJSON(h)
			require.NoError(t, err)
			got, err := head.DecodeJSON("order/4711", "mem://head", raw)
			require.NoError(t, err)
			require.Equal(t, h, got)
			row, err := head.EncodeRow(h)
			require.NoError(t, err)
			got, err = head.DecodeRow("order/4711", "mem://head", row)
			require.NoError(t, err)
			require.Equal(t, h, got)
		}
	}
	t.Log(func() string { raw, _ := head.EncodeJSON(h); return string(raw) }())
}
