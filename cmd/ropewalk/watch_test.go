package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/faults"
)

// watchedRefs returns the aggregates and versions that watch prints with --json.
func watchedRefs(t *testing.T, got result) (refs []string) {
	t.Helper()
	for line := range strings.Lines(got.stdout) {
		var change struct{ Kind, Ref string }
		require.NoError(t, json.Unmarshal([]byte(line), &change))
		if change.Kind == "" {
			continue // the error
		}
		ref, _, _ := strings.Cut(change.Ref, ".")
		if change.Kind == "erased" {
			ref += " erased"
		}
		refs = append(refs, ref)
	}
	return refs
}

// Watch prints the same over a log and over a chain.
func TestWatchToTheEnd(t *testing.T) {
	for _, bare := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newTestPlace()
			p.append(t, "order-1", `{"n":1}`, `{"n":2}`)
			p.append(t, "order-2", "text")
			if p.bare = bare; bare {
				require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)
			}
			got := p.run(t.Context(), "", "watch", "--from", "start", "--until-end", "--json")
			require.Zero(t, got.exit, got.stderr)
			require.Empty(t, got.stderr)
			require.Equal(t, []string{"order-1@0", "order-1@1", "order-2@0"}, watchedRefs(t, got))
			require.NotContains(t, got.stdout, `"content`+`":`)
			requireJSON(t, got)

			got = p.run(t.Context(), "", "watch", "--from", "start", "--until-end")
			require.Regexp(t, `^2000-01-01 00:00:00Z       7B  order-1@0\.[0-9a-f-]{36}  application/json  [cl]\.\S+
2000-01-01 00:00:00Z       7B  order-1@1\.[0-9a-f-]{36}  application/json  [cl]\.\S+
2000-01-01 00:00:00Z       4B  order-2@0\.[0-9a-f-]{36}  application/json  [cl]\.\S+
$`, got.stdout)
		})
	}
}

// Every position that watch prints is where another watch goes on.
func TestWatchFromAPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBarePlace(t)
		require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)
		lines := strings.Split(strings.TrimSpace(p.run(t.Context(), "", "watch", "--from", "start", "--until-end").stdout), "\n")
		require.Len(t, lines, 3)
		for i, line := range lines {
			words := strings.Fields(line)
			got := p.run(t.Context(), "", "watch", "--until-end", "--from", words[len(words)-1])
			require.Zero(t, got.exit)
			require.Equal(t, strings.Join(lines[i+1:], "\n"), strings.TrimSuffix(got.stdout, "\n"))
		}
		require.Zero(t, p.run(t.Context(), "", "feed", "drop", "--yes").exit)
		require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)
		words := strings.Fields(lines[0])
		got := p.run(t.Context(), "", "watch", "--until-end", "--json", "--from", words[len(words)-1])
		require.Equal(t, 4, got.exit)
		require.Contains(t, got.stdout, `"code":"other-history"`)
		require.Contains(t, got.stderr, "hint: the feed was dropped, or the store was restored: ")
		requireJSON(t, got)
	})
}

// A watch is of all aggregates, of one, or of a prefix. An ID that ends in * is
// marked as an ID. The changesets of other aggregates are not read.
func TestWatchSelects(t *testing.T) {
	for arg, want := range map[string][]string{
		"":     {"a@0", "ab@0", "a*@0", "b@0"},
		"*":    {"a@0", "ab@0", "a*@0", "b@0"},
		"a":    {"a@0"},
		"a@":   {"a@0"},
		"a*":   {"a@0", "ab@0", "a*@0"},
		"a*@":  {"a*@0"},
		"a**":  {"a*@0"},
		"none": nil,
	} {
		p := newTestPlace()
		for _, id := range []string{"a", "ab", "a*", "b"} {
			p.append(t, id, "x")
		}
		args := []string{"watch", "--from", "start", "--until-end", "--json"}
		if arg != "" {
			args = append(args, arg)
		}
		got := p.run(t.Context(), "", args...)
		require.Zero(t, got.exit)
		require.Equal(t, want, watchedRefs(t, got), arg)
		require.Equal(t, len(want), p.script.Calls(faults.Get)+p.script.Calls(faults.GetMany), arg)
	}
}

