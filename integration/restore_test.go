//go:build integration

package integration_test

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/inspect"
)

// drill is a store that is restored by the page on restoring.
type drill struct {
	command     command
	environment []string
	vault       vault
	old         item            // order-4711's head after its first append
	chain       []changeset.Ref // of order-4711
}

// newDrill fills a store: order-4711 has three changesets, order-4712 has one.
func newDrill(t *testing.T, c command, environment []string, v vault, objects inspect.Changesets) *drill {
	d := &drill{command: c, environment: environment, vault: v}
	for i, append := range [][]string{
		{"append", "order-4711", "--new"}, {"append", "order-4711", "--any"}, {"append", "order-4711", "--any"}, {"append", "order-4712", "--new"},
	} {
		r := c.run(t, environment, `{"number": `+strconv.Itoa(i)+"}\n", append...)
		require.Zero(t, r.exit, r.stderr)
		if i == 0 {
			d.old = v.head(t, "order-4711")
		}
	}
	for o, err := range objects.Objects(t.Context(), "order-4711") {
		require.NoError(t, err)
		d.chain = append(d.chain, o.Ref)
	}
	return d
}

// step is a command of the page, and what it says there that comes of it.
type step struct {
	command string
	want    []string
}

// steps returns the steps of the console blocks below a heading.
func steps(t *testing.T, heading string) (blocks [][]step) {
	t.Helper()
	page, err := os.ReadFile("../docs/restore.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), "\n## "+heading+"\n")
	require.True(t, found, heading)
	section, _, _ = strings.Cut(section, "\n## ")
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(section, -1) {
		var all []step
		lines := bufio.NewScanner(strings.NewReader(block[1]))
		for lines.Scan() {
			if command, ok := strings.CutPrefix(lines.Text(), "$ "); ok {
				all = append(all, step{command: command})
			} else {
				last := &all[len(all)-1]
				last.want = append(last.want, lines.Text())
			}
		}
		blocks = append(blocks, all)
	}
	return blocks
}

// pattern matches what a page shows: … stands for anything.
func pattern(lines []string) string {
	text := regexp.QuoteMeta(strings.Join(lines, "\n") + "\n")
	return "^" + strings.ReplaceAll(text, "…", "(?s:.*)") + "$"
}

// follow runs the commands of a block. Each must print what the page shows.
func (d *drill) follow(t *testing.T, block []step) {
	t.Helper()
	exit := 0
	for _, s := range block {
		if s.command == "echo $?" {
			require.Equal(t, []string{strconv.Itoa(exit)}, s.want)
			continue
		}
		args := strings.Fields(s.command)
		require.Equal(t, "ropewalk", args[0])
		r := d.command.run(t, d.environment, "", args[1:]...)
		require.Regexp(t, pattern(s.want), r.stdout+r.stderr, s.command)
		exit = r.exit
	}
}

func (d *drill) olderHeads(t *testing.T) {
	d.vault.putHead(t, "order-4711", d.old)
	for _, block := range steps(t, "Heads older than the objects") {
		d.follow(t, block)
	}
}

func (d *drill) noHeads(t *testing.T) {
	d.vault.removeHead(t, "order-4711")
	d.vault.removeHead(t, "order-4712")
	for _, block := range steps(t, "Missing heads") {
		d.follow(t, block)
	}
}

func (d *drill) newerHeads(t *testing.T) {
	name := d.chain[2].ObjectName()
	kept, record := d.vault.object(t, name), d.vault.head(t, "order-4711")
	d.vault.removeObject(t, name)
	blocks := steps(t, "Heads newer than the objects")
	require.Len(t, blocks, 2)
	d.follow(t, blocks[0])

	d.vault.putObject(t, name, kept) // brought back
	require.Zero(t, d.command.run(t, d.environment, "", "verify", "--all").exit)

	d.vault.removeObject(t, name)
	d.vault.removeHead(t, "order-4711")
	d.follow(t, blocks[1])

	d.vault.putObject(t, name, kept) // found again, too late but for the record
	d.vault.putHead(t, "order-4711", record)
	require.Zero(t, d.command.run(t, d.environment, "", "verify", "--all").exit)
}

// run follows the whole page, healing the store with each of its sections.
func (d *drill) run(t *testing.T) {
	t.Run("older heads", d.olderHeads)
	t.Run("no heads", d.noHeads)
	t.Run("newer heads", d.newerHeads)
}

func TestRestoreOverClouds(t *testing.T) {
	t.Parallel()
	c := buildCommand(t)
	overClouds(t, func(t *testing.T, cloud cloud) {
		place := cloud.open(t)
		changesets, _ := place.stores(t, direct)
		environment := append(place.environment(t), "ROPEWALK_STORE="+place.url())
		newDrill(t, c, environment, place.(interface{ vault() vault }).vault(), changesets.(inspect.Changesets)).run(t)
	})
}

func TestRestoreSQLite(t *testing.T) {
	t.Parallel()
	c := buildCommand(t)
	store, v, path := newSQLite(t)
	d := newDrill(t, c, []string{"ROPEWALK_STORE=file:" + path}, v, store)
	d.run(t)

	backup := filepath.Join(t.TempDir(), "backup.db") // of one moment
	require.NoError(t, store.Backup(t.Context(), backup))
	require.Zero(t, c.run(t, d.environment, "later\n", "append", "order-4711", "--any").exit)
	restored := []string{"ROPEWALK_STORE=file:" + backup}
	r := c.run(t, restored, "", "verify", "--all")
	require.Zero(t, r.exit, r.stderr)
	require.Empty(t, r.stderr)
	require.Contains(t, r.stdout, "4 changesets, 56 B: 0 corrupt, 0 orphans, 0 pending")
	copied, err := sqlitestore.Open(backup, nil)
	require.NoError(t, err)
	require.NoError(t, copied.Close())
}
