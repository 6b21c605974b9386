package azurestore_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/azurestore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/transport"
)

// requireForeign demands an error that says that the service did not answer.
func requireForeign(t *testing.T, err error, what string) {
	t.Helper()
	var broken *azurestore.SetupError
	require.ErrorAs(t, err, &broken, what)
	require.Equal(t, "the reply is not from Azure Blob Storage", broken.What, what)
	require.NotEmpty(t, broken.Hint)
	require.NotErrorIs(t, err, changeset.ErrNotFound, what)
	require.NotContains(t, err.Error(), secret)
}

// No call takes the reply of another server for a success, a
// conflict or an empty store.
func TestNoCallTakesAnotherServersReply(t *testing.T) {
	w := newWorld(t)
	for _, reply := range []struct {
		status     int
		kind, body string
	}{
		{200, "text/html", "<html><body>Please log in</body></html>"},
		{200, "application/json", `{"status": "running"}`},
		{200, "application/xml", "<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>"},
		{201, "", ""},
		{202, "", ""},
		{204, "", ""},
		{302, "text/html", "<html/>"},
		{304, "", ""},
		{307, "", ""},
		{404, "text/html", "<html/>"},
		{404, "application/xml", "<Error><Code>BlobNotFound</Code></Error>"},
		{409, "application/xml", "<Error><Code>BlobAlreadyExists</Code></Error>"},
		{412, "application/xml", "<Error><Code>ConditionNotMet</Code></Error>"},
		{501, "", ""},
		{502, "text/html", "<html/>"},
	} {
		for name, op := range w.operations() {
			what := fmt.Sprint(name, ": ", reply.status, " ", reply.body)
			s, _ := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
				consume(r)
				got := respond(r, reply.status, reply.body)
				got.Header = http.Header{"Content-Type": {reply.kind}, "Etag": {`"0x1"`}, "Last-Modified": {at}, "Location": {"https://login.example.com/?sig=" + secret}}
				return got, nil
			})
			_, err := op.call(t.Context(), s)
			requireForeign(t, err, what)
			if strings.HasPrefix(name, "create") || name == "swap" {
				require.Equal(t, unknown, fateOf(t, err), what)
			}
		}
	}
}

// A reply "not modified" to a request without a condition is no answer.
func TestNotModifiedWithoutAConditionIsNoHead(t *testing.T) {
	s, _ := cannedStore(t, io.Discard, succeeding(http.StatusNotModified))
	_, err := s.Load(t.Context(), "a")
	require.Error(t, err)
	_, next := built(t)
	h, err := s.Refresh(t.Context(), next.WithToken(`"0x1"`))
	require.NoError(t, err)
	require.Equal(t, next.WithToken(`"0x1"`), h)
}

// circling answers listings with these markers, over and over, a hundred times.
func circling(markers ...string) func(r *http.Request) (*http.Response, error) {
	page := 0
	return func(r *http.Request) (*http.Response, error) {
		if page++; page > 100 {
			return nil, errors.New("it goes in circles")
		}
		return respond(r, 200, "<EnumerationResults><Blobs/><NextMarker>"+markers[page%len(markers)]+"</NextMarker></EnumerationResults>"), nil
	}
}

func TestListingsThatGoInCirclesEnd(t *testing.T) {
	w := newWorld(t)
	for _, markers := range [][]string{{"a"}, {"a", "b"}, {"a", "b", "c", "d", "e"}} {
		for _, name := range []string{"list", "tags", "objects", "aggregates"} {
			s, wire := cannedStore(t, io.Discard, circling(markers...))
			_, err := w.operations()[name].call(t.Context(), s)
			requireForeign(t, err, name)
			require.LessOrEqual(t, len(wire.take()), 4*len(markers))
		}
	}
}

var spaces = strings.Repeat(" ", 1<<16)

// endless is a body without an end, which counts the bytes that were read.
type endless struct{ read atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, spaces)
	e.read.Add(int64(n))
	return n, nil
}

func (*endless) Close() error { return nil }

