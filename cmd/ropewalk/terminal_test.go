package main

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/faults"
)

// onTerminal runs a command as if both its streams were terminals.
func (p *testPlace) onTerminal(t *testing.T, stdin string, args ...string) result {
	a := p.app(stdin)
	a.IsTerminal = func(any) bool { return true }
	return runCommand(t.Context(), a, args...)
}

func TestOnATerminal(t *testing.T) {
	p := newTestPlace()
	h, err := p.store(t).Chain("order").Create(t.Context(), changeset.Draft{Content: []byte(`{"type":"created"}` + "\n"), ContentType: ndjson.ContentType})
	require.NoError(t, err)
	id := h.ID.String()

	got := p.onTerminal(t, "", "log", "order")
	require.Regexp(t, `^VERSION  CHANGESET  RECORDED              SIZE  TYPE                  METADATA
      0  …`+id[28:]+`  \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ   19B  application/x-ndjson
$`, got.stdout)
	got = p.onTerminal(t, "", "log", "order", "--full")
	require.Contains(t, got.stdout, id)
	require.Contains(t, got.stdout, h.Digest.String())

	got = p.onTerminal(t, "", "show", "order", "--color", "never")
	require.Regexp(t, `^changeset     order@0\.`+id+`
recorded      \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9}Z
content       application/x-ndjson, 19 bytes, sha256 .{4}… ok
digest        `+regexp.QuoteMeta(h.Digest.String()[:4])+`… ok
object        memory:changesets/order/00000000000000000000-`+id+`

0\.0  created
$`, got.stdout)
}

func TestColours(t *testing.T) {
	p := newTestPlace()
	const red, cyan = "\x1b[31merror:\x1b[m", "\x1b[36mhint:\x1b[m"
	for _, test := range []struct {
		terminal bool
		env      string
		args     []string
		colored  bool
	}{
		{true, "", nil, true},
		{true, "NO_COLOR=1", nil, false},
		{true, "NO_COLOR=", nil, true},
		{true, "TERM=dumb", nil, false},
		{true, "", []string{"--color", "never"}, false},
		{false, "", nil, false},
		{false, "", []string{"--color", "always"}, true},
		{false, "NO_COLOR=1", []string{"--color", "always"}, true},
	} {
		a := newCommand(strings.NewReader("x"), nil, nil, []string{"A=b", test.env})
		a.parse, a.IsTerminal = p.app("").parse, func(any) bool { return test.terminal }
		got := runCommand(t.Context(), a, append([]string{"append", "x", "--after", "0"}, test.args...)...)
		require.Equal(t, 3, got.exit, got.stderr)
		require.Equal(t, test.colored, strings.Contains(got.stderr, red) && strings.Contains(got.stderr, cyan), "%+v: %q", test, got.stderr)
		require.Equal(t, test.colored, strings.Contains(got.stderr, "\x1b"), "%+v", test)
	}
}

// A bar appears after a second, on a terminal, without --json, and is taken away.
func TestProgress(t *testing.T) {
	slow := func(t *testing.T, terminal bool, delay time.Duration, args ...string) string {
		p := newTestPlace()
		p.apart = true
		p.script.Every(faults.Commit, faults.Fault{DelayBefore: delay})
		a := p.app(strings.Repeat(`{"aggregate":"a"}`+"\n", 20_000) + `{"aggregate":"b"}`)
		a.IsTerminal = func(stream any) bool { return terminal && stream != a.In }
		got := runCommand(t.Context(), a, append([]string{"import", "-", "--group", "5000", "--parallel", "1"}, args...)...)
		require.Zero(t, got.exit, got.stderr)
		return got.stderr
	}
	synctest.Test(t, func(t *testing.T) {
		bar := slow(t, true, 2*time.Second)
		require.Contains(t, bar, "importing")
		require.Contains(t, bar, "kB")
		require.True(t, strings.HasSuffix(bar, "\x1b[2K\r"), "%q", bar)
		require.Contains(t, bar, "[2s]")
		require.Empty(t, slow(t, true, time.Millisecond))
		require.Empty(t, slow(t, false, 2*time.Second))
		require.Empty(t, slow(t, true, 2*time.Second, "--json"))
	})
}

// Content writes no more than text to a terminal.
func TestShownContentIsText(t *testing.T) {
	require.Equal(t, "(5 bytes that are not text: ropewalk cat gives them)\n", showContent([]byte("\x1b[31m")))
	require.Equal(t, "(4 bytes that are not text: ropewalk cat gives them)\n", showContent([]byte("caf\xe9")))
	require.Equal(t, "a\tb\nc\n", showContent([]byte("a\tb\r\nc")))
	require.Equal(t, `approved: yes\u000dapproved: no`+"\n", showContent([]byte("approved: yes\rapproved: no")))
	require.Equal(t, `safe \u202eevil`+"\n", showContent([]byte("safe \u202eevil")))
	require.Empty(t, showContent(nil))
}
