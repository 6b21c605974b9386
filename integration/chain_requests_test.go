//go:build integration

package integration_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/internal/chaintest"
)

// headRequests are the requests that are sent for a head.
type headRequests struct {
	load, swap string
	lost       []string // a swap that another writer's came before
}

func headRequestsOf(c cloud) headRequests {
	if c.name == "S3 and DynamoDB" {
		return headRequests{"GetItem", "UpdateItem", []string{"UpdateItem"}} // the winner comes with the refusal
	}
	return headRequests{"GET", "PUT", []string{"PUT", "GET"}}
}

// TestChainRequests counts what is sent over HTTP: there is nothing beside the
// requests that the protocol is made of, such as a HEAD before a GET.
func TestChainRequests(t *testing.T) {
	overClouds(t, func(t *testing.T, c cloud) {
		const n = 40
		place, head, way := c.open(t), headRequestsOf(c), &rough{RoundTripper: direct}
		chain := storage(t, place, way).Direct()
		sent := func(want ...string) {
			t.Helper()
			require.Equal(t, want, way.take())
		}

		h, err := chain.Create(t.Context(), chaintest.Draft("0"))
		require.NoError(t, err)
		sent("PUT", head.swap)
		_, err = chain.Create(t.Context(), chaintest.Draft("exists"))
		require.True(t, chaintest.IsConflict(err), "%v", err)
		sent(append([]string{"PUT"}, head.lost...)...)
		for i := range n - 4 {
			h, err = chain.Append(t.Context(), h, chaintest.Draft(fmt.Sprint(i+1)))
			require.NoError(t, err)
			sent("PUT", head.swap)
		}
		before := h
		h, err = chain.Append(t.Context(), h, chaintest.Draft("a"), chaintest.Draft("b"), chaintest.Draft("c"))
		require.NoError(t, err)
		sent("PUT", "PUT", "PUT", head.swap)

		_, err = chain.Append(t.Context(), before, chaintest.Draft("too late"))
		require.True(t, chaintest.IsConflict(err), "%v", err)
		sent(append([]string{"PUT"}, head.lost...)...)

		whole := append([]string{head.load}, slices.Repeat([]string{"GET"}, n)...)
		backward := read(t, chain, (*ropewalk.Reader).Backward)
		sent(whole...)
		forward := read(t, chain, (*ropewalk.Reader).All)
		sent(whole...)
		slices.Reverse(backward)
		require.Equal(t, forward, backward)
		require.Len(t, forward, n)

		r, err := chain.Reader(t.Context())
		require.NoError(t, err)
		sent(head.load)
		_, err = r.At(t.Context(), h.Version)
		require.NoError(t, err)
		sent("GET")
	})
}

// read returns all that a reader at the newest head yields.
func read(t *testing.T, chain *ropewalk.Chain, order func(*ropewalk.Reader, context.Context) iter.Seq2[changeset.Changeset, error]) []changeset.Changeset {
	t.Helper()
	r, err := chain.Reader(t.Context())
	require.NoError(t, err)
	all, err := ropewalk.Collect(order(r, t.Context()))
	require.NoError(t, err)
	return all
}
