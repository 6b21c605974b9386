package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/feed"
)

// subscribe runs a subscription for a minute. Changes of which the handler says so
// are not handled, and their aggregates are parked. It returns the versions that were
// handed over.
func (p *testPlace) subscribe(t *testing.T, name string, fails func(feed.Change) bool) (seen []string) {
	t.Helper()
	options, err := parseSubscription(&name)
	require.NoError(t, err)
	if options == nil {
		options = &feed.SubscriptionOptions{}
	}
	options.Park = true
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = p.store(t).feed().Subscription(name, options).Run(ctx, func(_ context.Context, c feed.Change) error {
		ref, _, _ := strings.Cut(c.Ref.String(), ".")
		seen = append(seen, ref)
		if fails != nil && fails(c) {
			return errors.New("no")
		}
		return nil
	})
	require.NoError(t, err)
	return seen
}

func failsOn(id string) func(feed.Change) bool {
	return func(c feed.Change) bool { return c.AggregateID == id }
}

// fedPlace is a bare place whose feed has everything, with a subscription that has
// parked order-1 and lacks one change.
func fedPlace(t *testing.T) *testPlace {
	p := newBarePlace(t)
	require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)
	p.subscribe(t, "mail", nil)
	p.subscribe(t, "orders/2-of-2", failsOn("order-1"))
	p.subscribe(t, "orders/1-of-2", failsOn("order-1"))
	p.append(t, "order-2", "late")
	require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)
	return p
}

func TestSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fedPlace(t)
		time.Sleep(2 * time.Hour)
		got := p.run(t.Context(), "", "subscriptions")
		require.Zero(t, got.exit, got.stderr)
		require.Regexp(t, `^NAME           LAG  OLDEST  PARKED  OWNER  POSITION
mail             1      2h       0  -      c\.\S+
orders/1-of-2    0       -       1  -      c\.\S+
orders/2-of-2    1      2h       0  -      c\.\S+
$`, got.stdout)
		got = p.run(t.Context(), "", "subscriptions", "--json")
		require.Zero(t, got.exit)
		require.Contains(t, got.stdout, `{"v":1,"kind":"subscription","name":"mail","fence":1,"position":"c.`)
		require.Contains(t, got.stdout, `"parked":[{"aggregate":"order-1","version":0,"reason":"error"}]`)
		requireJSON(t, got)
	})
}

func TestSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fedPlace(t)
		p.subscribe(t, "all", failsOn("order-1"))
		p.append(t, "order-2", "later")
		require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)
		got := p.run(t.Context(), "", "subscriptions", "all")
		require.Zero(t, got.exit)
		require.Regexp(t, `^name      all
lag       1 change, the oldest 0s old, of 2000-01-01 00:04:00Z
position  c\.\S+
owner     -
fence     1
parked    order-1 from version 0 on, after: error
$`, got.stdout)
		require.Equal(t, 3, p.run(t.Context(), "", "subscriptions", "none").exit)
		require.Equal(t, 3, p.run(t.Context(), "", "subscriptions", "mail/1-of-2").exit)
	})
}

func TestSubscriptionsWithoutAny(t *testing.T) {
	p := newTestPlace()
	require.Equal(t, result{stdout: "NAME  LAG  OLDEST  PARKED  OWNER  POSITION\n"}, p.run(t.Context(), "", "subscriptions"))
	require.Equal(t, result{}, p.run(t.Context(), "", "subscriptions", "--json"))
}

// A reset makes the consumer see changes again, or skip them, and must be confirmed.
func TestSubscriptionReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fedPlace(t)
		first := strings.Fields(strings.Split(p.run(t.Context(), "", "watch", "--from", "start", "--until-end").stdout, "\n")[0])
		require.Equal(t, []string{"order-2@1"}, p.subscribe(t, "mail", nil))
		for _, test := range []struct {
			to   string
			want []string
		}{
			{"start", []string{"order-1@0", "order-1@1", "order-2@0", "order-2@1"}},
			{"now", nil},
			{first[len(first)-1], []string{"order-1@1", "order-2@0", "order-2@1"}},
		} {
			require.Equal(t, 2, p.run(t.Context(), "", "subscriptions", "mail", "--reset", test.to).exit)
			require.Empty(t, p.subscribe(t, "mail", nil), "not confirmed")
			require.Equal(t, result{stdout: "mail is reset\n"}, p.run(t.Context(), "", "subscriptions", "mail", "--yes", "--reset", test.to))
			require.Equal(t, test.want, p.subscribe(t, "mail", nil), test.to)
		}
		got := p.onTerminal(t, "mail\n", "subscriptions", "mail", "--reset", "start", "--color", "never")
		require.Equal(t, result{0, "mail is reset\n", "Type mail to hand over every change again, from the start of the feed on: "}, got)
		got = p.run(t.Context(), "", "subscriptions", "mail", "--reset", "start", "--yes", "--json")
		require.Contains(t, got.stdout, `"name":"mail","fence":`)
		requireJSON(t, got)

		require.Equal(t, 3, p.run(t.Context(), "", "subscriptions", "none", "--reset", "start", "--yes").exit)
		require.Equal(t, 4, p.run(t.Context(), "", "subscriptions", "mail", "--reset", "l.0123456789abcdef.7.0123456789abcdef.0", "--yes").exit)
	})
}

func TestSubscriptionReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fedPlace(t)
		p.subscribe(t, "all", failsOn("order-1"))
		require.Equal(t, result{stdout: "all is to replay 1 parked aggregate\n"}, p.run(t.Context(), "", "subscriptions", "all", "--replay"))
		require.Contains(t, p.run(t.Context(), "", "subscriptions", "all").stdout, "\nreplay    the owner, or the next one, replays the parked aggregates\n")
		got := p.run(t.Context(), "", "subscriptions", "all", "--replay", "--json")
		require.Contains(t, got.stdout, `"replaying":true`)
		requireJSON(t, got)
		require.Equal(t, []string{"order-1@0", "order-1@1"}, p.subscribe(t, "all", nil))
		require.Equal(t, result{stdout: "all has no parked aggregate, or has replayed it already\n"}, p.run(t.Context(), "", "subscriptions", "all", "--replay"))
	})
}

func TestSubscriptionDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fedPlace(t)
		require.Equal(t, 2, p.run(t.Context(), "", "subscriptions", "orders/1-of-2", "--delete").exit)
		require.Contains(t, p.run(t.Context(), "", "subscriptions").stdout, "orders/1-of-2")
		require.Equal(t, result{stdout: "orders/1-of-2 is deleted\n"}, p.run(t.Context(), "", "subscriptions", "orders/1-of-2", "--delete", "--yes"))
		require.NotContains(t, p.run(t.Context(), "", "subscriptions").stdout, "orders/1-of-2")
		require.Contains(t, p.run(t.Context(), "", "subscriptions").stdout, "orders/2-of-2")
		require.Equal(t, 3, p.run(t.Context(), "", "subscriptions", "orders/1-of-2", "--delete", "--yes").exit)
		got := p.run(t.Context(), "", "subscriptions", "mail", "--delete", "--yes", "--json")
		require.Equal(t, result{stdout: `{"v":1,"kind":"subscription-deleted","name":"mail"}` + "\n"}, got)
		requireJSON(t, got)
	})
}

// A subscription whose position the feed no longer has is listed, and is the error
// of the list: it can only be reset.
func TestSubscriptionsOfADroppedFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fedPlace(t)
		require.Zero(t, p.run(t.Context(), "", "feed", "drop", "--yes").exit)
		got := p.run(t.Context(), "", "subscriptions")
		require.Equal(t, 3, got.exit, "there is no feed")
		require.Equal(t, 4, strings.Count(got.stdout, "\n"), "all are listed")
		require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)
		got = p.run(t.Context(), "", "subscriptions")
		require.Equal(t, 4, got.exit)
		require.Equal(t, 3, strings.Count(got.stdout, "unknown"), "all are listed")
		require.Contains(t, got.stderr, "error: subscription \"mail\": the position is of another history")
		require.Contains(t, got.stderr, "ropewalk subscriptions mail --reset start\n")
		got = p.run(t.Context(), "", "subscriptions", "--json")
		require.Equal(t, 3, strings.Count(got.stdout, `"kind":"subscription"`))
		require.Contains(t, got.stdout, `"code":"other-history"`)
		requireJSON(t, got)
		require.Equal(t, 4, p.run(t.Context(), "", "subscriptions", "mail").exit)
		require.Zero(t, p.run(t.Context(), "", "subscriptions", "mail", "--reset", "start", "--yes").exit)
		require.Zero(t, p.run(t.Context(), "", "subscriptions", "mail").exit)
	})
}

func TestSubscriptionsRefuseArguments(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--replay"}, "error: name the subscription\nhint: ropewalk subscriptions lists them\n"},
		{[]string{"x", "--replay", "--delete"}, "error: --reset, --replay and --delete do not go together\n"},
		{[]string{"x", "--reset", "yesterday"}, "error: --reset yesterday: want start, now, or a position that watch has printed\n"},
		{[]string{"x", "--reset", ""}, "error: --reset '': want start, now, or a position that watch has printed\n"},
		{[]string{"x/3-of-2"}, "error: \"x/3-of-2\" is not a share of a subscription: write NAME/2-of-4\n"},
		{[]string{"x/1-of-02"}, "error: \"x/1-of-02\" is not a share of a subscription: write NAME/2-of-4\n"},
		{[]string{"a b"}, "error: \"a b\" is not the name of a subscription: want 1 to 64 letters, digits, or characters of -_.@~\n"},
		{[]string{"/1-of-2"}, "error: \"/1-of-2\" is not the name of a subscription: want 1 to 64 letters, digits, or characters of -_.@~\n"},
		{[]string{"a", "b"}, "error: unexpected argument \"b\"\nhint: usage: ropewalk subscriptions [NAME] [flags]\n"},
	} {
		got := newTestPlace().run(t.Context(), "", append([]string{"subscriptions"}, test.args...)...)
		require.Equal(t, result{2, "", test.want}, got, test.args)
	}
}
