package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/internal/reserved"
)

// whatDiffers is what differs between two stores with the same events: IDs, digests,
// times and positions.
var whatDiffers = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|"digest":"[^"]*"|[\d-]{10}[T ]+[\d:.]{8,}Z?|\d\d:\d\d:\d\dZ?|c\.[0-9a-f]{16}\.[^" ]+`)

// importInto imports the same events into a store, a third of them through each URL, and
// feeds them each time.
func importInto(t *testing.T, urls [3]string) *testPlace {
	p := newTestPlace()
	p.bare = true
	var lines strings.Builder
	for i, url := range urls {
		for n := range 30 {
			fmt.Fprintf(&lines, `{"aggregate":"order-%d","type":"added","data":{"n":"%d.%d <é>"}}`+"\n", n%3, i, n)
		}
		// The lines that were imported before are found, and skipped.
		r := p.run(t.Context(), lines.String(), "import", "-", "--store", url)
		require.Zero(t, r.exit, r.stderr)
		require.Contains(t, r.stdout, "30 changesets")
		r = p.run(t.Context(), "", "relay", "--once", "--store", url)
		require.Zero(t, r.exit, r.stderr)
	}
	return p
}

// The commands that listen say the same of a store in any format, and the commands that
// prove find nothing wrong.
func TestCommandsListenToAllFormats(t *testing.T) {
	const plain, packed, small = "test:", "test:?format=packed", "test:?format=packed&tip=1000"
	said := map[string]string{}
	for name, urls := range map[string][3]string{
		"format 1": {plain, plain, plain}, "packed": {packed, packed, packed}, "small tips": {small, small, small}, "mixed": {plain, small, plain},
	} {
		p, dst := importInto(t, urls), filepath.Join(t.TempDir(), "archive")
		heads := 0
		for h, err := range p.memory.List(t.Context(), "") {
			require.NoError(t, err)
			require.Equal(t, name != "format 1" && !reserved.Is(h.AggregateID), h.IsPacked(), "%s: %s", name, h.AggregateID)
			heads++
		}
		require.Equal(t, 3+2, heads)
		for _, args := range []string{
			"export", "watch --from start --until-end", "watch --from start --until-end --content", "watch --from start --until-end --json --content",
			"feed verify", "archive DST", "verify --archive DST", "verify --all", "export --format parquet",
		} {
			r := p.run(t.Context(), "", append(strings.Fields(strings.ReplaceAll(args, "DST", dst)), "--store", urls[0])...)
			require.Zero(t, r.exit, "%s: %s: %s", name, args, r.stderr)
			got := whatDiffers.ReplaceAllString(r.stdout, "…")
			if args == "verify --all" || strings.Contains(args, "DST") || strings.HasSuffix(args, "parquet") {
				continue // which count bytes
			}
			if said[args] == "" {
				said[args] = got
			}
			require.NotEmpty(t, got)
			require.True(t, said[args] == got, "%s: %s: %.200s", name, args, got)
		}
	}
}
