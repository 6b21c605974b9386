package azurestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/azurestore"
	"ropewalk/changeset"
	"ropewalk/head"
)

// Errors distinguish a missing blob from storage that was never set up.
func TestReadErrors(t *testing.T) {
	c, _ := built(t)
	for _, reply := range []struct {
		status int
		code   string
		setup  bool
	}{
		{404, "BlobNotFound", false},
		{404, "ContainerNotFound", true},
		{403, "AuthorizationPermissionMismatch", true},
	} {
		var log bytes.Buffer
		s, wire := cannedStore(t, &log, failing(reply.status, reply.code))
		_, err := s.Get(t.Context(), c.Ref, nil)
		requireReadError(t, &log, err, reply.setup)
		_, err = s.Stat(t.Context(), c.Ref)
		requireReadError(t, &log, err, reply.setup)
		require.Equal(t, []string{"GET", "HEAD"}, wire.take())

		h, err := s.Load(t.Context(), c.AggregateID)
		require.Zero(t, h)
		require.Equal(t, reply.setup, err != nil)
		require.Equal(t, reply.setup, s.Delete(t.Context(), c.Ref) != nil)
	}
}

func requireReadError(t *testing.T, log *bytes.Buffer, err error, setup bool) {
	t.Helper()
	require.Error(t, err)
	requireDiscreet(t, log, err)
	var broken *azurestore.SetupError
	require.Equal(t, setup, errors.As(err, &broken))
	require.Equal(t, setup, !errors.Is(err, changeset.ErrNotFound))
}

// nobody is a credential that gives no token.
type nobody struct{ err error }

func (c nobody) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, c.err
}

func TestWithoutTokenNothingIsSent(t *testing.T) {
	said := &azurestore.SetupError{What: "nobody is logged in", Hint: "log in"}
	for want, cause := range map[string]error{
		"there is no token to sign requests with": &net.OpError{Op: "dial", Err: errors.New("no route to the token's issuer")},
		said.What: fmt.Errorf("credential: %w", said),
	} {
		wire := &canned{answer: succeeding(200)}
		s, err := azurestore.New("https://acme.blob.core.windows.net/", nobody{cause}, &azurestore.Options{Client: cannedClient(wire)})
		require.NoError(t, err)
		c, next := built(t)
		_, swapErr := s.Swap(t.Context(), head.Head{}, next)
		for _, err := range []error{s.Put(t.Context(), c), swapErr} {
			var broken *azurestore.SetupError
			require.ErrorAs(t, err, &broken)
			require.Equal(t, want, broken.What)
			require.ErrorIs(t, err, cause)
		}
		var not *head.NotAppliedError
		require.ErrorAs(t, swapErr, &not)
		require.Empty(t, wire.take())
	}
}

// A wrong clock is named, in both directions, and other refusals are not
// blamed on it.
func TestAWrongClockIsNamed(t *testing.T) {
	c, next := built(t)
	for off, want := range map[time.Duration]string{
		time.Hour:         "this machine's clock is 1h0m0s behind the service's",
		-20 * time.Minute: "this machine's clock is 20m0s ahead of the service's",
		time.Second:       "the credentials are not accepted",
	} {
		s, _ := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
			reply, err := failing(http.StatusForbidden, "AuthenticationFailed")(r)
			return with(reply, "Date", time.Now().Add(off).UTC().Format(http.TimeFormat)), err
		})
		_, swapErr := s.Swap(t.Context(), head.Head{}, next)
		require.Equal(t, refused, fateOf(t, swapErr))
		_, loadErr := s.Load(t.Context(), next.AggregateID)
		for _, err := range []error{swapErr, loadErr, s.Put(t.Context(), c)} {
			var broken *azurestore.SetupError
			require.ErrorAs(t, err, &broken)
			require.Equal(t, want, broken.What)
			require.Contains(t, broken.Hint, "clock")
		}
	}
}

// When the time is up between two attempts, the error says why the last one failed.
func TestTheLastCauseIsReturned(t *testing.T) {
	for want, answer := range map[string]func(r *http.Request) (*http.Response, error){
		"the service is busy":                      failing(http.StatusServiceUnavailable, "ServerBusy"),
		"the reply is not from Azure Blob Storage": failing(http.StatusBadGateway, ""),
		"connection reset": func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: fmt.Errorf("connection reset")}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			s, err := azurestore.New(cannedURL, nil, &azurestore.Options{Client: service.ClientOptions{ClientOptions: policy.ClientOptions{
				Transport: &canned{answer: answer}, Retry: policy.RetryOptions{MaxRetries: 100, RetryDelay: 100 * time.Millisecond},
			}}})
			require.NoError(t, err)
			_, err = s.Load(ctx, "a")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), secret)
		})
	}
}

// Messages to people name commands, never methods.
func TestHintsNameCommands(t *testing.T) {
	w := newWorld(t)
	for _, code := range []string{"ContainerNotFound", "AuthenticationFailed", "AuthorizationFailure", "ContainerBeingDeleted", "LeaseIdMissing", "BlobImmutableDueToPolicy", "ServerBusy"} {
		s, _ := cannedStore(t, io.Discard, failing(http.StatusForbidden, code))
		for _, name := range slices.Sorted(maps.Keys(w.operations())) {
			_, err := w.operations()[name].call(t.Context(), s)
			var broken *azurestore.SetupError
			require.ErrorAs(t, err, &broken, name)
			require.NotContains(t, broken.Hint+err.Error(), "Provision")
		}
	}
	a := &account{public: "blob"}
	s, _ := cannedStore(t, io.Discard, a.answer)
	findings, err := s.Check(t.Context())
	require.NoError(t, err)
	for _, f := range findings {
		require.NotContains(t, f.Hint, "Provision")
	}
}

// A blob in the archive tier is neither missing nor damaged, if Azure says so: the reply
// of another server says nothing.
func TestArchivedBlobs(t *testing.T) {
	c, next := built(t)
	for _, code := range []string{"BlobArchived", "BlobBeingRehydrated"} {
		var log bytes.Buffer
		s, wire := cannedStore(t, &log, failing(http.StatusConflict, code))
		_, get := s.Get(t.Context(), c.Ref, nil)
		_, load := s.Load(t.Context(), c.AggregateID)
		require.Len(t, wire.take(), 2, "repeating does not help")
		for _, err := range []error{get, load} {
			requireReadError(t, &log, err, true)
			require.ErrorIs(t, err, changeset.ErrArchived)
			require.ErrorContains(t, err, "the object is in an archive tier: ")
			_, corrupt := errors.AsType[*changeset.CorruptError](err)
			require.False(t, corrupt)
			setup, _ := errors.AsType[*azurestore.SetupError](err)
			require.Contains(t, setup.Hint, "az storage blob set-tier")
		}
		_, err := s.Swap(t.Context(), head.Head{}, next)
		require.NotEqual(t, conflict, fateOf(t, err))
	}
	s, _ := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
		reply, err := failing(http.StatusConflict, "")(r)
		return with(reply, "x-ms-error-code", "BlobArchived"), err
	})
	_, err := s.Get(t.Context(), c.Ref, nil)
	require.Error(t, err)
	require.NotErrorIs(t, err, changeset.ErrArchived)
}
