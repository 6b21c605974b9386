package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
)

const runRelay1 = "warning: the feed lacks changes, and only a relay feeds them: ropewalk relay\n"

// The age of the oldest change that the feed lacks is the first line: without a
// relay nothing else shows that subscribers are late.
func TestFeedStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBarePlace(t)
		require.Equal(t, result{3, "", "error: the store has no feed: run a relay\nhint: a relay makes it: ropewalk relay\n"}, p.run(t.Context(), "", "feed", "status"))
		require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)
		got := p.run(t.Context(), "", "feed", "status")
		require.Zero(t, got.exit)
		require.Empty(t, got.stderr)
		require.Regexp(t, `^unfed       nothing
generation  [0-9a-f]{16}
source      listing
batches     1
aggregates  2
fed         2000-01-01 00:00:0\dZ, 0s ago
end         c\.[0-9a-f]{16}\.0\.[\w-]{22}\.2\.\d
$`, got.stdout)

		time.Sleep(time.Hour)
		p.append(t, "order-2", "late")
		time.Sleep(3*time.Hour + 12*time.Minute)
		got = p.run(t.Context(), "", "feed", "status")
		require.Zero(t, got.exit)
		require.Equal(t, runRelay1, got.stderr)
		require.Regexp(t, `^unfed       changes, the oldest 3h12m old, of 2000-01-01 01:00:\d\dZ\n`, got.stdout)
		require.Contains(t, got.stdout, ", 4h12m ago\n")
		got = p.run(t.Context(), "", "feed", "status", "--json")
		require.Regexp(t, `"unfed":true,"oldest_unfed_at":"2000-01-01T01:00:0.*","oldest_unfed_seconds":11520,`, got.stdout)
		requireJSON(t, got)
	})
}

func TestFeedStatusOfALog(t *testing.T) {
	p := newTestPlace()
	got := p.run(t.Context(), "", "feed", "status")
	require.Regexp(t, "^unfed       nothing, since the log of the store is its feed\ngeneration  [0-9a-f]{16}\n", got.stdout)
	got = p.run(t.Context(), "", "feed", "status", "--json")
	require.Contains(t, got.stdout, `"log":true,"unfed":false,`)
	requireJSON(t, got)
}

func TestFeedStatusNamesUnreadHeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := oddPlace(t)
		p.bare = true
		p.memory.Tamper(func(all *memstore.Contents) { all.Heads[head.ObjectName(spoofs)] = []byte("{") })
		require.Equal(t, 6, p.run(t.Context(), "", "relay", "--once").exit)
		got := p.run(t.Context(), "", "feed", "status")
		require.Contains(t, got.stdout, "unread      the head of \\u202egpj")
		requireVisible(t, got, false)
		got = p.run(t.Context(), "", "feed", "status", "--json")
		require.Contains(t, got.stdout, `"unread":["`)
		requireJSON(t, got)
	})
}

// Changes that are not fed yet are no fault; a feed that disagrees with a chain is.
func TestFeedVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBarePlace(t)
		require.Equal(t, 3, p.run(t.Context(), "", "feed", "verify").exit)
		require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)
		require.Equal(t, result{stdout: "the feed is complete\n"}, p.run(t.Context(), "", "feed", "verify"))
		require.Equal(t, `{"v":1,"kind":"feed-verified","wrong":0,"unfed":0}`+"\n", p.run(t.Context(), "", "feed", "verify", "--json").stdout)

		p.append(t, "order-2", "late")
		const warning = "warning: 1 aggregate with changes that the feed lacks, and only a relay feeds them: ropewalk relay --once\n"
		require.Equal(t, result{0, "order-2  version 1 is not fed yet\nverified the feed: 0 aggregates wrong, 1 not fed yet\n", warning}, p.run(t.Context(), "", "feed", "verify"))
		got := p.run(t.Context(), "", "feed", "verify", "--json")
		require.Zero(t, got.exit)
		require.Contains(t, got.stdout, `{"v":1,"kind":"feed-finding","aggregate":"order-2","unfed":true,"problem":"`)
		requireJSON(t, got)

		p.memory.Tamper(func(all *memstore.Contents) { delete(all.Heads, head.ObjectName("order-1")) })
		got = p.run(t.Context(), "", "feed", "verify")
		require.Equal(t, 6, got.exit)
		require.Contains(t, got.stdout, "order-1  ")
		require.Contains(t, got.stdout, "verified the feed: 1 aggregate wrong, 1 not fed yet\n")
		require.Contains(t, got.stderr, "error: the feed is wrong about 1 aggregate\nhint: find out whether the chains are sound: ropewalk verify --all\n")
		got = p.run(t.Context(), "", "feed", "verify", "--json")
		require.Contains(t, got.stdout, `{"v":1,"kind":"feed-verified","wrong":1,"unfed":1}`)
		require.Contains(t, got.stdout, `"code":"found"`)
		requireJSON(t, got)
	})
}

func TestFeedDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBarePlace(t)
		require.Equal(t, 3, p.run(t.Context(), "", "feed", "drop", "--yes").exit)
		require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)

		got := p.run(t.Context(), "drop\n", "feed", "drop")
		require.Equal(t, 2, got.exit)
		require.Contains(t, got.stderr, "hint: confirm it with --yes\n")
		require.Contains(t, p.onTerminal(t, "no\n", "feed", "drop").stderr, "not confirmed: nothing was changed")
		require.Zero(t, p.run(t.Context(), "", "feed", "status").exit)

		got = p.onTerminal(t, "drop\n", "feed", "drop", "--color", "never")
		require.Equal(t, result{0, "the feed is dropped: the next relay makes a new one\n", "Type drop to delete the feed and all its positions for good: "}, got)
		require.Equal(t, 3, p.run(t.Context(), "", "feed", "status").exit)
		require.Contains(t, p.run(t.Context(), "", "ls").stdout, "order-1", "the aggregates stay")

		require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)
		got = p.run(t.Context(), "", "feed", "drop", "--yes", "--json")
		require.Equal(t, result{stdout: `{"v":1,"kind":"feed-dropped"}` + "\n"}, got)
		requireJSON(t, got)
	})
}

func TestLogCannotBeDropped(t *testing.T) {
	got := newTestPlace().run(t.Context(), "", "feed", "drop", "--yes")
	require.Equal(t, result{2, "", "error: the log of the store is its feed, and cannot be dropped\n"}, got)
}

// The commands of a feed that is a chain show nothing hidden either.
func TestNothingHiddenInAChainReachesATerminal(t *testing.T) {
	for _, style := range everyStyle {
		synctest.Test(t, func(t *testing.T) {
			p, ref := oddPlace(t)
			p.bare = true
			_, err := p.store(t).Chain(spoofs+"2").Create(t.Context(), changeset.Draft{Content: []byte(controls)})
			require.NoError(t, err)
			p.memory.Tamper(func(all *memstore.Contents) { all.Heads[head.ObjectName(spoofs+"3")] = []byte(`{"` + spoofs) })
			for _, line := range commandLines(spoofs) {
				args := line.with(ref.String(), "", style...)
				if !strings.Contains("relay watch feed", line.args[0]) {
					continue
				}
				requireVisible(t, p.run(t.Context(), line.stdin, args...), false, args)
			}
		})
	}
}
