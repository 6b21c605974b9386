package azurestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/azurestore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

func TestNewRefusesBadSettings(t *testing.T) {
	for _, bad := range []string{"", "acme", "ftp://acme/", "https:///x?sig=" + secret, "https://a\n?sig=" + secret} {
		_, err := azurestore.New(bad, nil, nil)
		require.Error(t, err)
		require.NotContains(t, err.Error(), secret)
	}
	for _, bad := range []string{"", "AccountName=acme", "AccountName=acme;AccountKey=" + secret + "!"} {
		_, err := azurestore.NewFromConnectionString(bad, nil)
		var broken *azurestore.SetupError
		require.ErrorAs(t, err, &broken)
		require.NotContains(t, err.Error(), secret)
	}
	for _, prefix := range []string{"a", "/", "a//", "a/./", "../", "a./", "a\\b/", "a\n/", "\xff/", strings.Repeat("a", azurestore.MaxPrefix) + "/"} {
		_, err := azurestore.New(cannedURL, nil, &azurestore.Options{Prefix: prefix})
		require.Error(t, err, "%q", prefix)
	}
	for _, prefix := range []string{"", "a/", ".a/b c/é%/", strings.Repeat("a", azurestore.MaxPrefix-1) + "/"} {
		_, err := azurestore.New(cannedURL, nil, &azurestore.Options{Prefix: prefix})
		require.NoError(t, err, "%q", prefix)
	}
	_, err := azurestore.New(cannedURL, nil, nil)
	require.NoError(t, err)
}

func TestLocateTellsTheURLWithoutCredentials(t *testing.T) {
	s, err := azurestore.New(cannedURL, nil, &azurestore.Options{Prefix: "team a/"})
	require.NoError(t, err)
	c, next := built(t)
	require.Equal(t, "https://acme.blob.core.windows.net/changesets/team%20a/"+c.ObjectName(), s.Locate(c.Ref))
	require.Equal(t, "https://acme.blob.core.windows.net/aggregates/team%20a/heads/"+next.AggregateID, s.LocateHead(next.AggregateID))
	require.Equal(t, "https://acme.blob.core.windows.net/aggregates/team%20a/heads/a%252Fb", s.LocateHead("a/b"))
}

// TestLongestName: the longest prefix and name fit the 1,024 characters of a blob's name.
func TestLongestName(t *testing.T) {
	s, err := azurestore.New(cannedURL, nil, &azurestore.Options{Prefix: strings.Repeat("x", azurestore.MaxPrefix-1) + "/"})
	require.NoError(t, err)
	c, _ := built(t)
	c.AggregateID, c.Count = strings.Repeat("x", 128), 1 // the names of packs are longer
	require.Len(t, strings.TrimPrefix(s.Locate(c.Ref), "https://acme.blob.core.windows.net/changesets/"), 1024)
}

func TestPutIsOneConditionalRequest(t *testing.T) {
	s, wire := cannedStore(t, io.Discard, succeeding(http.StatusCreated))
	c, _ := built(t)
	require.NoError(t, s.Put(t.Context(), c))
	r := wire.sent[0]
	require.Equal(t, []string{http.MethodPut}, wire.take())
	require.Equal(t, "*", header(r, "If-None-Match"))
	require.NotEmpty(t, header(r, "x-ms-content-crc64"))
	require.Equal(t, c.ContentType, header(r, "x-ms-blob-content-type"))
	metadata, err := changeset.Encode(c.Header, changeset.Joined)
	require.NoError(t, err)
	for key, value := range metadata {
		require.Equal(t, value, header(r, "x-ms-meta-"+key))
	}
}

// If the service says that the blob exists, a put makes sure that it can be read.
func TestPutThatMeetsItsOwnAttempt(t *testing.T) {
	for _, c := range []struct {
		status  int
		code    string
		there   int
		stored  bool
		methods []string
	}{
		{409, "BlobAlreadyExists", 200, true, []string{"PUT", "HEAD"}},
		{412, "ConditionNotMet", 200, true, []string{"PUT", "HEAD"}},
		{403, "UnauthorizedBlobOverwrite", 200, true, []string{"PUT", "HEAD"}},
		{409, "BlobAlreadyExists", 404, false, []string{"PUT", "HEAD"}},
		{403, "AuthorizationFailure", 200, false, []string{"PUT"}},
		{409, "BlobImmutableDueToPolicy", 200, false, []string{"PUT"}},
		{400, "Crc64Mismatch", 200, false, []string{"PUT"}},
		{503, "ServerBusy", 200, false, []string{"PUT", "PUT", "PUT", "PUT"}},
	} {
		t.Run(fmt.Sprintf("%d %s, then %d", c.status, c.code, c.there), func(t *testing.T) {
			var log bytes.Buffer
			s, wire := cannedStore(t, &log, func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodPut {
					return failing(c.status, c.code)(r)
				}
				return failing(c.there, "BlobNotFound")(r)
			})
			built, _ := built(t)
			err := s.Put(t.Context(), built)
			require.Equal(t, c.methods, wire.take())
			if c.stored {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			requireDiscreet(t, &log, err)
		})
	}
}

