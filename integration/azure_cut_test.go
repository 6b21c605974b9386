//go:build integration

package integration_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// azureCuts are what can happen on the wire to a reply that the service sends.
var azureCuts = map[string]string{
	"no byte of it arrives":       `{"type":"limit_data","stream":"downstream","attributes":{"bytes":0}}`,
	"it breaks within its header": `{"type":"limit_data","stream":"downstream","attributes":{"bytes":60}}`,
	"it never arrives":            `{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`,
}

// proxied returns the same account through a proxy, and a function that closes
// the proxy's way back.
func (a *azureAccount) proxied(t *testing.T, toxic string) (behind *azureAccount, poison func()) {
	t.Helper()
	before, rest, ok := strings.Cut(a.connection, "BlobEndpoint=http://")
	address, after, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		t.Skip("connections can only be cut to an endpoint that speaks plain HTTP, as Azurite's does")
	}
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "azure", "127.0.0.1:0", address)
	require.NoError(t, proxy.Start())
	t.Cleanup(proxy.Stop)
	poison = func() {
		_, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic))
		require.NoError(t, err)
	}
	return &azureAccount{before + "BlobEndpoint=http://" + proxy.Listen + "/" + after, a.options}, poison
}

// azureFreshConnections returns a way to the service without connections that
// earlier requests have left.
func azureFreshConnections(t *testing.T) *http.Client {
	way := &http.Transport{}
	t.Cleanup(way.CloseIdleConnections)
	return &http.Client{Transport: way}
}

// The connection breaks, for real, after the service has acted.
func TestAzureSwapOverCutConnectionIsUnknown(t *testing.T) {
	t.Parallel()
	a := provisionedAzure(t)
	for name, toxic := range azureCuts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behind, poison := a.proxied(t, toxic)
			poison()
			ctx, cancel := context.WithTimeout(t.Context(), cutPatience)
			defer cancel()
			s := behind.store(t, &policy.ClientOptions{Transport: azureFreshConnections(t)})
			_, next := azureExtend(t, head.Head{}, "cut-"+changeset.NewID().String(), "x")
			_, err := s.Swap(ctx, head.Head{}, next)
			requireAzureOutcomeUnknown(t, err)
			requireActed(t, a.store(t, nil), next.AggregateID, next.SameRecord)
		})
	}
}

// An append that meets a cut connection says that it is uncertain, and what
// settles it later finds it committed.
func TestAzureAppendOverCutConnectionIsSettled(t *testing.T) {
	a := provisionedAzure(t)
	for name, toxic := range azureCuts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behind, poison := a.proxied(t, toxic)
			s := behind.store(t, &policy.ClientOptions{Transport: azureFreshConnections(t), Retry: policy.RetryOptions{MaxRetries: -1}})
			direct := a.store(t, nil)
			requireSettledAfterACut(t, direct, direct, s, poison)
		})
	}
}
