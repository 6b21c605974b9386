package azurestore_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// records answers as a container that holds these head records by aggregate
// ID, whose listing names more than that.
type records struct {
	stored map[string]string
	listed []string
	fails  string // the aggregate whose record cannot be read
}

func (c *records) answer(r *http.Request) (*http.Response, error) {
	consume(r)
	if r.URL.Query().Get("comp") == "list" {
		var items strings.Builder
		for _, name := range c.listed {
			fmt.Fprintf(&items, "<Blob><Name>%s</Name><Properties/></Blob>", name)
		}
		return respond(r, 200, "<EnumerationResults><Blobs>"+items.String()+"</Blobs><NextMarker/></EnumerationResults>"), nil
	}
	_, escaped, _ := strings.Cut(r.URL.Path, "/heads/")
	id, _ := changeset.Unescape(escaped)
	record, ok := c.stored[id]
	switch {
	case r.Method == http.MethodPut:
		reply := respond(r, http.StatusCreated, "")
		reply.Header.Set("ETag", `"0x2"`)
		return reply, nil
	case id == c.fails:
		return failing(http.StatusForbidden, "AuthorizationFailure")(r)
	case !ok:
		return failing(http.StatusNotFound, "BlobNotFound")(r)
	}
	reply := respond(r, 200, record)
	reply.Header.Set("ETag", `"0x1"`)
	return reply, nil
}

// record returns the JSON text of the first head of an aggregate, and the head.
func record(t *testing.T, aggregateID string) (string, head.Head) {
	t.Helper()
	_, next := built(t)
	next.AggregateID = aggregateID
	text, err := head.EncodeJSON(next)
	require.NoError(t, err)
	return string(text), next
}

func TestSwapWithoutTokenReadsIt(t *testing.T) {
	text, stored := record(t, "a")
	other := stored
	other.Digest[0] ^= 1
	newer := strings.Replace(text, `"min-writer":1`, `"min-writer":3`, 1)
	newer = strings.Replace(newer, `"format":1`, `"format":3`, 1)
	for _, c := range []struct {
		name   string
		text   string
		fails  string
		old    head.Head
		want   fate
		inside error
		sent   []string
	}{
		{"as it is", text, "", stored, "", nil, []string{"GET", "PUT"}},
		{"another record", text, "", other, conflict, nil, []string{"GET"}},
		{"a record that a newer version protects", newer, "", stored, refused, changeset.ErrUnsupportedFormat, []string{"GET"}},
		{"unreadable", text, "a", stored, refused, nil, []string{"GET"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, wire := cannedStore(t, io.Discard, (&records{stored: map[string]string{"a": c.text}, fails: c.fails}).answer)
			got, err := s.Swap(t.Context(), c.old, link.Fence(c.old))
			defer func() { require.Equal(t, c.sent, wire.take()) }()
			if c.want == "" {
				require.NoError(t, err)
				require.Equal(t, link.Fence(stored).WithToken(`"0x2"`), got)
				require.Equal(t, `"0x1"`, header(wire.sent[1], "If-Match"))
				return
			}
			var lost *head.ConflictError
			if c.want == conflict {
				require.ErrorAs(t, err, &lost)
				require.Equal(t, stored.WithToken(`"0x1"`), *lost.Winner)
				return
			}
			require.Equal(t, c.want, fateOf(t, err))
			if c.inside != nil {
				require.ErrorIs(t, err, c.inside)
			}
		})
	}
}

// A checkpoint and fields that a newer version has added survive, even if old was put together
// from the history and does not have them.
func TestSwapWithoutTokenKeepsWhatItDoesNotKnow(t *testing.T) {
	text, stored := record(t, "a")
	newer := strings.Replace(text, `"format":1`, `"format":3`, 1)
	newer = strings.Replace(newer, `"digest"`, `"checkpoint":"a=1","digest"`, 1)
	newer = strings.TrimSuffix(newer, "}") + `,"zeta":{"b":[1,2]}}`
	var written []byte
	stock := &records{stored: map[string]string{"a": newer}}
	s, _ := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut {
			written, _ = io.ReadAll(r.Body)
		}
		return stock.answer(r)
	})
	_, err := s.Swap(t.Context(), stored, link.Fence(stored))
	require.NoError(t, err)
	require.Equal(t, strings.Replace(newer, `"revision":1`, `"revision":2`, 1), string(written))
}

func TestListLeavesOutWhatIsNoHead(t *testing.T) {
	stock := &records{stored: map[string]string{}, listed: []string{"heads/%2F", "heads/%2f", "heads/", "heads/a/b", "heads/a.b", "heads/gone"}}
	ids := []string{"/"}
	for i := range 40 {
		id := fmt.Sprintf("x%02d", i)
		ids, stock.listed = append(ids, id), append(stock.listed, head.ObjectName(id))
	}
	for _, id := range ids {
		stock.stored[id], _ = record(t, id)
	}
	s, _ := cannedStore(t, io.Discard, stock.answer)
	var got []string
	for h, err := range s.List(t.Context(), "") {
		require.NoError(t, err)
		require.Equal(t, `"0x1"`, h.Token())
		got = append(got, h.AggregateID)
	}
	require.Equal(t, ids, got)
	got = nil
	for h, err := range s.List(t.Context(), "x05") {
		require.NoError(t, err)
		got = append(got, h.AggregateID)
	}
	require.Equal(t, ids[7:], got)
}

func TestListEndsWithTheFirstError(t *testing.T) {
	stock := &records{stored: map[string]string{}, listed: []string{"heads/a", "heads/b", "heads/c"}, fails: "b"}
	stock.stored["a"], _ = record(t, "a")
	stock.stored["c"], _ = record(t, "c")
	s, _ := cannedStore(t, io.Discard, stock.answer)
	var got []string
	for h, err := range s.List(t.Context(), "") {
		if err != nil {
			h.AggregateID = "!"
		}
		got = append(got, h.AggregateID)
	}
	require.Equal(t, []string{"a", "!"}, got)
}

func TestLoadOfWhatIsNoRecord(t *testing.T) {
	text, _ := record(t, "a")
	for _, stored := range []string{"", "{}", text + " ", strings.Repeat("x", 2<<20), strings.Replace(text, `:"a"`, `:"b"`, 1)} {
		s, _ := cannedStore(t, io.Discard, (&records{stored: map[string]string{"a": stored}}).answer)
		h, err := s.Load(t.Context(), "a")
		var corrupt *changeset.CorruptError
		require.ErrorAs(t, err, &corrupt)
		require.Equal(t, s.LocateHead("a"), corrupt.Object)
		require.Zero(t, h)
	}
	newer := strings.NewReplacer(`"format":1`, `"format":3`, `"min-reader":1`, `"min-reader":3`).Replace(text)
	s, _ := cannedStore(t, io.Discard, (&records{stored: map[string]string{"a": newer}}).answer)
	_, err := s.Load(t.Context(), "a")
	require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
}

// A loop that is left does no more work.
func TestListMayBeLeft(t *testing.T) {
	stock := &records{stored: map[string]string{}}
	for i := range 100 {
		id := fmt.Sprintf("x%02d", i)
		stock.listed = append(stock.listed, head.ObjectName(id))
		stock.stored[id], _ = record(t, id)
	}
	s, wire := cannedStore(t, io.Discard, stock.answer)
	for _, err := range s.List(context.Background(), "") {
		require.NoError(t, err)
		break
	}
	require.LessOrEqual(t, len(wire.take()), 1+16)
}
