//go:build integration

package integration_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/gctest"
	"ropewalk/internal/link"
)

// TestCollect collects orphans and erases over all clouds.
func TestCollect(t *testing.T) {
	t.Parallel()
	overClouds(t, func(t *testing.T, c cloud) {
		changesets, heads := c.open(t).stores(t, direct)
		gctest.Test(t, gctest.Storage{Changesets: changesets.(gc.Changesets), Heads: heads})
	})
}

// TestCommandCollects uses gc and erase as one would.
func TestCommandCollects(t *testing.T) {
	t.Parallel()
	c := buildCommand(t)
	overClouds(t, func(t *testing.T, cloud cloud) {
		place := cloud.open(t)
		environment := append(place.environment(t), "ROPEWALK_STORE="+place.url())
		exits := func(code int, args string) result {
			t.Helper()
			r := c.run(t, environment, "content", strings.Fields(args)...)
			require.Equal(t, code, r.exit, "%s: %s", args, r.stderr)
			return r
		}
		exits(0, "init")
		exits(0, "append order-1 --new")
		exits(0, "append order-1 --after 0")
		changesets, _ := place.stores(t, direct)
		built, _, err := link.Extend(head.Head{}, "order-1", []changeset.Draft{{Content: []byte("orphan!")}}, time.Now())
		require.NoError(t, err)
		require.NoError(t, changesets.Put(t.Context(), built[0]))
		exits(0, "append order-2 --new")
		require.Contains(t, exits(0, "graph order-1").stdout, "lost to")
		require.Contains(t, exits(0, "gc --delete").stdout,
			"deleted 0 objects, 0 B, of 0 aggregates; looked at 2 aggregates, 4 objects, 28 B; kept 1 object younger than 7d")
		exits(2, "erase order-1")
		require.Contains(t, exits(0, "erase order-1 --yes").stdout, "order-1 is erased: 3 objects deleted, 21 B")
		exits(0, "erase order-1")
		exits(4, "log order-1")
		exits(4, "append order-1 --any")
		require.Equal(t, "order-2\n", exits(0, "ls").stdout)
		require.Contains(t, exits(0, "verify --all").stdout, "verified 2 aggregates, 1 changeset, 7 B: 0 corrupt, 0 orphans")
	})
}