// An aggregate that does not exist may be a prefix that was not marked.
func TestWatchWarnsOfAnUnknownAggregate(t *testing.T) {
	p := newTestPlace()
	for _, id := range oddIDs {
		got := p.run(t.Context(), "", "watch", "--from", "start", "--until-end", "--", id+"@")
		require.Zero(t, got.exit, got.stderr)
		require.Contains(t, got.stderr, " does not exist yet; a prefix ends in *: ropewalk watch ")
		words := shellWords(t, strings.TrimSpace(got.stderr))
		require.Equal(t, id+"*", words[0][len(words[0])-1])
	}
	p.append(t, "order", "x")
	require.Empty(t, p.run(t.Context(), "", "watch", "--from", "start", "--until-end", "order").stderr)
}

func TestWatchedContent(t *testing.T) {
	p := newTestPlace()
	chain := p.store(t).Chain("x")
	h, err := chain.Create(t.Context(), changeset.Draft{Content: []byte(`{"type":"paid","data":{"n":1}}` + "\n"), ContentType: ndjson.ContentType})
	require.NoError(t, err)
	h, err = chain.Append(t.Context(), h, changeset.Draft{Content: []byte("plain"), ContentType: "text/plain", CommandID: "c1", Metadata: map[string]string{"k": "v"}})
	require.NoError(t, err)
	_, err = chain.Append(t.Context(), h, changeset.Draft{Content: []byte{0xff}, ContentType: "application/octet-stream"})
	require.NoError(t, err)
	got := p.run(t.Context(), "", "watch", "--from", "start", "--until-end", "--content", "--json")
	require.Contains(t, got.stdout, `"content":{"type":"paid","data":{"n":1}}`)
	require.Contains(t, got.stdout, `"command_id":"c1","metadata":{"k":"v"},"content_text":"plain"}`)
	require.Contains(t, got.stdout, `"content_base64":"/w=="}`)
	requireJSON(t, got)
	got = p.run(t.Context(), "", "watch", "--from", "start", "--until-end", "--content")
	require.Regexp(t, `^\S+ \S+ +31B  x@0\.\S+  application/x-ndjson  l\.\S+

0\.0  paid
     {
       "n": 1
     }

\S+ \S+ +5B  x@1\.\S+  text/plain  l\.\S+
plain

\S+ \S+ +1B  x@2\.\S+  application/octet-stream  l\.\S+
\(1 bytes that are not text: ropewalk cat gives them\)

$`, got.stdout)
}

// An erasure stands for itself, and for changesets that can no longer be read.
func TestWatchedErasures(t *testing.T) {
	p := newTestPlace()
	p.append(t, "order-1", "x")
	require.Zero(t, p.run(t.Context(), "", "erase", "order-1", "--yes").exit)
	got := p.run(t.Context(), "", "watch", "--from", "start", "--until-end", "--content", "--json", "order-1")
	require.Equal(t, []string{"order-1@0 erased", "order-1@0 erased"}, watchedRefs(t, got))
	requireJSON(t, got)
	got = p.run(t.Context(), "", "watch", "--from", "start", "--until-end", "--content", "order-1")
	require.Regexp(t, `^( {31}order-1@0\.[0-9a-f-]{36}  erased  l\.\S+\n){2}$`, got.stdout)
}

