package s3store_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/s3store"
	"ropewalk/changeset"
	"ropewalk/internal/awscall"
	"ropewalk/internal/link"
)

// TestPut: one request has it all, also from a client that was built from a
// bare configuration and so computes no checksums of its own.
func TestPut(t *testing.T) {
	c, _ := build(t, "hello")
	server := always(reply{status: http.StatusOK})
	require.NoError(t, open(t, server).Put(t.Context(), c))

	require.Len(t, server.requests, 1)
	r := server.requests[0]
	sum := sha256.Sum256([]byte("hello"))
	require.Equal(t, http.MethodPut, r.Method)
	require.Equal(t, "/p/"+c.ObjectName(), r.URL.Path)
	require.Equal(t, "hello", server.bodies[0])
	require.Equal(t, "*", r.Header.Get("If-None-Match"))
	require.Equal(t, base64.StdEncoding.EncodeToString(sum[:]), r.Header.Get("X-Amz-Checksum-Sha256"))
	require.Equal(t, c.ContentType, r.Header.Get("Content-Type"))
	require.Equal(t, c.ID.String(), r.Header.Get("X-Amz-Meta-Changeset-Id"))
}

// TestPutMeetsItself: a reply is lost, and the SDK's next attempt finds the
// object of the first one.
func TestPutMeetsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := build(t, "hello")
		server := oneAfterAnother(reply{status: 500, code: "InternalError"}, reply{status: 412, code: "PreconditionFailed"})
		require.NoError(t, open(t, server).Put(t.Context(), c))
		require.Len(t, server.requests, 2)
	})
}

func TestPutIsRepeated(t *testing.T) {
	for _, r := range []reply{{status: 409, code: "ConditionalRequestConflict"}, {status: 409, code: "OperationAborted"}, {status: 503, code: "SlowDown"}} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := build(t, "hello")
			server := oneAfterAnother(r, r, r, r, r, r, r, reply{status: http.StatusOK})
			require.NoError(t, open(t, server).Put(t.Context(), c))
			require.Len(t, server.requests, 8)
			require.Equal(t, "hello", server.bodies[7])
		})
	}
}

func TestPutIsNotRepeatedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := build(t, "hello")
		s := open(t, always(reply{status: 409, code: "ConditionalRequestConflict"}))
		begin := time.Now()
		require.ErrorContains(t, s.Put(t.Context(), c), "ConditionalRequestConflict")
		require.LessOrEqual(t, time.Since(begin), awscall.MaxRetryTime)

		ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, errors.New("some cause"))
		defer cancel()
		begin = time.Now()
		require.ErrorIs(t, s.Put(ctx, c), context.DeadlineExceeded)
		require.LessOrEqual(t, time.Since(begin), 3*time.Second)
	})
}

func TestGet(t *testing.T) {
	c, _ := build(t, "hello")
	server := always(stored(t, c))
	got, err := open(t, server).Get(t.Context(), c.Ref, nil)
	require.NoError(t, err)
	require.Equal(t, c, got)
	require.Len(t, server.requests, 1)
	require.Equal(t, "ENABLED", server.requests[0].Header.Get("X-Amz-Checksum-Mode"))
}

// TestGetVerifiesTheChecksum that S3 sends along, and asks again. Content
// that is damaged in the storage is for the caller to find.
func TestGetVerifiesTheChecksum(t *testing.T) {
	c, _ := build(t, "hello")
	whole := stored(t, c)
	whole.header["X-Amz-Checksum-Sha256"] = base64.StdEncoding.EncodeToString(c.BodySHA256[:])
	damaged := whole
	damaged.body = "hollo"

	server := oneAfterAnother(damaged, whole)
	got, err := open(t, server).Get(t.Context(), c.Ref, nil)
	require.NoError(t, err)
	require.Equal(t, c, got)
	require.Len(t, server.requests, 2)

	got, err = open(t, always(damaged)).Get(t.Context(), c.Ref, nil)
	require.NoError(t, err)
	require.Equal(t, "hollo", string(got.Body))
	require.Error(t, got.VerifyBody())
}

// body is a response's body that records how it was used.
type body struct {
	io.Reader
	read, closed bool
}

func (b *body) Read(p []byte) (int, error) { b.read = true; return b.Reader.Read(p) }
func (b *body) Close() error               { b.closed = true; return nil }

