package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/reserved"
)

const (
	feedID         = "$feed-0123456789abcdef"
	subscriptionID = "$subscription-mail"
)

// withFeed returns a place with a feed, a subscription and an aggregate, each with
// a chain of two changesets.
func withFeed(t *testing.T) *testPlace {
	p := newTestPlace()
	s := p.store(t)
	for _, id := range []string{reserved.Register, feedID, subscriptionID, "order"} {
		h, err := s.Chain(id).Append(reserved.Open(t.Context()), head.Head{}, changeset.Draft{Content: []byte(`{"n":1}`)})
		require.NoError(t, err)
		_, err = s.Chain(id).Append(reserved.Open(t.Context()), h, changeset.Draft{Content: []byte(`{"n":2}`)})
		require.NoError(t, err)
	}
	return p
}

// Lists hide ropewalk's own chains, unless they are asked for.
func TestListsHideInternalChains(t *testing.T) {
	t.Parallel()
	p := withFeed(t)
	for _, c := range []struct {
		args   []string
		hidden string
		shown  string
	}{
		{[]string{"ls"}, "order\n", "$feed\n$feed-0123456789abcdef\n$subscription-mail\norder\n"},
		{[]string{"ls", "$"}, "", "$feed\n$feed-0123456789abcdef\n$subscription-mail\n"},
		{[]string{"ls", "-n", "1"}, "order\n", "$feed\n"},
	} {
		require.Equal(t, c.hidden, p.run(t.Context(), "", c.args...).stdout, c.args)
		require.Equal(t, c.shown, p.run(t.Context(), "", append(c.args, "--internal")...).stdout, c.args)
	}
	for _, args := range [][]string{{"export"}, {"export", "--all"}, {"export", "--json"}} {
		got := p.run(t.Context(), "", args...)
		require.Zero(t, got.exit, got.stderr)
		require.Equal(t, 2, strings.Count(got.stdout, "\n"), args)
		require.NotContains(t, got.stdout, "$")
		got = p.run(t.Context(), "", append(args, "--internal")...)
		require.Equal(t, 8, strings.Count(got.stdout, "\n"), args)
	}
	for args, want := range map[string]string{"verify --all": `"aggregates":1,`, "verify --all --internal": `"aggregates":4,`} {
		got := p.run(t.Context(), "", append(strings.Fields(args), "--json")...)
		require.Zero(t, got.exit, got.stderr)
		require.Contains(t, got.stdout, want, args)
	}
}

// A chain that is named is shown.
func TestInternalChainsAreShownByID(t *testing.T) {
	t.Parallel()
	p := withFeed(t)
	for _, id := range []string{reserved.Register, feedID, subscriptionID} {
		for _, command := range []string{"log", "show", "graph", "head", "verify", "cat", "export"} {
			got := p.run(t.Context(), "", command, id)
			require.Zero(t, got.exit, "%s: %s", command, got.stderr)
			require.NotEmpty(t, got.stdout, command)
		}
		for _, command := range []string{"verify", "export"} {
			got := p.run(t.Context(), "", command, id, "--internal")
			require.Equal(t, 2, got.exit)
			require.Contains(t, got.stderr, "do not go together")
		}
	}
}

// No command writes an internal chain, and none asks before it refuses. A lost head of a
// feed can be rebuilt.
func TestInternalChainsAreNotWritten(t *testing.T) {
	t.Parallel()
	p := withFeed(t)
	before, err := ropewalk.Collect(p.memory.List(t.Context(), ""))
	require.NoError(t, err)
	for _, id := range []string{reserved.Register, feedID, subscriptionID, "$feed-fedcba9876543210", "$later"} {
		line := `{"aggregate":"` + id + `","n":1}` + "\n"
		for _, c := range []struct{ stdin, args string }{
			{"x", "append ID --any"},
			{"x", "append ID --new"},
			{"x", "append ID --after 1"},
			{"", "erase ID"},
			{"", "erase ID --yes"},
			{"", "gc ID --delete"},
			{"", "flush ID"},
			{line, "import -"},
			{line + line, "import - --group 2"},
		} {
			got := p.run(t.Context(), c.stdin, strings.Fields(strings.ReplaceAll(c.args, "ID", id))...)
			if c.args == "append ID --after 1" && got.exit == 3 {
				continue // there is no such chain
			}
			require.Equal(t, 2, got.exit, "%s %s: %s", c.args, id, got.stderr)
			require.Contains(t, got.stderr, "a leading $ is reserved", c.args)
		}
	}
	after, err := ropewalk.Collect(p.memory.List(t.Context(), ""))
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestHeadsOfFeedsAreRebuilt(t *testing.T) {
	t.Parallel()
	p := withFeed(t)
	before, err := p.memory.Load(t.Context(), feedID)
	require.NoError(t, err)
	for _, id := range []string{feedID, subscriptionID} {
		p.memory.Tamper(func(c *memstore.Contents) { delete(c.Heads, head.ObjectName(id)) })
	}
	got := p.run(t.Context(), "", "rebuild-head", feedID, "--yes")
	require.Zero(t, got.exit, got.stderr)
	h, err := p.memory.Load(t.Context(), feedID)
	require.NoError(t, err)
	require.Equal(t, before, h)

	got = p.run(t.Context(), "", "rebuild-head", subscriptionID, "--yes")
	require.Equal(t, 6, got.exit)
	require.Contains(t, got.stderr, "begin the subscription again")
	_, err = p.store(t).Chain(subscriptionID).Head(t.Context())
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
}
