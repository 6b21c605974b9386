//go:build integration

package integration_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryCommandOverClouds runs every command that reads, repairs or moves a store once
// on each cloud.
func TestEveryCommandOverClouds(t *testing.T) {
	t.Parallel()
	c := buildCommand(t)
	overClouds(t, func(t *testing.T, cloud cloud) {
		place := cloud.open(t)
		environment := append(place.environment(t), "ROPEWALK_STORE="+place.url())
		run := func(stdin string, args ...string) string {
			t.Helper()
			r := c.run(t, environment, stdin, args...)
			require.Zero(t, r.exit, "%v: %s%s", args, r.stdout, r.stderr)
			return r.stdout
		}
		run("", "init")
		require.Contains(t, run(generate(3, 20), "import", "-"), "imported 3 aggregates, 20 changesets")
		const id = "case/0 é"
		words := strings.NewReplacer("ID", id, "DIR", t.TempDir(), "STORE", place.url(),
			"REF", strings.TrimSpace(run(`{"type":"closed"}`, "append", id, "--any")))
		for _, c := range everyCommand {
			args := strings.Fields(c.args)
			for i, arg := range args {
				args[i] = words.Replace(arg)
			}
			require.Contains(t, run("", args...), words.Replace(c.want), "%v", args)
		}
	})
}

// everyCommand are command lines in an order in which each finds something to do, and what
// they print.
var everyCommand = []struct{ args, want string }{
	{"doctor --slow 1m", "ok  swapping a head is permitted"},
	{"doctor --slow 1m", "ok  clock agrees with the service"},
	{"ls --long --sizes", "ID"},
	{"stats", "changesets  21"},
	{"log ID --since 2026-01-01 -n 1", "application/x-ndjson"},
	{"log ID --events --type closed", "closed"},
	{"log ID --events --grep closed --json", "closed"},
	{"show ID", "closed"},
	{"show ID@0..1", "moved"},
	{"head ID", "REF"},
	{"graph ID -n 3", "<- head"},
	{"diff ID 0 1", "1 changeset"},
	{"settle REF", "REF"},
	{"flush --all", ""},
	{"gc", "would delete 0 objects"},
	{"relay --once", ""},
	{"feed status", "nothing"},
	{"feed sweep", ""},
	{"feed verify", ""},
	{"subscriptions", ""},
	{"watch --from start --until-end", "ID"},
	{"archive DIR/archive", "21"},
	{"verify --archive DIR/archive", "21"},
	{"copy STORE file:DIR/copy.db", "21"},
	{"diff ID --with file:DIR/copy.db", ""},
	{"export ID", "closed"},
	{"erase ID --yes", ""},
	{"archive DIR/archive", ""},
	{"archive erase DIR/archive", ""},
	{"gc --delete", ""},
	{"feed drop --yes", ""},
	{"verify --all --headers", "verified 3 aggregates, 9 changesets"},
	{"version", "format"},
}
