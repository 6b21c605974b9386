package s3store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/s3store"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// The outcomes of a swap that failed.
const (
	conflict = "conflict"
	gone     = "conflict with no head"
	later    = "not applied, retryable"
	never    = "not applied"
	unknown  = "unknown"
)

func kindOf(err error) string {
	var c *head.ConflictError
	var n *head.NotAppliedError
	switch {
	case errors.As(err, &c) && c.Winner == nil:
		return conflict
	case errors.As(err, &c):
		return gone
	case errors.As(err, &n) && n.Retryable:
		return later
	case errors.As(err, &n):
		return never
	}
	return unknown
}

func TestSwapTellsWhatIsKnown(t *testing.T) {
	tests := []struct {
		status int
		code   string
		want   string
	}{
		{412, "PreconditionFailed", conflict},
		{404, "NoSuchKey", gone},
		{409, "ConditionalRequestConflict", later},
		{409, "OperationAborted", later},
		{429, "SlowDown", later},
		{429, "TooManyRequests", later},
		{400, "RequestLimitExceeded", later},
		{400, "Throttling", later},
		{404, "NoSuchBucket", never},
		{403, "AccessDenied", never},
		{403, "InvalidAccessKeyId", never},
		{403, "SignatureDoesNotMatch", never},
		{403, "RequestTimeTooSkewed", never},
		{400, "ExpiredToken", never},
		{400, "InvalidToken", never},
		{301, "PermanentRedirect", never},
		{400, "AuthorizationHeaderMalformed", never},
		{400, "BadDigest", never},
		{400, "InvalidArgument", never},
		{400, "InvalidRequest", never},
		{400, "KeyTooLongError", never},
		{400, "EntityTooLarge", never},
		{411, "MissingContentLength", never},
		{405, "MethodNotAllowed", never},
		{400, "KMS.DisabledException", never},

		{400, "RequestTimeout", unknown},
		{400, "IncompleteBody", unknown},
		{400, "AnUnheardOfCode", unknown},
		{403, "", unknown},
		{404, "", unknown},
		{408, "RequestTimeout", unknown},
		{409, "AnUnheardOfCode", unknown},
		{500, "InternalError", unknown},
		{501, "NotImplemented", never},
		{502, "", unknown},
		{503, "SlowDown", unknown},
		{503, "ServiceUnavailable", unknown},
		{503, "AccessDenied", unknown},
		{504, "", unknown},
	}
	_, next := build(t, "")
	for _, test := range tests {
		t.Run(fmt.Sprint(test.status, " ", test.code), func(t *testing.T) {
			server := always(reply{status: test.status, code: test.code})
			_, err := open(t, server).Swap(t.Context(), next.WithToken(`"1"`), link.Fence(next))
			require.Equal(t, test.want, kindOf(err), "%v", err)
			puts := slices.DeleteFunc(server.requests, func(r *http.Request) bool { return r.Method != http.MethodPut })
			require.Len(t, puts, 1, "a swap is one attempt")
		})
	}
}

func TestSwapLosesItsReply(t *testing.T) {
	_, next := build(t, "")
	for name, failure := range map[string]error{
		"cut":     &net.OpError{Op: "read", Err: errors.New("connection reset by peer")},
		"timeout": context.DeadlineExceeded,
		"other":   errors.New("something else"),
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			s := open(t, doFunc(func(*http.Request) (*http.Response, error) { n++; return nil, failure }))
			_, err := s.Swap(t.Context(), head.Head{}, next)
			require.Equal(t, unknown, kindOf(err))
			require.ErrorIs(t, err, failure)
			require.Equal(t, 1, n)
		})
	}
}

type doFunc func(*http.Request) (*http.Response, error)