// Watch follows from now on, and ends with the interrupt, which names how to go on.
func TestWatchFollows(t *testing.T) {
	for _, bare := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newBarePlace(t)
			p.bare = bare
			require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)
			ctx, cancel := context.WithCancel(t.Context())
			relayed := make(chan result)
			go func() { relayed <- p.run(ctx, "", "relay") }()
			time.AfterFunc(time.Minute, func() { p.append(t, "order-2", "1") })
			time.AfterFunc(2*time.Minute, func() { p.append(t, "other", "0") })
			time.AfterFunc(3*time.Minute, cancel)
			got := p.run(ctx, "", "watch", "--json", "order-*")
			<-relayed
			require.Equal(t, 130, got.exit)
			require.Equal(t, []string{"order-2@1"}, watchedRefs(t, got))
			require.Regexp(t, `^error: interrupted\nhint: go on after the last change: ropewalk watch --from [cl]\.\S+ 'order-\*'\n$`, got.stderr)
			requireJSON(t, got)

			words := shellWords(t, strings.TrimSpace(got.stderr))[0]
			again := p.run(t.Context(), "", append(words, "--until-end", "--json")...)
			require.Zero(t, again.exit)
			require.Empty(t, watchedRefs(t, again))
		})
	}
}

// Without a feed there is no now. From the start, watch waits for the feed.
func TestWatchBeforeTheFirstRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBarePlace(t)
		got := p.run(t.Context(), "", "watch", "--json")
		require.Equal(t, 3, got.exit)
		require.Contains(t, got.stdout, `"code":"no-feed"`)
		require.Contains(t, got.stderr, "hint: a relay makes it: ropewalk relay\n")
		requireJSON(t, got)
		require.Equal(t, 3, p.run(t.Context(), "", "watch", "--from", "start", "--until-end").exit)

		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, func() { p.run(t.Context(), "", "relay", "--once") })
		time.AfterFunc(2*time.Minute, cancel)
		got = p.run(ctx, "", "watch", "--from", "start", "--json")
		require.Equal(t, 130, got.exit)
		require.Len(t, watchedRefs(t, got), 3)
		require.Contains(t, got.stderr, "warning: the store has no feed yet, and only a relay makes it: ropewalk relay\n")
	})
}

func TestWatchRefusesArguments(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--until-end"}, "error: --until-end prints nothing from now on\nhint: name where to begin: --from start\n"},
		{[]string{"--from", "yesterday"}, "error: --from yesterday: want start, now, or a position that watch has printed\n"},
		{[]string{"--from", ""}, "error: --from '': want start, now, or a position that watch has printed\n"},
		{[]string{"order@7"}, "error: \"order@7\" names a version; give the aggregate ID alone\nhint: if that is the ID, write order@7@\n"},
		{[]string{"a", "b"}, "error: unexpected argument \"b\"\nhint: usage: ropewalk watch [ID|PREFIX*] [flags]\n"},
	} {
		got := newTestPlace().run(t.Context(), "", append([]string{"watch"}, test.args...)...)
		require.Equal(t, result{2, "", test.want}, got, test.args)
	}
}

// A changeset that cannot be read ends the watch, which names how to go on.
func TestWatchOfADamagedStore(t *testing.T) {
	p := newTestPlace()
	p.append(t, "order", "0", "1")
	p.script.On(faults.Get, 2, faults.Fault{Kind: faults.Dropped, Err: errors.New("away")})
	got := p.run(t.Context(), "", "watch", "--from", "start", "--until-end")
	require.Equal(t, 1, got.exit)
	require.Equal(t, 1, strings.Count(got.stdout, "order@"))
	require.Contains(t, got.stderr, "away\nhint: go on after the last change: ropewalk watch --from l.")
}

// A change is printed when it comes, not when a table is full.
func TestWatchPrintsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPlace()
		r, w := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		a := p.app("")
		a.Out = w
		done := make(chan int)
		go func() { done <- a.run(ctx, []string{"watch"}) }()
		synctest.Wait()
		p.append(t, "order", "x")
		line := make([]byte, 1000)
		n, err := r.Read(line)
		require.NoError(t, err)
		require.Contains(t, string(line[:n]), "order@0")
		cancel()
		require.Equal(t, 130, <-done)
	})
}
