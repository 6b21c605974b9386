package azurestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/azurestore"
	"ropewalk/changeset"
	"ropewalk/head"
)

// What is missing is told apart from what was never set up.
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
		_, err := s.Get(t.Context(), c.Ref)
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
		var not *head.NotApplied
		require.ErrorAs(t, swapErr, &not)
		require.Empty(t, wire.take())
	}
}
