//go:build integration

package integration_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// azureLosses are the ways in which the reply to a request that took effect
// does not arrive.
var azureLosses = map[string]func(r *http.Request) (*http.Response, error){
	"connection closed": func(r *http.Request) (*http.Response, error) { return nil, azureLost(r, io.EOF) },
	"connection reset": func(r *http.Request) (*http.Response, error) {
		return nil, azureLost(r, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET})
	},
	"timeout": func(r *http.Request) (*http.Response, error) {
		return nil, azureLost(r, &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded})
	},
	"500": func(r *http.Request) (*http.Response, error) { return azureFailure(r, 500, "InternalError"), nil },
	"503": func(r *http.Request) (*http.Response, error) { return azureFailure(r, 503, "ServerBusy"), nil },
}

func azureLost(r *http.Request, err error) error {
	return &url.Error{Op: r.Method, URL: r.URL.String(), Err: err}
}

func azureFailure(r *http.Request, status int, code string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Request: r,
		Header: http.Header{"X-Ms-Request-Id": {"1"}, "X-Ms-Error-Code": {code}}, Body: http.NoBody,
	}
}

// azureLosing returns a way to the service that loses the first n replies.
func azureLosing(n int, lose func(r *http.Request) (*http.Response, error)) *azureWire {
	return &azureWire{reply: func(i int, r *http.Request, reply *http.Response) (*http.Response, error) {
		if i > n {
			return reply, nil
		}
		_, _ = io.Copy(io.Discard, reply.Body)
		_ = reply.Body.Close()
		return lose(r)
	}}
}

// If this fails, the client's retries may be turned on for swaps. It shows what
// they would do: report a conflict with their own first attempt.
func TestAzureDefaultRetriesLie(t *testing.T) {
	a := provisionedAzure(t)
	for name, lose := range azureLosses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, next := azureExtend(t, head.Head{}, "lie-"+changeset.NewID().String(), "x")
			record, err := head.EncodeJSON(next)
			require.NoError(t, err)
			wire := azureLosing(1, lose)
			b := a.client(t, wire.options()).NewContainerClient(a.options.HeadsContainer).NewBlockBlobClient(a.options.Prefix + head.ObjectName(next.AggregateID))

			_, err = b.Upload(t.Context(), streaming.NopCloser(bytes.NewReader(record)), &blockblob.UploadOptions{AccessConditions: azureCreateOnly()})

			require.True(t, bloberror.HasCode(err, bloberror.BlobAlreadyExists), "%v", err)
			require.Equal(t, []string{"PUT", "PUT"}, wire.take())
			require.Equal(t, record, azureDownload(t, a.headBlob(t, next.AggregateID)), "the conflict is with itself")
		})
	}
}

func TestAzureSwapWithLostReplyIsUnknown(t *testing.T) {
	a := provisionedAzure(t)
	for name, lose := range azureLosses {
		t.Run(name, func(t *testing.T) {
			wire := azureLosing(1000, lose)
			honest, blind := a.store(t, nil), a.store(t, wire.options())
			_, created := azureExtend(t, head.Head{}, "lost-"+changeset.NewID().String(), "x")
			requireAzureUnknown(t, blind, wire, head.Head{}, created)
			stored := requireAzureHead(t, honest, created)
			requireAzureUnknown(t, blind, wire, stored, link.Fence(stored))
			requireAzureHead(t, honest, link.Fence(stored))
		})
	}
}

func requireAzureUnknown(t *testing.T, s head.Store, wire *azureWire, old, next head.Head) {
	t.Helper()
	_, err := s.Swap(t.Context(), old, next)
	requireAzureOutcomeUnknown(t, err)
	require.Equal(t, []string{"PUT"}, wire.take(), "one attempt")
}

func requireAzureOutcomeUnknown(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	var conflict *head.ConflictError
	var refused *head.NotAppliedError
	require.False(t, errors.As(err, &conflict) || errors.As(err, &refused), "%v", err)
}

