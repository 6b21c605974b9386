//go:build integration

package integration_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/azurestore"
	"ropewalk/changeset"
	"ropewalk/head"
)

func TestAzureProvisionMayRace(t *testing.T) {
	a := newAzure(t)
	errs := make([]error, 12)
	var racers sync.WaitGroup
	for i := range errs {
		racers.Go(func() { errs[i] = a.store(t, nil).Provision(t.Context()) })
	}
	racers.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.NoError(t, a.store(t, nil).Provision(t.Context()))
	requireFindings(t, a, true)
}

// requireFindings checks the setup, and that the check leaves no traces.
func requireFindings(t *testing.T, a *azureAccount, fine bool) (texts string) {
	t.Helper()
	findings, err := a.store(t, nil).Check(t.Context())
	require.NoError(t, err)
	all := true
	for _, f := range findings {
		all = all && f.OK
		texts += f.String() + "\n"
	}
	require.Equal(t, fine, all, texts)
	return texts
}

func TestAzureCheckNamesWhatIsMissing(t *testing.T) {
	a := newAzure(t)
	require.Contains(t, requireFindings(t, a, false), "container "+a.options.HeadsContainer+": missing")
	require.NoError(t, a.store(t, nil).Provision(t.Context()))
	require.Contains(t, requireFindings(t, a, true), "container "+a.options.ChangesetsContainer+" honours conditional writes")
	require.Empty(t, a.names(t, a.options.HeadsContainer))
	require.Empty(t, a.names(t, a.options.ChangesetsContainer))
}

func TestAzureProvisionEndsPublicAccess(t *testing.T) {
	a := newAzure(t)
	c := a.client(t, nil).NewContainerClient(a.options.HeadsContainer)
	open := container.PublicAccessTypeContainer
	_, err := c.Create(t.Context(), &container.CreateOptions{Access: &open})
	require.NoError(t, err)
	id, may, until := "partner", "r", time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	_, err = c.SetAccessPolicy(t.Context(), &container.SetAccessPolicyOptions{
		Access: &open, ContainerACL: []*container.SignedIdentifier{{ID: &id, AccessPolicy: &container.AccessPolicy{Permission: &may, Start: &until, Expiry: &until}}},
	})
	require.NoError(t, err)
	require.Contains(t, requireFindings(t, a, false), "anybody may read it")

	require.NoError(t, a.store(t, nil).Provision(t.Context()))

	requireFindings(t, a, true)
	policies, err := c.GetAccessPolicy(t.Context(), nil)
	require.NoError(t, err)
	require.Nil(t, policies.BlobPublicAccess)
	require.Len(t, policies.SignedIdentifiers, 1, "stored access policies stay")
	require.Equal(t, until, policies.SignedIdentifiers[0].AccessPolicy.Expiry.UTC())
}

// Every call returns a SetupError, with a hint, if only a change of the setup
// ends the error.
func TestAzureBadSetUps(t *testing.T) {
	absent := newAzure(t)
	wrongKey := &azureAccount{connection: withKey(absent.connection, "AAAA"), options: absent.options}
	t.Run("no container", func(t *testing.T) {
		requireSetUpErrors(t, absent.store(t, nil), "the container does not exist")
	})
	t.Run("wrong key", func(t *testing.T) { // Azurite and Azure have different codes for it
		requireSetUpErrors(t, wrongKey.store(t, nil), "access is denied", "the credentials are not accepted")
	})
}

// withKey replaces the first characters of the account's key.
func withKey(connection, key string) string {
	before, after, _ := strings.Cut(connection, "AccountKey=")
	return before + "AccountKey=" + key + after[len(key):]
}

func requireSetUpErrors(t *testing.T, s *azurestore.Store, want ...string) {
	ctx := t.Context()
	cs, next := azureExtend(t, head.Head{}, "order-1", "x")
	_, getErr := s.Get(ctx, cs[0].Ref, nil)
	_, statErr := s.Stat(ctx, cs[0].Ref)
	_, loadErr := s.Load(ctx, "order-1")
	_, swapErr := s.Swap(ctx, head.Head{}, next)
	_, listErr := ropewalk.Collect(s.List(ctx, ""))
	_, objectsErr := ropewalk.Collect(s.Objects(ctx, "order-1"))
	_, aggregatesErr := ropewalk.Collect(s.Aggregates(ctx, ""))
	for call, err := range map[string]error{
		"put": s.Put(ctx, cs[0]), "get": getErr, "stat": statErr, "load": loadErr, "swap": swapErr,
		"list": listErr, "objects": objectsErr, "aggregates": aggregatesErr, "delete": s.Delete(ctx, cs[0].Ref),
	} {
		var broken *azurestore.SetupError
		require.ErrorAs(t, err, &broken, call)
		require.Contains(t, want, broken.What, call)
		require.NotEmpty(t, broken.Hint, call)
		require.NotErrorIs(t, err, changeset.ErrNotFound, call)
	}
	var refused *head.NotAppliedError
	require.ErrorAs(t, swapErr, &refused)
}

// No server listens, or there is no such host.
func TestAzureUnreachable(t *testing.T) {
	for url, want := range map[string]string{
		"http://127.0.0.1:1/acme":                 "the account cannot be reached",
		"http://no-such-account.invalid/whatever": "there is no such host",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		s, err := azurestore.New(url, nil, &azurestore.Options{Client: service.ClientOptions{
			ClientOptions: policy.ClientOptions{Retry: policy.RetryOptions{MaxRetries: 1, RetryDelay: time.Millisecond}},
		}})
		require.NoError(t, err)
		_, next := azureExtend(t, head.Head{}, "order-1", "x")
		_, err = s.Swap(ctx, head.Head{}, next)
		var refused *head.NotAppliedError
		require.ErrorAs(t, err, &refused, "what was never sent is not applied")
		_, loadErr := s.Load(ctx, "order-1")
		_, checkErr := s.Check(ctx)
		for _, err := range []error{err, loadErr, checkErr, s.Provision(ctx)} {
			var broken *azurestore.SetupError
			require.ErrorAs(t, err, &broken)
			require.Equal(t, want, broken.What)
		}
	}
}
