package feed_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/feed"
)

// steps returns the steps after a position until the feed has nothing more: the changes
// by their names, "-" for what is skipped, and "." at the end.
func steps(t *testing.T, f *feed.Feed, after feed.Position, selection feed.Selection) (all []string, end feed.Position) {
	for s, err := range f.Steps(t.Context(), after, selection) {
		require.NoError(t, err)
		switch {
		case s.CaughtUp:
			require.Equal(t, feed.Step{CaughtUp: true}, s)
			return append(all, "."), end
		case s.Skipped:
			require.Equal(t, feed.Step{Change: feed.Change{Position: s.Position}, Skipped: true}, s)
			all = append(all, "-")
		default:
			all = append(all, names([]feed.Change{s.Change})...)
		}
		end = s.Position
	}
	return all, end
}

func TestStepsSkipWhatIsNotSelected(t *testing.T) {
	c := newConsumers(t)
	c.writeContent("order/1", `{"type":"opened","data":1}`)
	c.writeContent("user/1", `{"type":"opened","data":1}`)
	c.writeContent("order/1", `{"type":"closed","data":1}`)
	c.erase("order/1")
	f := c.feed()
	for _, test := range []struct {
		selection feed.Selection
		want      []string
	}{
		{feed.Selection{}, []string{"order/1!", "user/10", "order/1!", "order/1!", "."}},
		{feed.Selection{Prefix: "user/"}, []string{"-", "user/10", "-", "-", "."}},
		{feed.Selection{Prefix: "none"}, []string{"-", "-", "-", "-", "."}},
		{feed.Selection{Prefix: "user/", Types: []string{"closed"}}, []string{"-", "-", "-", "-", "."}},
		{feed.Selection{Prefix: "user/", Types: []string{"opened"}}, []string{"-", "user/10", "-", "-", "."}},
	} {
		t.Run(fmt.Sprint(test.selection), func(t *testing.T) {
			got, end := steps(t, f, feed.Position{}, test.selection)
			require.Equal(t, test.want, got)
			require.Equal(t, endOf(t, f), end)
			got, _ = steps(t, f, end, test.selection)
			require.Equal(t, []string{"."}, got)
		})
	}
}

func TestStepsRespectOnly(t *testing.T) {
	c := newConsumers(t)
	c.write("a", "b", "c")
	f := feed.Open(c.store, &feed.Options{Only: func(id string) bool { return id == "b" }})
	got, _ := steps(t, f, feed.Position{}, feed.Selection{})
	require.Equal(t, []string{"-", "b0", "-", "."}, got)
	got, _ = steps(t, f, feed.Position{}, feed.Selection{Prefix: "a"})
	require.Equal(t, []string{"-", "-", "-", "."}, got)
}

func TestStepsGoOnAndEndWithTheirContext(t *testing.T) {
	c := newConsumers(t)
	c.write("a")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	var last error
	for s, err := range c.feed().Steps(ctx, feed.Position{}, feed.Selection{}) {
		if last = err; err != nil {
			break
		}
		switch {
		case s.CaughtUp && len(got) < 2:
			c.write("b")
		case s.CaughtUp:
			cancel()
		default:
			got = append(got, names([]feed.Change{s.Change})...)
		}
	}
	require.ErrorIs(t, last, context.Canceled)
	require.Equal(t, []string{"a0", "b0"}, got)
}
