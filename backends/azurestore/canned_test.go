package azurestore_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/azurestore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// secret is in the shared access signature of the tests' clients, and must
// turn up nowhere.
const secret = "c2VjcmV0LXNpZ25hdHVyZQ"

// canned is a service that answers as its test prescribes.
type canned struct {
	mu     sync.Mutex
	sent   []*http.Request
	answer func(r *http.Request) (*http.Response, error)
}

// Do panics at a condition that is empty, which no request may have.
func (c *canned) Do(r *http.Request) (*http.Response, error) {
	for key, values := range r.Header {
		if strings.HasPrefix(http.CanonicalHeaderKey(key), "If-") && strings.Join(values, "") == "" {
			panic("an empty condition is sent: " + key)
		}
	}
	c.mu.Lock()
	c.sent = append(c.sent, r)
	c.mu.Unlock()
	return c.answer(r)
}

// take returns the methods of the requests since the last call.
func (c *canned) take() []string {
	methods := []string{}
	for _, r := range c.sent {
		methods = append(methods, r.Method)
	}
	c.sent = nil
	return methods
}

// cannedURL is the URL of the tests' account.
const cannedURL = "https://acme.blob.core.windows.net/?sv=2026-06-06&sig=" + secret

func cannedClient(wire policy.Transporter) service.ClientOptions {
	return service.ClientOptions{ClientOptions: policy.ClientOptions{
		Transport: wire, Retry: policy.RetryOptions{RetryDelay: time.Millisecond},
	}}
}

// cannedStore returns a store on a service with that answer. The store logs to log.
func cannedStore(t testing.TB, log io.Writer, answer func(r *http.Request) (*http.Response, error)) (*azurestore.Store, *canned) {
	t.Helper()
	wire := &canned{answer: answer}
	s, err := azurestore.New(cannedURL, nil, &azurestore.Options{
		Client: cannedClient(wire),
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	require.NoError(t, err)
	return s, wire
}

// failing answers with a status and the service's error code, after it has
// taken the whole request in, as the service does. Without a code, the answer
// is not the service's.
func failing(status int, code string) func(r *http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		consume(r)
		reply := respond(r, status, "<Error><Message>Server used following string to sign: "+secret+"</Message></Error>")
		if code == "" {
			reply.Header = http.Header{}
		} else {
			reply.Header.Set("x-ms-error-code", code)
		}
		return reply, nil
	}
}

// succeeding answers as the service does to a request without a result.
func succeeding(status int) func(r *http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		consume(r)
		reply := respond(r, status, "")
		reply.Header.Set("ETag", `"0x1"`)
		return reply, nil
	}
}

func consume(r *http.Request) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
}

// respond returns a reply with the marks of the service.
func respond(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Request: r,
		Header: http.Header{"X-Ms-Request-Id": {"1"}, "X-Ms-Version": {"2026-06-06"}},
		Body:   io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// built returns a changeset and the head that commits it, of a new aggregate.
func built(t testing.TB) (changeset.Changeset, head.Head) {
	t.Helper()
	cs, next, err := link.Extend(head.Head{}, "order-1", []changeset.Draft{{Content: []byte("the content")}}, time.Now())
	require.NoError(t, err)
	cs[0].Content = nil // as a store returns it
	return cs[0], next
}

// requireDiscreet demands that neither content nor credentials turn up.
func requireDiscreet(t testing.TB, log *bytes.Buffer, err error) {
	t.Helper()
	for _, text := range []string{log.String(), err.Error()} {
		require.NotContains(t, text, secret)
		require.NotContains(t, text, "sig=")
		require.NotContains(t, text, "the content")
		require.NotContains(t, text, "\n\n", "an error takes one line")
	}
}