func requireAzureHead(t *testing.T, s head.Store, want head.Head) head.Head {
	t.Helper()
	stored, err := s.Load(t.Context(), want.AggregateID)
	require.NoError(t, err)
	require.Equal(t, want.WithToken(""), stored.WithToken(""))
	return stored
}

// A swap that hangs until its context ends is unknown as well.
func TestAzureSwapThatHangs(t *testing.T) {
	a := provisionedAzure(t)
	ctx, cancel := context.WithCancel(t.Context())
	wire := azureLosing(1, func(r *http.Request) (*http.Response, error) {
		time.AfterFunc(10*time.Millisecond, cancel)
		<-r.Context().Done()
		return nil, azureLost(r, r.Context().Err())
	})
	_, next := azureExtend(t, head.Head{}, "hang", "x")
	_, err := a.store(t, wire.options()).Swap(ctx, head.Head{}, next)
	require.ErrorIs(t, err, context.Canceled)
	requireAzureOutcomeUnknown(t, err)
	requireAzureHead(t, a.store(t, nil), next)
}

// The client's own retries stay on for puts, and what they meet is ours.
func TestAzurePutSurvivesLostReplies(t *testing.T) {
	a := provisionedAzure(t)
	for name, lose := range azureLosses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cs, _ := azureExtend(t, head.Head{}, "put-"+changeset.NewID().String(), "x")
			wire := azureLosing(1, lose)
			require.NoError(t, a.store(t, wire.options()).Put(t.Context(), cs[0]))
			require.Equal(t, []string{"PUT", "PUT", "HEAD"}, wire.take())
			got, err := a.store(t, nil).Get(t.Context(), cs[0].Ref, nil)
			require.NoError(t, err)
			require.Equal(t, cs[0], got)
		})
	}
}

// A body that breaks off is requested again, and is whole.
func TestAzureGetRepeatsBrokenDownload(t *testing.T) {
	a := provisionedAzure(t)
	content := strings.Repeat("0123456789", 100_000)
	cs, _ := azureExtend(t, head.Head{}, "broken", content)
	require.NoError(t, a.store(t, nil).Put(t.Context(), cs[0]))
	wire := &azureWire{reply: func(n int, _ *http.Request, reply *http.Response) (*http.Response, error) {
		if n <= 2 {
			reply.Body = azureBreaking{reply.Body, io.LimitReader(reply.Body, 333_333)}
		}
		return reply, nil
	}}
	got, err := a.store(t, wire.options()).Get(t.Context(), cs[0].Ref, nil)
	require.NoError(t, err)
	require.True(t, bytes.Equal([]byte(content), got.Body))
	require.Equal(t, slices.Repeat([]string{"GET"}, 3), wire.take())
}

// azureBreaking is a body whose connection breaks after its first part.
type azureBreaking struct {
	io.Closer
	part io.Reader
}

func (b azureBreaking) Read(p []byte) (int, error) {
	n, err := b.part.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// A body damaged on the way is refused: the service has the checksum.
func TestAzureRefusesCorruptedBodies(t *testing.T) {
	a := provisionedAzure(t)
	s := a.store(t, (&azureWire{damage: true}).options())
	cs, next := azureExtend(t, head.Head{}, "damaged", "content")
	err := s.Put(t.Context(), cs[0])
	require.True(t, bloberror.HasCode(err, bloberror.CRC64Mismatch), "%v", err)
	_, err = s.Swap(t.Context(), head.Head{}, next)
	require.True(t, bloberror.HasCode(err, bloberror.CRC64Mismatch), "%v", err)
	var refused *head.NotAppliedError
	require.ErrorAs(t, err, &refused)
	_, err = a.store(t, nil).Stat(t.Context(), cs[0].Ref)
	require.ErrorIs(t, err, changeset.ErrNotFound)
}