func TestPutKeepsTheClientsRetries(t *testing.T) {
	attempts := 0
	s, wire := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
		consume(r)
		switch attempts++; attempts {
		case 1:
			return nil, io.ErrUnexpectedEOF
		case 2:
			return respond(r, http.StatusInternalServerError, ""), nil
		case 3:
			return failing(http.StatusConflict, "BlobAlreadyExists")(r)
		}
		return respond(r, http.StatusOK, ""), nil
	})
	c, _ := built(t)
	require.NoError(t, s.Put(t.Context(), c))
	require.Equal(t, []string{"PUT", "PUT", "PUT", "HEAD"}, wire.take())
}

// stored answers as the service does for a changeset's blob, and breaks the
// connection after so many bytes; never where negative.
func stored(r *http.Request, c changeset.Changeset, breakAfter int) *http.Response {
	metadata, _ := changeset.Encode(c.Header, changeset.Joined)
	reply := respond(r, http.StatusOK, string(c.Body))
	for key, value := range metadata {
		reply.Header.Set("x-ms-meta-"+key, value) // canonical, and thus in another case
	}
	reply.Header.Set("Content-Type", c.ContentType)
	reply.Header.Set("Content-Length", fmt.Sprint(len(c.Body)))
	reply.Header.Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	reply.Header.Set("ETag", `"0x1"`)
	if breakAfter >= 0 {
		reply.Body = io.NopCloser(io.MultiReader(io.LimitReader(reply.Body, int64(breakAfter)), brokenConnection{}))
	}
	return reply
}

type brokenConnection struct{}

func (brokenConnection) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A body that breaks off is read again, of a changeset and of a head, and its
// content is admitted once.
func TestReadsRepeatBrokenBodies(t *testing.T) {
	c, next := built(t)
	record, err := head.EncodeJSON(next)
	require.NoError(t, err)
	for breaks := range 4 {
		attempts := 0
		s, wire := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
			breakAfter := -1
			if attempts++; attempts <= breaks {
				breakAfter = attempts
			}
			reply := stored(r, c, breakAfter)
			if strings.Contains(r.URL.Path, "/heads/") {
				of := c
				of.Body = record
				reply = stored(r, of, breakAfter)
			}
			return reply, nil
		})
		admitted := 0
		got, getErr := s.Get(t.Context(), c.Ref, func(changeset.Header) error { admitted++; return nil })
		require.Len(t, wire.take(), min(breaks+1, 3))
		require.Equal(t, 1, admitted)
		attempts = 0
		h, loadErr := s.Load(t.Context(), next.AggregateID)
		require.Len(t, wire.take(), min(breaks+1, 3))
		if breaks < 3 {
			require.NoError(t, getErr)
			require.NoError(t, loadErr)
			require.Equal(t, c, got)
			require.Equal(t, next.WithToken(`"0x1"`), h)
			continue
		}
		for _, err := range []error{getErr, loadErr} {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.ErrorContains(t, err, "acme.blob.core.windows.net/")
		}
		require.Zero(t, got)
		require.Zero(t, h)
	}
}

// refusedBody must not be read, and must be closed.
type refusedBody struct {
	t      *testing.T
	closed bool
}

func (b *refusedBody) Read([]byte) (int, error) {
	b.t.Error("the content was read")
	return 0, io.EOF
}

func (b *refusedBody) Close() error {
	b.closed = true
	return nil
}

func TestGetThatIsNotAdmittedReadsNoContent(t *testing.T) {
	c, _ := built(t)
	body := &refusedBody{t: t}
	s, wire := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
		reply := stored(r, c, -1)
		reply.Body = body
		return reply, nil
	})
	later := errors.New("later")
	_, err := s.Get(t.Context(), c.Ref, func(h changeset.Header) error {
		require.Equal(t, c.Header, h)
		return later
	})
	require.Equal(t, later, err)
	require.True(t, body.closed)
	require.Equal(t, []string{"GET"}, wire.take())
}

func TestEndedContextSendsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, wire := cannedStore(t, io.Discard, succeeding(200))
	c, next := built(t)
	require.ErrorIs(t, s.Put(ctx, c), context.Canceled)
	require.ErrorIs(t, s.Delete(ctx, c.Ref), context.Canceled)
	require.ErrorIs(t, s.Provision(ctx), context.Canceled)
	for _, old := range []head.Head{{}, next, next.WithToken(`"0x1"`)} {
		_, err := s.Swap(ctx, old, link.Fence(next))
		if old.Exists() {
			require.ErrorIs(t, err, context.Canceled)
		}
		require.Equal(t, refused, fateOf(t, err))
	}
	_, err := s.Check(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, wire.take())
}
