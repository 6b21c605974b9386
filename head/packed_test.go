package head_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// growing is a chain that is built line by line, with its own IDs.
type growing struct {
	head  head.Head
	lines []byte
	last  changeset.Header
}

// add adds a changeset to the tip.
func (g *growing) add(t testing.TB, content string) {
	t.Helper()
	h := changeset.Header{
		Ref:           changeset.Ref{AggregateID: "order-4711", Version: g.head.Len(), ID: id(g.head.Len())},
		AfterRevision: g.head.Revision, ContentType: "application/json", RecordedAt: noon,
	}
	c, err := changeset.Seal(changeset.Changeset{Header: h, Content: []byte(content)}, g.last)
	require.NoError(t, err)
	if !g.head.IsPacked() {
		g.head.PackedID, g.head.PackedDigest = g.head.ID, g.head.Digest
		g.head.Index = changeset.ObjectIndexAt(g.head.Len())
	}
	g.last, g.lines = c.Header, changeset.AppendLine(g.lines, c)
	g.head.Ref, g.head.Digest, g.head.UpdatedAt, g.head.State = c.Ref, c.Digest, noon, head.Live
	g.head.Revision++
	g.head.Tip, g.head.Formats = string(g.lines), head.Packed
}

// pack moves the tip into an object of an ID.
func (g *growing) pack(id changeset.ID) {
	o := changeset.NewPack(id, g.head.Revision, g.head.Index, g.head.PackedHeader(), g.last, g.lines)
	g.head.Index, g.head.PackedID, g.head.PackedDigest = g.head.Index.Push(o.Ref), g.last.ID, g.last.Digest
	g.head.Tip, g.lines, g.head.Ancestors = "", nil, changeset.Index{}
	g.head.Revision++
}

// packedHeads are the kinds of heads that packed chains have.
func packedHeads(t testing.TB) map[string]head.Head {
	var tip, old, packed, own growing
	for i := range 3 {
		tip.add(t, fmt.Sprintf(`{"n":%d,"text":"<\"é\u2028>"}`, i))
	}
	tip.add(t, "\xff")
	old.head = headAt("order-4711", 20)
	old.last = changeset.Header{Ref: old.head.Ref, Digest: old.head.Digest}
	old.add(t, "{}")
	for i := range 5 {
		packed.add(t, "1")
		own.add(t, "1")
		if i == 3 {
			packed.pack(packed.head.ID)
			own.pack(id(1000))
		}
	}
	empty := packed
	empty.pack(empty.head.ID)
	return map[string]head.Head{
		"tip": tip.head, "tip over format 1": old.head, "packs": packed.head, "pack with an ID of its own": own.head,
		"no tip": empty.head, "erased packed": link.Tombstone(packed.head), "tip and unknown field": tip.head.WithExtra(`{"u":[1e3,"\u003c"]}`),
	}
}

func TestPackedHeads(t *testing.T) {
	for name, h := range packedHeads(t) {
		requireGolden(t, strings.ReplaceAll(name, " ", "-"), encode(t, h)+"\n")
		got, err := head.DecodeJSON("order-4711", "mem://head", []byte(encode(t, h)))
		require.NoError(t, err, name)
		require.Equal(t, h, got, name)
		row, err := head.EncodeRow(h)
		require.NoError(t, err)
		got, err = head.DecodeRow("order-4711", "mem://head", row)
		require.NoError(t, err, name)
		require.Equal(t, h, got, name)
		require.NotNil(t, row.Ancestors)
	}
}

// TestEveryFlipOfAPackedHeadIsNoticed flips each byte of each record: it does not
// decode, or decodes to what nothing in a record proves, which the objects and the
// condition of the next swap do.
func TestEveryFlipOfAPackedHeadIsNoticed(t *testing.T) {
	for name, h := range packedHeads(t) {
		record := []byte(encode(t, h))
		for i := range record {
			flipped := append([]byte{}, record...)
			flipped[i] ^= 1
			got, err := head.DecodeJSON("order-4711", "mem://head", flipped)
			if err != nil {
				continue
			}
			require.NotEqual(t, h, got, "%s: byte %d of %s", name, i, record)
			require.Equal(t, h.Tip, got.Tip, "%s: byte %d of %s", name, i, record)
		}
	}
}

// TestHostileTips are records whose tips lie.
func TestHostileTips(t *testing.T) {
	h := packedHeads(t)["tip"]
	good := encode(t, h)
	lines := strings.SplitAfter(h.Tip, "\n")
	first, second := strings.TrimSuffix(lines[0], "\n"), strings.TrimSuffix(lines[1], "\n")
	for name, record := range map[string]string{
		"no tip":                      strings.Replace(good, `"tip":[`+first+","+second, `"tip":[`+second, 1),
		"an empty tip":                good[:strings.Index(good, `"tip":[`)] + `"tip":[]` + good[strings.Index(good, `],"updated-at"`)+1:],
		"lines exchanged":             strings.Replace(good, first+","+second, second+","+first, 1),
		"a line twice":                strings.Replace(good, first, first+","+first, 1),
		"spaces":                      strings.Replace(good, `"tip":[`, `"tip":[ `, 1),
		"a line that is a list":       strings.Replace(good, first, "[]", 1),
		"more lines than versions":    strings.Replace(good, first, strings.Repeat("1,", 100)+first, 1),
		"a head of format 1":          strings.NewReplacer(`"format":2`, `"format":1`, `"min-reader":2`, `"min-reader":1`, `"min-writer":2`, `"min-writer":1`).Replace(good),
		"the ID of the newest object": strings.Replace(encode(t, packedHeads(t)["packs"]), `"packed-digest"`, `"packed-changeset-id":"`+id(3).String()+`","packed-digest"`, 1),
		"a point":                     "null",
	} {
		_, err := head.DecodeJSON("order-4711", "mem://head", []byte(record))
		var corrupt *changeset.CorruptError
		require.ErrorAs(t, err, &corrupt, name)
		require.True(t, corrupt.Ref.ID.IsZero(), name)
		require.Equal(t, "order-4711", corrupt.Ref.AggregateID)
	}
}
