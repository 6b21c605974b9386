package backendtest

import (
	"crypto/sha256"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// newAggregate returns an aggregate ID that no other run has.
func newAggregate() string { return "backendtest-" + changeset.NewID().String() }

// extend builds an append, at a time that needs all its nine decimals.
func extend(t testing.TB, after head.Head, aggregateID string, drafts ...changeset.Draft) ([]changeset.Changeset, head.Head) {
	t.Helper()
	cs, next, err := link.Extend(after, aggregateID, drafts, time.Now().Truncate(time.Second).Add(123456789))
	require.NoError(t, err)
	return cs, next
}

// next builds the head of an append of one small changeset.
func next(t testing.TB, after head.Head, aggregateID string) head.Head {
	t.Helper()
	_, h := extend(t, after, aggregateID, changeset.Draft{})
	return h
}

// first builds the first changeset of an aggregate.
func first(t testing.TB, aggregateID string, content []byte) changeset.Changeset {
	t.Helper()
	cs, _ := extend(t, head.Head{}, aggregateID, changeset.Draft{Content: content})
	return cs[0]
}

// full builds the first changeset of a new aggregate, with all that a draft can have.
func full(t testing.TB) changeset.Changeset {
	t.Helper()
	cs, _ := extend(t, head.Head{}, newAggregate(), changeset.Draft{
		CommandID:   "place order/é 1",
		Content:     []byte(`{"placed":true}`),
		ContentType: "application/json; charset=utf-8",
		Metadata:    map[string]string{"correlation-id": "c=1&d=2", "Étage ": " 2 %41 ", "empty": ""},
	})
	return cs[0]
}

// withBody returns c with another body. Together they are two changesets of one
// reference, which no writer would build.
func withBody(c changeset.Changeset, body []byte) changeset.Changeset {
	c.Body = body
	c.BodySize = int64(len(body))
	c.BodySHA256 = sha256.Sum256(body)
	c.Digest = c.ComputeDigest(changeset.Digest{})
	return c
}

// encoded returns c as a writer builds it whose body is not the content itself.
func encoded(c changeset.Changeset) changeset.Changeset {
	c.Encoding = changeset.EncodingZstd
	return withBody(c, []byte("what the content was encoded to"))
}

// noise returns n bytes that do not compress, the same for each n.
func noise(n int64) []byte {
	content := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(content) // never fails
	return content
}

// fullVersion is a version of 20 digits whose ancestor index has all its 51 IDs.
const fullVersion = math.MaxUint64 - 1<<12

// fullIndex returns the index of fullVersion.
func fullIndex(t testing.TB) changeset.Index {
	t.Helper()
	var packed []byte
	for _, n := range []int{15, 15, 15, 6} {
		packed = append(packed, byte(n))
		for range n {
			id := changeset.NewID()
			packed = append(packed, id[:]...)
		}
	}
	require.Len(t, packed, changeset.MaxIndexSize)
	ix, err := changeset.ParseIndex(fullVersion, packed)
	require.NoError(t, err)
	return ix
}

// worst builds a changeset whose metadata is as large as it can be.
func worst(t testing.TB) changeset.Changeset {
	t.Helper()
	ix := fullIndex(t)
	c := changeset.Changeset{Header: changeset.Header{
		Ref:           changeset.Ref{AggregateID: longID("é"), Version: fullVersion, ID: changeset.NewID()},
		Parent:        ix.Parent(),
		AfterRevision: math.MaxUint64 - 1,
		Ancestors:     ix,
		ContentType:   longContentType,
		RecordedAt:    time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		CommandID:     pad("", changeset.MaxCommandID, "/"),
		Part:          changeset.Part{Number: changeset.MaxPerAppend, Of: changeset.MaxPerAppend},
		Metadata:      map[string]string{"k": pad("", changeset.MaxMetadata-len("k="), "&")},
	}}
	c.BodySHA256 = sha256.Sum256(nil)
	c.Digest = c.ComputeDigest(sha256.Sum256([]byte("parent")))
	return c
}

// worstPacks builds objects of a packed chain whose metadata is as large as it can be: one
// of lines, and one that is a changeset.
func worstPacks(t testing.TB) []changeset.Changeset {
	t.Helper()
	id, index := longID("é"), fullObjectIndex()
	parent := changeset.Header{
		Ref:    changeset.Ref{AggregateID: id, Version: index.Next() - 1, ID: changeset.NewID()},
		Digest: sha256.Sum256([]byte("parent")),
	}
	last := parent
	last.Version += changeset.MaxCount
	lines := changeset.NewPack(changeset.NewID(), math.MaxUint64, index, parent, last, nil)
	lines.Encoding = changeset.EncodingZstd
	c := worst(t)
	c.AggregateID, c.Version, c.Encoding = id, index.Next(), changeset.EncodingZstd
	c, err := changeset.Seal(c, parent)
	require.NoError(t, err)
	return []changeset.Changeset{lines, changeset.Alone(c, index, parent)}
}

// fullObjectIndex returns an object index with all its 27 entries, of objects before a
// version of 20 digits.
func fullObjectIndex() changeset.ObjectIndex {
	ix, id := changeset.ObjectIndexAt(fullVersion-1<<20), changeset.NewID()
	for ix.Objects() < 7*7*7*7*7-1 {
		ix = ix.Push(changeset.Ref{Version: ix.Next(), ID: id, Count: 1})
	}
	return ix
}

var longContentType = "application/" + strings.Repeat("x", changeset.MaxContentType-len("application/"))

// worstHead builds a head that is as large as it can be.
func worstHead(t testing.TB) head.Head {
	t.Helper()
	ix := fullIndex(t)
	return head.Head{
		Ref:       changeset.Ref{AggregateID: longID("/"), Version: fullVersion - 1, ID: ix.Parent()},
		Digest:    sha256.Sum256([]byte("worst")),
		Ancestors: ix,
		Revision:  1,
		UpdatedAt: time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		State:     head.Live,
	}
}

// longID returns a new aggregate ID of the largest size, made of fill.
func longID(fill string) string {
	return pad(changeset.NewID().String(), changeset.MaxAggregateID, fill)
}

// pad appends fill to s until it takes size bytes once percent-encoded.
func pad(s string, size int, fill string) string {
	s += strings.Repeat(fill, (size-len(changeset.Escape(s)))/len(changeset.Escape(fill)))
	return s + strings.Repeat("z", size-len(changeset.Escape(s)))
}
