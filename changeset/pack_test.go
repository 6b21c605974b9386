package changeset

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func sealed(t *testing.T, parent Header, version uint64, content string) Changeset {
	c, err := Seal(Changeset{
		Header:  Header{Ref: Ref{AggregateID: "order/4711", Version: version, ID: NewID()}, AfterRevision: version + 1, ContentType: "application/json", RecordedAt: time.Date(2026, 11, 28, 1, 2, 3, 4, time.UTC)},
		Content: []byte(content),
	}, parent)
	require.NoError(t, err)
	return c
}

func TestPackRoundTrip(t *testing.T) {
	var parent Header
	var text []byte
	index := ObjectIndex{}
	var all []Changeset
	base := Header{Ref: Ref{AggregateID: "order/4711"}}
	for i := range 100 {
		c := sealed(t, parent, uint64(i), strings.Repeat("\"é\n\x01<", i)+string(make([]byte, i%2))+map[bool]string{true: "\xff"}[i%3 == 0])
		text = AppendLine(text, c)
		all = append(all, c)
		parent = c.Header
		if i%4 == 3 {
			pack := NewPack(NewID(), c.AfterRevision, index, base, c.Header, text)
			meta, err := Encode(pack.Header, Hyphenated)
			require.NoError(t, err)
			h, err := Decode(Stored{Ref: pack.Ref, Metadata: meta, ContentType: pack.ContentType, Size: pack.BodySize}, Hyphenated)
			require.NoError(t, err)
			require.Equal(t, pack.Header, h)
			name, err := ParseObjectName(pack.ObjectName())
			require.NoError(t, err)
			require.Equal(t, pack.Ref, name)
			r, err := EncodeRow(h)
			require.NoError(t, err)
			h, err = DecodeRow(Stored{Ref: pack.Ref, ContentType: pack.ContentType, Size: pack.BodySize}, r)
			require.NoError(t, err)
			require.Equal(t, pack.Header, h)
			got, err := Unpack(pack, pack.Body)
			require.NoError(t, err)
			require.Equal(t, all, got)
			index, text, base, all = index.Push(pack.Ref), nil, c.Header, nil
			again, err := ParseObjectIndex(index.Objects(), index.Next(), index.Packed())
			require.NoError(t, err)
			require.Equal(t, index, again)
		}
	}
	require.Equal(t, uint64(25), index.Objects())
	require.Equal(t, uint64(100), index.Next())
	n := 0
	for number, e := range index.All() {
		require.Equal(t, number*4+3, e.Version)
		require.Equal(t, uint16(4), e.Count)
		n++
	}
	require.Equal(t, 3+4, n)
}

func TestAloneRoundTrip(t *testing.T) {
	c := sealed(t, Header{}, 0, "x")
	o := Alone(c, ObjectIndex{}, Header{})
	meta, err := Encode(o.Header, Joined)
	require.NoError(t, err)
	h, err := Decode(Stored{Ref: o.Ref, Metadata: meta, ContentType: o.ContentType, Size: o.BodySize}, Joined)
	require.NoError(t, err)
	got, err := Unpack(Changeset{Header: h, Body: o.Body}, o.Body)
	require.NoError(t, err)
	require.Equal(t, []Changeset{c}, got)
}