func (f doFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestSwapThatIsNeverSent(t *testing.T) {
	_, next := build(t, "")
	t.Run("no connection", func(t *testing.T) {
		dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		s := open(t, doFunc(func(*http.Request) (*http.Response, error) { return nil, dial }))
		_, err := s.Swap(t.Context(), head.Head{}, next)
		require.Equal(t, later, kindOf(err))
		requireSetup(t, err, "S3 cannot be reached")
	})
	t.Run("no credentials", func(t *testing.T) {
		server := always(reply{status: http.StatusOK})
		_, err := open(t, server, withoutCredentials).Swap(t.Context(), head.Head{}, next)
		require.Equal(t, never, kindOf(err))
		requireSetup(t, err, "no request could be made to S3")
		require.Empty(t, server.requests)
	})
	t.Run("context ended", func(t *testing.T) {
		server := always(reply{status: http.StatusOK})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := open(t, server).Swap(ctx, head.Head{}, next)
		require.Equal(t, never, kindOf(err))
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, server.requests)
	})
}

// TestSwapEndedOnItsWay: once the swap is sent, its outcome is unknown if the
// context ends.
func TestSwapEndedOnItsWay(t *testing.T) {
	_, next := build(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	s := open(t, doFunc(func(r *http.Request) (*http.Response, error) {
		cancel()
		return nil, r.Context().Err()
	}))
	_, err := s.Swap(ctx, head.Head{}, next)
	require.Equal(t, unknown, kindOf(err))
	require.ErrorIs(t, err, context.Canceled)
}

func TestSwapSendsItsCondition(t *testing.T) {
	_, first := build(t, "")
	server := always(reply{status: http.StatusOK, header: map[string]string{"ETag": `"2"`}})
	s := open(t, server)

	created, err := s.Swap(t.Context(), head.Head{}, first)
	require.NoError(t, err)
	require.Equal(t, first.WithToken(`"2"`), created)
	_, err = s.Swap(t.Context(), created, link.Fence(created))
	require.NoError(t, err)

	require.Equal(t, "*", server.requests[0].Header.Get("If-None-Match"))
	require.Empty(t, server.requests[0].Header.Get("If-Match"))
	require.Equal(t, `"2"`, server.requests[1].Header.Get("If-Match"))
	require.Empty(t, server.requests[1].Header.Get("If-None-Match"))
	require.NotEmpty(t, server.requests[0].Header.Get("X-Amz-Checksum-Sha256"))
	require.Equal(t, "/p/heads/order-1", server.requests[0].URL.Path)
}

// TestSwapWithoutToken: the record is read for its ETag, and for what only it knows.
func TestSwapWithoutToken(t *testing.T) {
	_, first := build(t, "")
	record, err := head.EncodeJSON(first.WithExtra(`{"zone":"north"}`))
	require.NoError(t, err)
	found := reply{status: http.StatusOK, header: map[string]string{"ETag": `"7"`}, body: string(record)}

	server := oneAfterAnother(found, reply{status: http.StatusOK})
	_, err = open(t, server).Swap(t.Context(), first, link.Fence(first))
	require.NoError(t, err)
	require.Equal(t, `"7"`, server.requests[1].Header.Get("If-Match"))
	require.Contains(t, server.bodies[1], `"zone":"north"`)

	server = always(found)
	fenced := link.Fence(first)
	_, err = open(t, server).Swap(t.Context(), fenced, link.Fence(fenced))
	var lost *head.ConflictError
	require.ErrorAs(t, err, &lost)
	require.True(t, lost.Winner.SameRecord(first))
	require.Len(t, server.requests, 1)
}

func TestSwapWithoutTokenThatCannotRead(t *testing.T) {
	_, first := build(t, "")
	for status, want := range map[int]string{403: never, 500: later} {
		synctest.Test(t, func(t *testing.T) { // the SDK waits between its attempts to read
			server := always(reply{status: status, code: "AccessDenied"})
			_, err := open(t, server).Swap(t.Context(), first, link.Fence(first))
			require.Equal(t, want, kindOf(err))
		})
	}
}

func withoutCredentials(o *s3.Options) {
	o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("no credentials were found")
	})
}

func requireSetup(t testing.TB, err error, what string) {
	t.Helper()
	var setup *s3store.SetupError
	require.ErrorAs(t, err, &setup)
	require.Contains(t, setup.What, what)
	require.NotEmpty(t, setup.Hint)
}