// serve answers with the reply, but with one body after another.
func serve(t testing.TB, r reply, bodies ...*body) *s3store.Store {
	return open(t, doFunc(func(request *http.Request) (*http.Response, error) {
		response, err := always(r).Do(request)
		response.Body, bodies = bodies[0], bodies[1:]
		return response, err
	}))
}

func TestGetAsksForAdmission(t *testing.T) {
	c, _ := build(t, "hello")
	refused := errors.New("refused")
	b := &body{Reader: strings.NewReader("hello")}
	_, err := serve(t, stored(t, c), b).Get(t.Context(), c.Ref, func(h changeset.Header) error {
		require.Equal(t, c.Header, h)
		return refused
	})
	require.Equal(t, refused, err)
	require.False(t, b.read)
	require.True(t, b.closed)
}

func TestGetLosesItsConnection(t *testing.T) {
	c, _ := build(t, "hello")
	cut := &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
	broken := func() *body {
		return &body{Reader: io.MultiReader(strings.NewReader("hel"), failingReader{cut})}
	}
	b := []*body{broken(), broken(), {Reader: strings.NewReader("hello")}}
	admitted := 0
	got, err := serve(t, stored(t, c), b...).Get(t.Context(), c.Ref, func(changeset.Header) error { admitted++; return nil })
	require.NoError(t, err)
	require.Equal(t, c, got)
	require.Equal(t, 1, admitted)

	b = []*body{broken(), broken(), broken()}
	_, err = serve(t, stored(t, c), b...).Get(t.Context(), c.Ref, nil)
	require.ErrorIs(t, err, cut)
	for _, b := range b {
		require.True(t, b.closed)
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

func TestReadsOfWhatIsNotThere(t *testing.T) {
	c, _ := build(t, "")
	s := open(t, &canned{reply: func(_ int, r *http.Request) reply {
		if r.Method == http.MethodHead {
			return reply{status: http.StatusNotFound}
		}
		return reply{status: http.StatusNotFound, code: "NoSuchKey"}
	}})
	_, err := s.Get(t.Context(), c.Ref, nil)
	require.ErrorIs(t, err, changeset.ErrNotFound)
	_, err = s.Stat(t.Context(), c.Ref)
	require.ErrorIs(t, err, changeset.ErrNotFound)
	h, err := s.Load(t.Context(), c.AggregateID)
	require.NoError(t, err)
	require.Zero(t, h)
	require.NoError(t, s.Delete(t.Context(), c.Ref))
}

// TestStatAsksAgain: the answer to HEAD was not found, which does not say what
// is missing, and the answer to GET decides.
func TestStatAsksAgain(t *testing.T) {
	c, _ := build(t, "hello")
	server := oneAfterAnother(reply{status: http.StatusNotFound}, stored(t, c))
	info, err := open(t, server).Stat(t.Context(), c.Ref)
	require.NoError(t, err)
	require.Equal(t, c.Header, info.Header)
	require.Equal(t, time.Unix(2, 0).UTC(), info.LastModified)
}

func TestEndedContextSendsNothing(t *testing.T) {
	c, next := build(t, "")
	server := always(reply{status: http.StatusOK})
	s := open(t, server)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("some cause"))
	calls := map[string]func() error{
		"Put":    func() error { return s.Put(ctx, c) },
		"Get":    func() error { _, err := s.Get(ctx, c.Ref, nil); return err },
		"Stat":   func() error { _, err := s.Stat(ctx, c.Ref); return err },
		"Delete": func() error { return s.Delete(ctx, c.Ref) },
		"Load":   func() error { _, err := s.Load(ctx, "order-1"); return err },
		"Swap":   func() error { _, err := s.Swap(ctx, next, link.Fence(next)); return err },
		"Check":  func() error { _, err := s.Check(ctx); return err },
	}
	for name, call := range calls {
		require.ErrorIs(t, call(), context.Canceled, name)
	}
	require.Empty(t, server.requests)
}

// TestTheLastCauseIsKept: the time is up while the SDK waits for its next
// attempt.
func TestTheLastCauseIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		slow := retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return time.Minute, nil })
		})
		s := open(t, always(reply{status: 500, code: "InternalError"}), func(o *s3.Options) { o.Retryer = slow })
		_, err := s.Load(ctx, "order-1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "InternalError")
	})
}
