package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk/cmd/ropewalk/internal/ndjson"
)

// spaces are what JSON allows around a value, and what only looks like a space.
var spaces = rapid.SampledFrom([]string{"", "", "", " ", "\t", "\r", "  \r", "\u00a0", "\v", "\ufeff"})

// importLine draws a line for import: events of one aggregate, mostly as they should be.
func importLine(t *rapid.T, field string) string {
	id := rapid.SampledFrom([]string{`"a"`, `"a"`, `"a"`, `"\u0061"`, `"\ud83d\ude00"`, `"\ud800"`, `"\udfff"`, `"\ufffd"`, `7`, `null`, `""`}).Draw(t, "id")
	extra := rapid.SampledFrom([]string{"", "", `,"n":1`, `,"aggregate":"b"`, `,"content":[1]`, `,"x":"\ud800"`, ` , "s" : "a b" `, `,"` + field + `":"b"`}).Draw(t, "extra")
	object := rapid.SampledFrom([]string{`{"` + field + `":` + id + extra + `}`, `{ "n":0,"` + field + `":` + id + extra + `}`, `{"n":1}`, `[]`, `{`, ""}).Draw(t, "object")
	return spaces.Draw(t, "before") + object + spaces.Draw(t, "after")
}

// Each line of an import comes out as it went in, or is rejected by its number.
func TestEveryLineComesOutOrIsRejected(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		field := rapid.SampledFrom([]string{"aggregate", "order", "content", "a.b"}).Draw(rt, "field")
		group := strconv.Itoa(rapid.IntRange(1, 3).Draw(rt, "group"))
		args := []string{"import", "-", "--aggregate-field", field, "--group", group, "--parallel", "1", "--allow-empty"}
		var good []string
		for number, line := range rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return importLine(t, field) }), 1, 8).Draw(rt, "lines") {
			p := newTestPlace()
			input := strings.Join(append(good[:len(good):len(good)], line), "\n") // the last line has no newline
			got := p.run(t.Context(), input, args...)
			if got.exit != 0 {
				require.Equal(rt, 2, got.exit, got.stderr)
				require.Contains(rt, got.stderr, "-, line "+strconv.Itoa(len(good)+1)+": ", "line %d of the draw", number)
				continue
			}
			if line = strings.TrimPrefix(line, markAtStart(good)); strings.Trim(line, " \t\r") != "" {
				good = append(good, line)
			}
		}
		requireSameExport(t, rt, good, args)
	})
}

// markAtStart is what import skips before the first line.
func markAtStart(before []string) string {
	if len(before) == 0 {
		return string(ndjson.ByteOrderMark)
	}
	return ""
}

func requireSameExport(t *testing.T, rt *rapid.T, good, args []string) {
	input := strings.Join(good, "\n")
	p := newTestPlace()
	got := p.run(t.Context(), input, args...)
	require.Zero(rt, got.exit, got.stderr)
	out := p.run(t.Context(), "", "export")
	require.Zero(rt, out.exit, out.stderr)
	byAggregate := func(text string) map[string][]string {
		all := map[string][]string{}
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			id, err := ndjson.AggregateOf([]byte(line), args[3])
			require.NoError(rt, err)
			all[id] = append(all[id], line)
		}
		return all
	}
	require.Equal(rt, byAggregate(input), byAggregate(out.stdout))
	again := p.run(t.Context(), out.stdout, args...)
	require.Zero(rt, again.exit, "the store takes its own export: %s", again.stderr)
	require.True(rt, strings.HasPrefix(again.stdout, "imported 0 aggregates"), again.stdout)
}

// An export of any contents, imported into another store, is the same export.
func TestExportsSurviveAnotherStore(t *testing.T) {
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
	content := rapid.SampledFrom([]string{
		`{"n":1}`, "{\"aggregate\":\"a\"}\r\n\n {\"n\":2} ", `{"aggregate":"b"}`, `{"aggregate":"a","aggregate":"a"}`, `{"aggregate":"\ud800"}`, "", " ", "\u00a0", "\ufeff{}",
		"[1,\n2]", "{\n\"n\":\r1}", "\"\\ud800\"", "\xff", "null", "{ }\n{\"content\":1}", "{\"aggregate\":\"a\"}\v", deep, "{\"order\":\"a\"}\n",
	})
	rapid.Check(t, func(rt *rapid.T) {
		args := []string{"append", "a", "--any", "--allow-empty"}
		folder := t.TempDir()
		for i, text := range rapid.SliceOfN(content, 1, 5).Draw(rt, "contents") {
			file := filepath.Join(folder, strconv.Itoa(i))
			require.NoError(rt, os.WriteFile(file, []byte(text), 0o600))
			args = append(args, file)
		}
		field := rapid.SampledFrom([][]string{nil, {"--aggregate-field", "order"}}).Draw(rt, "field")
		one, other := newTestPlace(), newTestPlace()
		require.Zero(rt, one.run(t.Context(), "", args...).exit)
		out := one.run(t.Context(), "", append([]string{"export"}, field...)...)
		require.Zero(rt, out.exit, out.stderr)
		got := other.run(t.Context(), out.stdout, append([]string{"import", "-"}, field...)...)
		require.Zero(rt, got.exit, got.stderr)
		require.Equal(rt, out, other.run(t.Context(), "", "export"))
	})
}
