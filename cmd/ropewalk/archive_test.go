package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
)

// runs runs a command twice: with text, and with JSON that follows its schema.
func (p *testPlace) runs(t *testing.T, exit int, args ...string) (text, json result) {
	t.Helper()
	text = p.run(t.Context(), "", args...)
	require.Equal(t, exit, text.exit, text.stderr)
	json = p.run(t.Context(), "", append(args, "--json")...)
	require.Equal(t, exit, json.exit, json.stderr)
	requireJSON(t, json)
	return text, json
}

func TestArchiveCommands(t *testing.T) {
	p, dst := newBarePlace(t), filepath.Join(t.TempDir(), "orders archive")
	text, _ := p.runs(t, 3, "archive", dst)
	require.Contains(t, text.stderr, "hint: a relay makes it: ropewalk relay --once\n")
	require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)

	text, json := p.runs(t, 0, "archive", dst)
	require.Regexp(t, `^archived 3 changesets, 3 rows in 1 file, [\d.]+ kB\n$`, text.stdout)
	require.Contains(t, json.stdout, `"changesets":0,"rows":0,"files":0,`)
	text, _ = p.runs(t, 0, "verify", "--archive", dst)
	require.Regexp(t, `^verified 2 aggregates, 3 changesets, 3 rows in 1 file, [\d.]+ kB: 0 wrong, 0 orphans\n$`, text.stdout)

	require.Zero(t, p.run(t.Context(), "", "erase", "order-1", "--yes").exit)
	require.Zero(t, p.run(t.Context(), "", "relay", "--once").exit)
	text, json = p.runs(t, 0, "verify", "--archive", dst)
	require.Regexp(t, "verified 1 aggregate, 1 changeset, 3 rows in 1 file", text.stdout)
	require.Equal(t, "warning: 2 rows of erased aggregates, which nothing can prove: ropewalk archive '"+dst+"', and then ropewalk archive erase '"+dst+"'\n", text.stderr)
	require.Contains(t, json.stdout, `"unproved":2,"orphans":0,"wrong":0`)
	text, json = p.runs(t, 0, "archive", dst)
	require.Equal(t, "archived 0 changesets, 0 rows in 0 files, 0 B, and recorded 1 erasure\n", text.stdout)
	require.Equal(t, "warning: 1 erased aggregate may still have rows in the archive: ropewalk archive erase '"+dst+"'\n", text.stderr)
	require.Contains(t, json.stdout, `"erased":0,"pending":1,`)
	text, json = p.runs(t, 0, "archive", "erase", dst)
	require.Equal(t, "erased 1 aggregate: 2 rows in 1 file, 1 file deleted\n", text.stdout)
	require.Contains(t, json.stdout, `"aggregates":0,"rows":0,"files":0,"deleted":0`)
	text, _ = p.runs(t, 0, "verify", "--archive", dst)
	require.Empty(t, text.stderr)
}

func TestVerifyArchiveFinds(t *testing.T) {
	p, dst := newTestPlace(), t.TempDir()
	p.append(t, "order-1", `{"n":1}`, `{"n":2}`)
	p.runs(t, 0, "archive", dst)
	p.memory.Tamper(func(stored *memstore.Contents) {
		for name, o := range stored.Objects {
			if ref, _ := changeset.ParseObjectName(name); ref.Version == 1 {
				o.ContentType = "text/plain"
			}
		}
	})
	text, json := p.runs(t, 6, "verify", "--archive", dst)
	require.Regexp(t, `(?m)^order-1@1\.\S+: .*digest`, text.stdout)
	require.Regexp(t, `(?m)^order-1@1\.\S+: event 0 does not have the content_type of its changeset \(.*day=`, text.stdout)
	require.Contains(t, text.stderr, "error: verify found 2 faults in the archive\nhint: ")
	require.Contains(t, json.stdout, `{"v":1,"kind":"archive-finding","ref":"order-1@1.`)
	files, err := filepath.Glob(filepath.Join(dst, "day=*", "*", "*.parquet"))
	require.NoError(t, err)
	require.NoError(t, os.Remove(files[0]))
	text, json = p.runs(t, 6, "verify", "--archive", dst)
	require.Contains(t, text.stdout, files[0]+": it is missing\n")
	require.Contains(t, json.stdout, `{"v":1,"kind":"archive-finding","file":"`)
}

// An archive of another history stays as it is, and the hint says what to do.
func TestArchiveOfAnotherHistory(t *testing.T) {
	p, other, dst := newTestPlace(), newTestPlace(), t.TempDir()
	for _, place := range []*testPlace{p, other} {
		place.append(t, "order-1", "1")
	}
	p.runs(t, 0, "archive", dst)
	for _, args := range [][]string{{"archive", dst}, {"verify", "--archive", dst}} {
		text, _ := other.runs(t, 4, args...)
		require.Contains(t, text.stderr, "hint: the archive stays as it is: ")
	}
	p.runs(t, 0, "verify", "--archive", dst)
}

func TestArchiveArguments(t *testing.T) {
	p, dst := newTestPlace(), filepath.Join(t.TempDir(), "missing")
	p.append(t, "order-1", "1")
	for want, args := range map[string][]string{
		"want a folder, or a URL": {"archive", "gs://bucket/"},
		"names no bucket":         {"archive", "s3:///prefix"},
		`parameter "heads"`:       {"archive", "azure://acme/?heads=h"},
		"--archive stands alone":  {"verify", "--archive", dst, "--all"},
		"the archive has no name": {"verify", "--archive", ""},
		"name the archive":        {"archive"},
		`unexpected argument`:     {"archive", "erase", dst, dst},
	} {
		text := p.run(t.Context(), "", args...)
		require.Equal(t, 2, text.exit, "%q: %s", args, text.stderr)
		require.Contains(t, text.stderr, want)
	}
	for _, args := range [][]string{{"verify", "--archive", dst}, {"archive", "erase", dst}} {
		text, _ := p.runs(t, 3, args...)
		require.Contains(t, text.stderr, "error: there is no archive in "+dst+"\nhint: check its name")
	}
	text, _ := p.runs(t, 7, "archive", filepath.Join(dst, "archive"))
	require.Contains(t, text.stderr, "error: there is no folder "+dst)
}

// A head that was damaged is found by the name of its aggregate.
func TestVerifyArchiveOfALostHead(t *testing.T) {
	p, dst := newTestPlace(), t.TempDir()
	p.append(t, "order-1", "1")
	p.runs(t, 0, "archive", dst)
	p.memory.Tamper(func(stored *memstore.Contents) { delete(stored.Heads, head.ObjectName("order-1")) })
	text, _ := p.runs(t, 6, "verify", "--archive", dst)
	require.Contains(t, text.stdout, "the chain does not have it")
}
