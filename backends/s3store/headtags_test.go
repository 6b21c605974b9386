package s3store_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
)

// headPage returns a page of a listing of heads. Each entry is a name and an ETag.
func headPage(more string, entries ...[2]string) reply {
	var body strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&body, "<Contents><Key>p/heads/%s</Key><Size>5</Size><LastModified>2026-01-02T03:04:05.000Z</LastModified>", e[0])
		if e[1] != "" {
			fmt.Fprintf(&body, "<ETag>%s</ETag>", e[1])
		}
		body.WriteString("</Contents>")
	}
	return reply{status: 200, body: "<ListBucketResult>" + body.String() + more + "</ListBucketResult>"}
}

const nextPage = "<IsTruncated>true</IsTruncated><NextContinuationToken>2</NextContinuationToken>"

// TestTagsAreListings: tags cost the pages of a listing, however many heads there
// are, and objects that are no heads are left out.
func TestTagsAreListings(t *testing.T) {
	first := [][2]string{{"%24feed", `"0"`}, {"%2f", ""}, {"", ""}}
	want := []head.Tag{{AggregateID: "$feed", Tag: `"0"`}}
	for i := range 997 {
		id, tag := fmt.Sprintf("a%03d", i), fmt.Sprintf(`"%d"`, i)
		first, want = append(first, [2]string{id, tag}), append(want, head.Tag{AggregateID: id, Tag: tag})
	}
	server := oneAfterAnother(headPage(nextPage, first...), headPage("", [2]string{"b%2Fc", `"b"`}))
	var got []head.Tag
	for tag, err := range open(t, server).Tags(t.Context(), "$") {
		require.NoError(t, err)
		got = append(got, tag)
	}
	require.Equal(t, append(want, head.Tag{AggregateID: "b/c", Tag: `"b"`}), got)
	require.Len(t, server.requests, 2)
	for _, r := range server.requests {
		require.Equal(t, http.MethodGet, r.Method)
		require.Equal(t, "2", r.URL.Query().Get("list-type"))
		require.Equal(t, "p/heads/", r.URL.Query().Get("prefix"))
		require.Equal(t, "p/heads/%24", r.URL.Query().Get("start-after"))
	}
}

// TestTagsWithoutETag: S3 always says the ETag of an object. No tag of such a page
// is yielded.
func TestTagsWithoutETag(t *testing.T) {
	server := oneAfterAnother(headPage(nextPage, [2]string{"a", `"1"`}), headPage("", [2]string{"b", `"2"`}, [2]string{"c", ""}))
	text, err := all(open(t, server).Tags(t.Context(), ""))
	require.Equal(t, "{AggregateID:a Tag:\"1\"}\n", text)
	requireSetup(t, err, "not from S3")
	require.ErrorContains(t, err, "list s3://bucket/p/heads/")
	require.ErrorContains(t, err, "without its ETag")
}
