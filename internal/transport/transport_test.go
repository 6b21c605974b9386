package transport_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/internal/transport"
)

// canned replies with the status and the body.
type canned struct {
	status int
	body   io.Reader
}

func (c canned) Do(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: c.status, Body: io.NopCloser(c.body), Request: r}, nil
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func read(t *testing.T, status int, body io.Reader, limits ...int64) ([]byte, error) {
	t.Helper()
	ctx := t.Context()
	for _, limit := range limits {
		ctx = transport.WithLimit(ctx, limit)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://storage/", nil)
	require.NoError(t, err)
	response, err := transport.Guard(canned{status, body}).Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

func TestEveryBodyIsBounded(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		limits []int64
		want   int
	}{
		"an error":                 {500, nil, transport.ErrorLimit},
		"a redirect":               {302, nil, transport.ErrorLimit},
		"an error without content": {404, []int64{-1}, transport.ErrorLimit},
		"a success":                {200, nil, transport.DefaultLimit},
		"a page of a listing":      {200, []int64{transport.ListingLimit}, transport.ListingLimit},
		"a success with its limit": {206, []int64{10}, 10},
		"a success without a body": {200, []int64{0}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, test.status, endless{}, test.limits...)
			require.ErrorIs(t, err, transport.ErrTooLarge)
			require.Len(t, got, test.want)
		})
	}
}

func TestBodiesWithinTheirLimitAreWhole(t *testing.T) {
	for _, size := range []int{0, 1, 9, 10} {
		text := strings.Repeat("x", size)
		got, err := read(t, 200, strings.NewReader(text), 10)
		require.NoError(t, err)
		require.Equal(t, text, string(got))
	}
	_, err := read(t, 200, strings.NewReader(strings.Repeat("x", 11)), 10)
	require.ErrorIs(t, err, transport.ErrTooLarge)

	large := strings.Repeat("x", transport.ListingLimit+1)
	got, err := read(t, 200, strings.NewReader(large), -1)
	require.NoError(t, err)
	require.Len(t, got, len(large), "the reader of content bounds it")
}

// TestRedirectsAreReplies: a redirect to itself ends, and a redirect to another
// host does not take the credentials or the content along.
func TestRedirectsAreReplies(t *testing.T) {
	var here, elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		here.Add(1)
		to := "/itself"
		if r.URL.Path == "/away" {
			to = other.URL
		}
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	}))
	defer server.Close()

	for n, path := range []string{"/itself", "/away"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+path, strings.NewReader("content"))
		require.NoError(t, err)
		r.Header.Set("Authorization", "secret")
		response, err := transport.Guard(server.Client()).Do(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusTemporaryRedirect, response.StatusCode)
		require.EqualValues(t, n+1, here.Load())
		require.Zero(t, elsewhere.Load())
	}
	require.Nil(t, server.Client().CheckRedirect, "the caller's client is left as it is")
}

type doFunc func(*http.Request) (*http.Response, error)

func (f doFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// TestAReplyFromAnotherHostIsAnError: a client of the caller's own type has
// followed a redirect.
func TestAReplyFromAnotherHostIsAnError(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, other.URL, http.StatusFound)
		} else if r.URL.Path == "/near" {
			http.Redirect(w, r, "/here", http.StatusFound)
		}
	}))
	defer server.Close()
	for path, want := range map[string]error{"/away": transport.ErrRedirected, "/near": nil, "/here": nil} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		require.NoError(t, err)
		response, err := transport.Guard(doFunc(server.Client().Do)).Do(r)
		require.ErrorIs(t, err, want)
		if err == nil {
			require.NoError(t, response.Body.Close())
		}
	}
}
