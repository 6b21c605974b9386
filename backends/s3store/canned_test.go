package s3store_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/s3store"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// reply is a canned reply of S3, with an ETag and a request ID unless the header
// has others; a header that is "" is left out. A reply with a code has S3's XML
// of an error.
type reply struct {
	status int
	code   string
	header map[string]string
	body   string
}

func (r reply) write(w http.ResponseWriter) {
	if r.code != "" {
		r.body = fmt.Sprintf("<Error><Code>%s</Code><Message>canned</Message></Error>", r.code)
	}
	header := map[string]string{"X-Amz-Request-Id": "canned", "Content-Length": fmt.Sprint(len(r.body))}
	if r.status < http.StatusMultipleChoices {
		header["ETag"] = `"canned"`
	}
	maps.Copy(header, r.header)
	for name, value := range header {
		if value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(r.status)
	_, _ = io.WriteString(w, r.body)
}

// bare is a header without the marks of S3.
func bare(more map[string]string) map[string]string {
	header := map[string]string{"X-Amz-Request-Id": "", "ETag": ""}
	maps.Copy(header, more)
	return header
}

// canned is a server of canned replies, and an HTTP client that reaches it
// without a network, so that it works under testing/synctest.
type canned struct {
	requests []*http.Request
	bodies   []string
	reply    func(n int, r *http.Request) reply
}

// Do answers the request; n counts from 1.
func (c *canned) Do(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	c.requests, c.bodies = append(c.requests, r), append(c.bodies, string(body))
	w := httptest.NewRecorder()
	c.reply(len(c.requests), r).write(w)
	response := w.Result()
	response.Request = r
	response.ContentLength = int64(w.Body.Len())
	return response, nil
}

// always answers every request alike.
func always(r reply) *canned {
	return &canned{reply: func(int, *http.Request) reply { return r }}
}

// oneAfterAnother answers with each reply once, and with the last one from then on.
func oneAfterAnother(replies ...reply) *canned {
	return &canned{reply: func(n int, _ *http.Request) reply { return replies[min(n, len(replies))-1] }}
}

// open returns a store whose client was built from a bare configuration.
func open(t testing.TB, transport aws.HTTPClient, options ...func(*s3.Options)) *s3store.Store {
	t.Helper()
	return openIn(t, "eu-west-1", transport, options...)
}

func openIn(t testing.TB, region string, transport aws.HTTPClient, options ...func(*s3.Options)) *s3store.Store {
	t.Helper()
	return openWith(t, region, transport, &s3store.Options{Prefix: "p/"}, options...)
}

func openWith(t testing.TB, region string, transport aws.HTTPClient, o *s3store.Options, options ...func(*s3.Options)) *s3store.Store {
	t.Helper()
	client := s3.NewFromConfig(aws.Config{
		Region: region, HTTPClient: transport,
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	}, options...)
	s, err := s3store.New(client, "bucket", o)
	require.NoError(t, err)
	return s
}

// build returns a new chain's first changeset, and the head that names it.
func build(t testing.TB, content string) (changeset.Changeset, head.Head) {
	t.Helper()
	cs, next, err := link.Extend(head.Head{}, "order-1", []changeset.Draft{{Content: []byte(content)}}, time.Unix(1, 0))
	require.NoError(t, err)
	cs[0].Content = nil // as a store returns it
	return cs[0], next
}

// stored returns the answer to a GetObject of the changeset.
func stored(t testing.TB, c changeset.Changeset) reply {
	t.Helper()
	metadata, err := changeset.Encode(c.Header, changeset.Hyphenated)
	require.NoError(t, err)
	header := map[string]string{
		"Content-Type": c.ContentType, "Content-Length": fmt.Sprint(len(c.Body)),
		"Last-Modified": "Thu, 01 Jan 1970 00:00:02 GMT",
	}
	for key, value := range metadata {
		header["X-Amz-Meta-"+key] = value
	}
	return reply{status: http.StatusOK, header: header, body: string(bytes.Clone(c.Body))}
}
