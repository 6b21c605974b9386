package head_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// packedChain makes the heads of a packed chain without package link, so that its IDs
// are the same in each run.
type packedChain struct {
	head head.Head
	last changeset.Header
}

// packedAfter begins a packed chain after a chain of format 1, or a new one.
func packedAfter(h head.Head, aggregateID string) packedChain {
	c := packedChain{head: h, last: changeset.Header{Ref: h.Ref, Digest: h.Digest}}
	c.last.AggregateID = aggregateID
	c.head.AggregateID, c.head.State, c.head.Formats = aggregateID, head.Live, head.Packed
	c.head.Index = changeset.ObjectIndexAt(h.Len())
	c.head.PackedID, c.head.PackedDigest = h.ID, h.Digest
	return c
}

// inline appends changesets to the tip, as one append.
func (c *packedChain) inline(t testing.TB, contents ...string) {
	t.Helper()
	revision := c.head.Revision
	for i, content := range contents {
		h := changeset.Header{
			Ref:           changeset.Ref{AggregateID: c.head.AggregateID, Version: c.next(), ID: id(c.next())},
			AfterRevision: revision, ContentType: "application/json", RecordedAt: noon.Add(time.Duration(c.next()) * time.Second),
		}
		if len(contents) > 1 {
			h.Part = changeset.Part{Number: i + 1, Of: len(contents)}
		}
		sealed, err := changeset.Seal(changeset.Changeset{Header: h, Content: []byte(content)}, c.last)
		require.NoError(t, err)
		c.head.Tip += string(changeset.AppendLine(nil, sealed))
		c.moveTo(sealed.Header, revision+1)
	}
}

func (c *packedChain) next() uint64 {
	if c.last.ID.IsZero() {
		return 0
	}
	return c.last.Version + 1
}

func (c *packedChain) moveTo(last changeset.Header, revision uint64) {
	c.last = last
	c.head.Ref, c.head.Digest, c.head.UpdatedAt, c.head.Revision = last.Ref, last.Digest, last.RecordedAt, revision
}

// pack moves the tip into an object with the ID of its last changeset, or another one.
func (c *packedChain) pack(object changeset.ID) {
	pack := changeset.NewPack(object, c.head.Revision, c.head.Index, c.head.PackedHeader(), c.last, []byte(c.head.Tip))
	c.head.Index, c.head.Tip, c.head.Ancestors = c.head.Index.Push(pack.Ref), "", changeset.Index{}
	c.head.PackedID, c.head.PackedDigest = c.last.ID, c.last.Digest
	c.head.Revision++
}

// withLines replaces the tip, and makes the head what such a tip leads to.
func withLines(t testing.TB, h head.Head, tip string) head.Head {
	t.Helper()
	all, err := changeset.DecodeLines(h.PackedHeader(), []byte(tip))
	require.NoError(t, err)
	h.Tip, h.Digest = tip, all[len(all)-1].Digest
	return h
}

// packedSamples are the heads of packed chains by name.
func packedSamples(t testing.TB) map[string]head.Head {
	t.Helper()
	tip := packedAfter(head.Head{}, "order/4711")
	tip.inline(t, `{"type":"placed","note":"<é> & \u2028"}`)
	tip.inline(t, `{"type":"paid"}`, "\xff\x00", "")
	over := packedAfter(headAt("order-4711", 17), "order-4711")
	over.inline(t, "a")
	fenced := packedAfter(headAt("order-4711", 17), "order-4711")
	fenced.head.Revision++
	packs := packedAfter(headAt("order-4711", 2), "order-4711")
	for range 60 {
		packs.inline(t, "a", "b")
		packs.pack(packs.last.ID)
	}
	own := packs
	own.inline(t, "c")
	own.pack(id(1 << 40))
	both := own
	both.inline(t, `{"a":1}`)
	both.inline(t, `{"b":2}`)
	erased := both.head
	erased.State, erased.Tip, erased.Index, erased.PackedID, erased.PackedDigest = head.Erased, "", changeset.ObjectIndex{}, changeset.ID{}, changeset.Digest{}
	later := withLines(t, both.head, strings.ReplaceAll(both.head.Tip, `,"content"`, `,"z":[1e3,{"<&>":"\u0000`+"\u2028"+`"}],"content"`))
	later.Formats.Written = 3
	return map[string]head.Head{
		"packed tip":                 tip.head,
		"packed tip over format 1":   over.head,
		"packed fence over format 1": fenced.head,
		"packed packs":               packs.head,
		"packed packs of own ID":     own.head,
		"packed packs and tip":       withCheckpoint(both.head, "at=7"),
		"packed erased":              erased,
		"packed later version":       later.WithExtra(`{"a<b":1E400,"kinds":{"tip":[1],"z":["\u003c<>"]},"tip-2":[],"zone":null}`),
	}
}

// longTip is a head whose tip is almost as long as a tip may be, of changesets of 1 KiB.
func longTip(t testing.TB, size int) head.Head {
	t.Helper()
	c := packedAfter(head.Head{}, "order-4711")
	for i := 0; len(c.head.Tip) < size-1300; i++ {
		c.inline(t, fmt.Sprintf(`{"number":%d,"text":"%s"}`, i, strings.Repeat(`\"quoted\" `, 80)))
	}
	return c.head
}
