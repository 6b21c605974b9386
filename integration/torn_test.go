//go:build integration

package integration_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
)

// torn follows the page on torn commits: order-4713 has a commit that the head of stock-7
// was restored from before.
func torn(t *testing.T, c command, environment []string, v vault, objects changeset.Store, heads head.Store) {
	store := ropewalk.New(objects, heads, nil)
	order, stock := store.Chain("order-4713"), store.Chain("stock-7")
	commit := func(after ...head.Head) []head.Head {
		got, err := store.Commit(t.Context(),
			order.Appending(after[0], changeset.Draft{Content: []byte("{}")}), stock.Appending(after[1], changeset.Draft{Content: []byte("{}")}))
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip("the heads cannot be swapped together")
		}
		require.NoError(t, err)
		return got
	}
	first := commit(head.Head{}, head.Head{})
	old := v.head(t, "stock-7")
	commit(first...)
	v.putHead(t, "stock-7", old)
	d := &drill{command: c, environment: environment, vault: v}
	blocks := steps(t, "Torn commits")
	require.Len(t, blocks, 2)
	for _, block := range blocks {
		d.follow(t, block)
	}
}

func TestTornCommitsOverClouds(t *testing.T) {
	c := buildCommand(t)
	overClouds(t, func(t *testing.T, cloud cloud) {
		place := cloud.open(t)
		changesets, heads := place.stores(t, direct)
		environment := append(place.environment(t), "ROPEWALK_STORE="+place.url())
		torn(t, c, environment, place.(interface{ vault() vault }).vault(), changesets, heads)
	})
}

func TestTornCommitsSQLite(t *testing.T) {
	store, v, path := newSQLite(t)
	torn(t, buildCommand(t), []string{"ROPEWALK_STORE=file:" + path}, v, store, store)
}