// No call reads more of an endless body than the limit of its kind, also through
// a transport of the caller's own.
func TestEndlessBodiesEnd(t *testing.T) {
	w := newWorld(t)
	for _, status := range []int{200, 201, 404} {
		for name, op := range w.operations() {
			body := &endless{}
			s, wire := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
				consume(r)
				reply := with(stored(r, w.stored, -1), "Content-Length", "")
				reply.StatusCode, reply.ContentLength = status, -1
				reply.Header.Del("Content-Length")
				if r.Method != http.MethodHead {
					reply.Body = body
				} else {
					reply.Header.Set("Content-Length", fmt.Sprint(len(w.stored.Body)))
				}
				return reply, nil
			})
			_, err := op.call(t.Context(), s)
			attempts := int64(len(wire.take()))
			limit := int64(transport.ErrorLimit)
			switch {
			case status < 300 && strings.Contains("list tags objects aggregates", name):
				limit = transport.ListingLimit
			case status < 300:
				limit = transport.DefaultLimit
			}
			require.LessOrEqual(t, body.read.Load(), attempts*(limit+1), "%d %s", status, name)
			if body.read.Load() > 0 {
				require.Error(t, err, "%d %s", status, name)
			}
		}
	}
}

// Redirects are not followed. Requests, and the signature in their URL, go to no
// other host, and a redirect to itself ends.
func TestRedirectsAreNotFollowed(t *testing.T) {
	w := newWorld(t)
	var strayed atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strayed.Add(1) }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{"", elsewhere.URL} {
			var sent atomic.Int64
			account := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				sent.Add(1)
				location := to
				if to == "" {
					location = r.URL.String()
				}
				rw.Header().Set("Location", location)
				rw.Header().Set("x-ms-request-id", "1")
				rw.WriteHeader(status)
			}))
			for name, op := range w.operations() {
				for _, client := range []*http.Client{nil, {}} {
					options := &azurestore.Options{}
					if client != nil {
						options.Client.Transport = client
					}
					s, err := azurestore.New(account.URL+"/acme?sig="+secret, nil, options)
					require.NoError(t, err)
					sent.Store(0)
					_, err = op.call(t.Context(), s)
					require.Error(t, err)
					require.EqualValues(t, 1, sent.Load(), "%s: %d to %q", name, status, to)
				}
			}
			account.Close()
		}
	}
	require.Zero(t, strayed.Load())
}

// Swaps, puts and the check say that a server has no conditional writes.
func TestServersWithoutConditionalWrites(t *testing.T) {
	w := newWorld(t)
	w.fresh = true
	s, _ := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut {
			return failing(http.StatusNotImplemented, "NotImplemented")(r)
		}
		return (&account{}).answer(r)
	})
	_, swapErr := s.Swap(t.Context(), head.Head{}, w.next)
	require.Equal(t, refused, fateOf(t, swapErr))
	for _, err := range []error{swapErr, s.Put(t.Context(), w.stored)} {
		var broken *azurestore.SetupError
		require.ErrorAs(t, err, &broken)
		require.Equal(t, "the server has no conditional writes", broken.What)
	}
	findings, err := s.Check(t.Context())
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(findings, func(f azurestore.Finding) bool {
		return !f.OK && strings.Contains(f.Detail, "no conditional writes")
	}))
}

// If a reply has no size, the properties of the blob have it.
func TestRepliesWithoutASize(t *testing.T) {
	w := newWorld(t)
	for _, of := range []string{"GET", "GET HEAD"} {
		s, wire := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
			reply := w.answer(r)
			if strings.Contains(of, r.Method) {
				reply.Header.Del("Content-Length")
				reply.ContentLength = -1
			}
			return reply, nil
		})
		got, err := s.Get(t.Context(), w.stored.Ref, nil)
		require.Equal(t, []string{"GET", "HEAD"}, wire.take())
		if of == "GET" {
			require.NoError(t, err)
			require.Equal(t, w.stored, got)
		} else {
			require.ErrorContains(t, err, "lacks the size")
		}
		h, err := s.Load(t.Context(), w.next.AggregateID)
		require.NoError(t, err)
		require.Equal(t, w.next.WithToken(`"0x1"`), h)
	}
}

// Nothing on the way is asked to compress a reply, and a reply that is
// compressed nevertheless is not taken for content.
func TestRepliesAreNotCompressed(t *testing.T) {
	w := newWorld(t)
	s, wire := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
		return with(w.answer(r), "Content-Encoding", "gzip"), nil
	})
	_, err := s.Get(t.Context(), w.stored.Ref, nil)
	requireForeign(t, err, "get")
	_, err = s.Load(t.Context(), w.next.AggregateID)
	requireForeign(t, err, "load")
	for _, r := range wire.sent {
		require.Equal(t, "identity", header(r, "Accept-Encoding"))
	}
}
