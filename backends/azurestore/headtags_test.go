package azurestore_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
)

// listing answers with pages of blobs, each a name and an ETag.
func listing(pages ...[][2]string) func(r *http.Request) (*http.Response, error) {
	served := 0
	return func(r *http.Request) (*http.Response, error) {
		var items strings.Builder
		for _, e := range pages[served] {
			fmt.Fprintf(&items, "<Blob><Name>heads/%s</Name><Properties>", e[0])
			if e[1] != "" {
				fmt.Fprintf(&items, "<Etag>%s</Etag>", e[1])
			}
			items.WriteString("</Properties></Blob>")
		}
		next := ""
		if served++; served < len(pages) {
			next = fmt.Sprintf("%d!page", served)
		}
		return respond(r, 200, "<EnumerationResults><Blobs>"+items.String()+"</Blobs><NextMarker>"+next+"</NextMarker></EnumerationResults>"), nil
	}
}

// Tags cost the pages of a listing, however many heads there are. Blobs that are
// no heads are left out.
func TestTagsAreListings(t *testing.T) {
	first := [][2]string{{"%24", "0x0"}, {"%24feed", "0x1"}, {"%2f", ""}}
	want := []head.Tag{{AggregateID: "$feed", Tag: "0x1"}}
	for i := range 4997 {
		id, tag := fmt.Sprintf("a%04d", i), fmt.Sprintf("0x%d", i)
		first, want = append(first, [2]string{id, tag}), append(want, head.Tag{AggregateID: id, Tag: tag})
	}
	s, wire := cannedStore(t, io.Discard, listing(first, [][2]string{{"b%2Fc", "0xB"}}))
	var got []head.Tag
	for tag, err := range s.Tags(t.Context(), "$") {
		require.NoError(t, err)
		got = append(got, tag)
	}
	require.Equal(t, append(want, head.Tag{AggregateID: "b/c", Tag: "0xB"}), got)
	require.Len(t, wire.sent, 2)
	for _, r := range wire.sent {
		require.Equal(t, http.MethodGet, r.Method)
		require.Equal(t, "list", r.URL.Query().Get("comp"))
		require.Equal(t, "heads/", r.URL.Query().Get("prefix"))
	}
}

// The service always says the ETag of a blob. No tag of such a page is yielded.
func TestTagsWithoutETag(t *testing.T) {
	s, _ := cannedStore(t, io.Discard, listing([][2]string{{"a", "0x1"}}, [][2]string{{"b", "0x2"}, {"c", ""}}))
	var got []string
	var failed error
	for tag, err := range s.Tags(t.Context(), "") {
		got, failed = append(got, tag.AggregateID), err
	}
	require.Equal(t, []string{"a", ""}, got)
	requireForeign(t, failed, "tags")
	require.ErrorContains(t, failed, "lacks its ETag")
}
