//go:build integration

package integration_test

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// The chain is no secret of this library: a reader with only the Azure SDK gets
// the newest changeset's ID from the aggregate's blob and follows the parents.
func TestAzureIndependentReader(t *testing.T) {
	a := provisionedAzure(t)
	s := a.store(t, nil)
	var want []string
	var h head.Head
	for _, batch := range [][]string{{"created"}, {"renamed", "moved", ""}, {strings.Repeat("large ", 100_000)}, {"closed"}} {
		cs, next := azureExtend(t, h, "order 1/é", batch...)
		for _, c := range cs {
			require.NoError(t, s.Put(t.Context(), c))
		}
		var err error
		h, err = s.Swap(t.Context(), h, next)
		require.NoError(t, err)
		want = append(want, batch...)
	}
	orphan, _ := azureExtend(t, h, "order 1/é", "never committed")
	require.NoError(t, s.Put(t.Context(), orphan[0]))

	got := a.walk(t, "order%201%2F%C3%A9")
	slices.Reverse(got)
	require.Equal(t, want, got)
}

// walk reads the contents of a chain, newest first, and uses nothing but the SDK.
func (a *azureAccount) walk(t *testing.T, aggregate string) (contents []string) {
	aggregates := a.client(t, nil).NewContainerClient(a.options.HeadsContainer)
	changesets := a.client(t, nil).NewContainerClient(a.options.ChangesetsContainer)
	found, err := aggregates.NewBlobClient(a.options.Prefix+"heads/"+aggregate).DownloadStream(t.Context(), nil)
	require.NoError(t, err)
	defer found.Body.Close()
	var record map[string]any
	require.NoError(t, json.NewDecoder(found.Body).Decode(&record))
	for id, version := record["changeset-id"].(string), int(record["aggregate-version"].(float64)); id != ""; version-- {
		name := fmt.Sprintf("%schangesets/%s/%020d-%s", a.options.Prefix, aggregate, version, id)
		c, err := changesets.NewBlobClient(name).DownloadStream(t.Context(), nil)
		require.NoError(t, err)
		content, err := io.ReadAll(c.Body)
		require.NoError(t, err)
		require.NoError(t, c.Body.Close())
		contents = append(contents, string(content))
		id = ""
		for key, value := range c.Metadata {
			if strings.EqualFold(key, "parentchangesetid") {
				id = *value
			}
		}
	}
	return contents
}

// Names arrive as they are, percent signs and all.
func TestAzureNamesAreLiteral(t *testing.T) {
	a := provisionedAzure(t)
	a.options.Prefix = "100%/%2F+é/"
	s := a.store(t, nil)
	var heads, changesets []string
	for _, id := range []string{"plain", "a/b", "a%2Fb", "..", "dot.", " ", "é", "+", "?x=1#y", `a\b`} {
		cs, next := azureExtend(t, head.Head{}, id, id)
		require.NoError(t, s.Put(t.Context(), cs[0]))
		_, err := s.Swap(t.Context(), head.Head{}, next)
		require.NoError(t, err)
		changesets = append(changesets, a.options.Prefix+cs[0].ObjectName())
		heads = append(heads, a.options.Prefix+"heads/"+changeset.Escape(id))
		got, err := s.Get(t.Context(), cs[0].Ref, nil)
		require.NoError(t, err)
		require.Equal(t, id, string(got.Body))
	}
	require.ElementsMatch(t, changesets, a.names(t, a.options.ChangesetsContainer))
	require.ElementsMatch(t, heads, a.names(t, a.options.HeadsContainer))
}

// names returns the names of all blobs in a container.
func (a *azureAccount) names(t *testing.T, in string) (names []string) {
	pager := a.client(t, nil).NewContainerClient(in).NewListBlobsFlatPager(nil)
	for pager.More() {
		page, err := pager.NextPage(t.Context())
		require.NoError(t, err)
		for _, item := range page.Segment.BlobItems {
			names = append(names, *item.Name)
		}
	}
	return names
}
