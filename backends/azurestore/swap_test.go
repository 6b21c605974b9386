package azurestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/azurestore"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// fate is the outcome of a swap's one attempt, as its error reports it.
type fate string

const (
	conflict  fate = "conflict"
	gone      fate = "conflict, there is no head"
	refused   fate = "not applied"
	throttled fate = "not applied, retryable"
	unknown   fate = "unknown"
)

func fateOf(t testing.TB, err error) fate {
	t.Helper()
	var lost *head.ConflictError
	var not *head.NotAppliedError
	switch {
	case errors.As(err, &lost) && lost.Winner == nil:
		return conflict
	case errors.As(err, &lost):
		require.False(t, lost.Winner.Exists())
		return gone
	case errors.As(err, &not) && not.Retryable:
		return throttled
	case errors.As(err, &not):
		return refused
	}
	return unknown
}

// The two kinds of swap, and what each answer means for it.
func TestSwapTellsWhatIsKnown(t *testing.T) {
	for _, c := range []struct {
		status           int
		code             string
		created, replace fate
		setup            bool
	}{
		{409, "BlobAlreadyExists", conflict, refused, false},
		{403, "UnauthorizedBlobOverwrite", conflict, refused, false},
		{412, "ConditionNotMet", conflict, conflict, false},
		{412, "TargetConditionNotMet", conflict, conflict, false},
		{404, "BlobNotFound", refused, gone, false},

		{412, "LeaseIdMissing", refused, refused, true},
		{412, "LeaseIdMismatchWithBlobOperation", refused, refused, true},
		{409, "BlobImmutableDueToPolicy", refused, refused, true},
		{404, "ContainerNotFound", refused, refused, true},
		{409, "ContainerBeingDeleted", refused, refused, true},
		{409, "ContainerDisabled", refused, refused, true},
		{401, "NoAuthenticationInformation", refused, refused, true},
		{401, "InvalidAuthenticationInfo", refused, refused, true},
		{403, "AuthenticationFailed", refused, refused, true},
		{403, "AuthorizationFailure", refused, refused, true},
		{403, "AuthorizationPermissionMismatch", refused, refused, true},
		{403, "InsufficientAccountPermissions", refused, refused, true},
		{403, "AccountIsDisabled", refused, refused, true},
		{403, "SomethingNew", refused, refused, true},

		{400, "Crc64Mismatch", refused, refused, false},
		{400, "InvalidHeaderValue", refused, refused, false},
		{409, "PendingCopyOperation", refused, refused, false},
		{411, "MissingContentLengthHeader", refused, refused, false},
		{413, "RequestBodyTooLarge", refused, refused, false},
		{429, "TooManyRequests", throttled, throttled, false},

		{500, "InternalError", unknown, unknown, false},
		{500, "OperationTimedOut", unknown, unknown, true},
		{502, "", unknown, unknown, true},
		{503, "ServerBusy", unknown, unknown, true},
		{503, "", unknown, unknown, true},
		{504, "", unknown, unknown, true},
		{412, "", unknown, unknown, true}, // without a code: not the service's
		{501, "", unknown, unknown, true},
		{501, "NotImplemented", refused, refused, true},
		{408, "", unknown, unknown, true},
		{408, "RequestTimeout", unknown, unknown, false},
		{302, "", unknown, unknown, true},
		{400, "", unknown, unknown, true},
		{403, "", unknown, unknown, true},
		{404, "", unknown, unknown, true},
		{409, "", unknown, unknown, true},
		{429, "", unknown, unknown, true},
		{499, "", unknown, unknown, true},
	} {
		t.Run(fmt.Sprintf("%d %s", c.status, c.code), func(t *testing.T) {
			_, next := built(t)
			requireFate(t, c.created, c.setup, failing(c.status, c.code), head.Head{}, next)
			requireFate(t, c.replace, c.setup, failing(c.status, c.code), next.WithToken(`"0x1"`), link.Fence(next))
		})
	}
}

// requireFate demands that the swap reports this fate, after one attempt.
func requireFate(t *testing.T, want fate, setup bool, answer func(*http.Request) (*http.Response, error), old, next head.Head) {
	t.Helper()
	var log bytes.Buffer
	s, wire := cannedStore(t, &log, answer)
	got, err := s.Swap(t.Context(), old, next)
	require.Error(t, err)
	require.Zero(t, got)
	require.Equal(t, want, fateOf(t, err), "%v", err)
	sent := []string{http.MethodPut}
	if want == conflict && old.Exists() {
		sent = append(sent, http.MethodGet) // for the winner
	}
	require.Equal(t, sent, wire.take())
	var broken *azurestore.SetupError
	if setup && want != conflict {
		require.ErrorAs(t, err, &broken)
		require.NotEmpty(t, broken.Hint)
	}
	var answered *azcore.ResponseError
	if want != conflict && want != gone && answer != nil {
		require.ErrorAs(t, err, &answered, "the SDK's own error stays in the chain")
	}
	requireDiscreet(t, &log, err)
}

