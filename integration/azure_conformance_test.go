//go:build integration

package integration_test

import (
	"bytes"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/backendtest"
	"ropewalk/changeset"
	"ropewalk/head"
)

func TestAzureConformance(t *testing.T) {
	t.Parallel()
	t.Run("two containers", func(t *testing.T) {
		t.Parallel()
		azureConforms(t, provisionedAzure(t), nil)
	})
	t.Run("one container, no prefix, pages of three", func(t *testing.T) {
		t.Parallel()
		a := newAzure(t)
		a.options.HeadsContainer, a.options.Prefix = a.options.ChangesetsContainer, ""
		require.NoError(t, a.store(t, nil).Provision(t.Context()))
		azureConforms(t, a, &policy.ClientOptions{PerCallPolicies: []policy.Policy{azureSmallPages{}}})
	})
}

func azureConforms(t *testing.T, a *azureAccount, options *policy.ClientOptions) {
	h := backendtest.Harness{
		Changesets:         func(t testing.TB) changeset.Store { return a.store(t, options) },
		Heads:              func(t testing.TB) head.Store { return a.store(t, options) },
		InjectUnknownField: a.injectUnknownField,
		CorruptHead:        a.corruptHead,
		CorruptObject:      a.corruptObject,
		PutForeign: func(t testing.TB, name string) {
			azureUpload(t, a.client(t, nil).NewContainerClient(a.options.ChangesetsContainer).NewBlockBlobClient(a.options.Prefix+name), []byte("foreign"))
		},
	}
	t.Run("changesets", func(t *testing.T) { backendtest.TestChangesets(t, h) })
	t.Run("heads", func(t *testing.T) { backendtest.TestHeads(t, h) })
}

func (a *azureAccount) injectUnknownField(t testing.TB, aggregateID string) {
	b := a.headBlob(t, aggregateID)
	record := azureDownload(t, b)
	azureUpload(t, b, append(bytes.TrimSuffix(record, []byte("}")), `,"zeta":{"b":[1,2]}}`...))
}

func (a *azureAccount) corruptHead(t testing.TB, aggregateID string) (repair func()) {
	b := a.headBlob(t, aggregateID)
	record := azureDownload(t, b)
	azureUpload(t, b, record[:len(record)-1])
	return func() { azureUpload(t, b, record) }
}

func (a *azureAccount) corruptObject(t testing.TB, ref changeset.Ref) {
	b := a.changesetBlob(t, ref)
	found, err := b.GetProperties(t.Context(), nil)
	require.NoError(t, err)
	version := "7"
	found.Metadata["Aggregateversion"] = &version
	_, err = b.SetMetadata(t.Context(), found.Metadata, nil)
	require.NoError(t, err)
}