// A reply that does not come, and a request that does not go.
func TestSwapWithoutReply(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	lookup := &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "acme.blob.core.windows.net", IsNotFound: true}}
	for _, c := range []struct {
		name  string
		sent  bool
		cause error
		want  fate
		setup string
	}{
		{"connection refused", false, dial, throttled, "cannot be reached"},
		{"no such account", false, lookup, throttled, "no such host"},
		{"no token to be had", false, errors.New("no credential"), refused, ""},
		{"TLS handshake fails", false, &net.OpError{Op: "remote error", Err: errors.New("bad certificate")}, refused, ""},
		{"connection closed before the body is sent", false, io.EOF, refused, ""},
		{"connection closed", true, io.EOF, unknown, ""},
		{"connection reset", true, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}, unknown, ""},
		{"time is up", true, os.ErrDeadlineExceeded, unknown, ""},
		{"a second attempt of the transport finds no connection", true, dial, unknown, "cannot be reached"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			s, wire := cannedStore(t, &log, func(r *http.Request) (*http.Response, error) {
				if c.sent {
					consume(r)
				}
				return nil, &url.Error{Op: "Put", URL: r.URL.String(), Err: c.cause}
			})
			_, next := built(t)
			_, err := s.Swap(t.Context(), head.Head{}, next)
			require.Equal(t, c.want, fateOf(t, err), "%v", err)
			require.ErrorIs(t, err, c.cause)
			require.Equal(t, []string{http.MethodPut}, wire.take())
			var broken *azurestore.SetupError
			require.Equal(t, c.setup != "", errors.As(err, &broken))
			require.ErrorContains(t, err, c.setup)
			requireDiscreet(t, &log, err)
		})
	}
}

// A swap that was reported as not applied must not be applied later: a transport
// that comes back to the body finds no body.
func TestSwapWithholdsWhatItGaveUp(t *testing.T) {
	var kept io.Reader
	s, _ := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
		kept = r.Body
		return nil, io.EOF
	})
	_, next := built(t)
	_, err := s.Swap(t.Context(), head.Head{}, next)
	require.Equal(t, refused, fateOf(t, err))
	n, err := kept.Read(make([]byte, 10))
	require.Error(t, err)
	require.Zero(t, n)
}

// A context that ends while the reply is on its way leaves the outcome open.
func TestSwapUnderContextThatEnds(t *testing.T) {
	for _, answer := range []int{0, 201, 412} {
		ctx, cancel := context.WithCancel(t.Context())
		s, wire := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
			consume(r)
			cancel()
			if answer == 0 {
				return nil, ctx.Err()
			}
			return failing(answer, "ConditionNotMet")(r)
		})
		_, next := built(t)
		_, err := s.Swap(ctx, head.Head{}, next)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, unknown, fateOf(t, err))
		require.Len(t, wire.take(), 1)
	}
}

// The condition of each swap, and the token of the next one.
func TestSwapConditions(t *testing.T) {
	s, wire := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
		consume(r)
		reply := respond(r, http.StatusCreated, "")
		reply.Header.Set("ETag", `"0x2"`)
		return reply, nil
	})
	_, next := built(t)
	created, err := s.Swap(t.Context(), head.Head{}, next)
	require.NoError(t, err)
	require.Equal(t, next.WithToken(`"0x2"`), created)
	_, err = s.Swap(t.Context(), created.WithToken(`"0x1"`), link.Fence(created))
	require.NoError(t, err)
	require.Equal(t, "*", header(wire.sent[0], "If-None-Match"))
	require.Empty(t, header(wire.sent[0], "If-Match"))
	require.Equal(t, `"0x1"`, header(wire.sent[1], "If-Match"))
	require.Empty(t, header(wire.sent[1], "If-None-Match"))
	for _, r := range wire.sent {
		require.NotEmpty(t, header(r, "x-ms-content-crc64"))
		require.Equal(t, "application/json", header(r, "x-ms-blob-content-type"))
	}
}

// header returns a header as the SDK has set it: not all are canonical.
func header(r *http.Request, name string) string {
	for key, values := range r.Header {
		if http.CanonicalHeaderKey(key) == http.CanonicalHeaderKey(name) {
			return values[0]
		}
	}
	return ""
}
