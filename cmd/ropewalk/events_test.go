package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk/aggregate"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// noStreams print nothing.
var noStreams = ui.NewStreams(nil, io.Discard, io.Discard, nil)

func contentOf(content string) changeset.Changeset {
	h := changeset.Header{Ref: changeset.Ref{AggregateID: "order", Version: 4}, RecordedAt: time.Unix(0, 0)}
	h.ContentType, h.BodySize = ndjson.ContentType, int64(len(content))
	return changeset.Changeset{Header: h, Content: []byte(content)}
}

// shown returns what show prints of the events in content.
func shown(t require.TestingT, content string) string {
	var out bytes.Buffer
	require.NoError(t, showEvents(newCommand(nil, &out, nil, nil).Streams, contentOf(content)))
	return out.String()
}

var anyContent = rapid.SliceOf(rapid.OneOf(
	rapid.SampledFrom([]string{"\n", "\r\n", " ", "{", "}", `"`, `"type":"a"`, `{"type":"a"}`, `{"type":"b\u001b","data":[1,{"c":"\u202e"}]}`, "\x1b[31m", "\u202e", "\u0085", "é", "\xff"}),
	rapid.String(),
))

// raws is an aggregate type that keeps events as they are stored.
var raws = aggregate.Type[int, aggregate.Raw]{
	Name: "raw", Events: aggregate.Events[aggregate.Raw]{"raw": {}},
	Evolve:  func(n int, _ aggregate.Raw) int { return n + 1 },
	Unknown: func(r aggregate.Raw) (aggregate.Raw, bool) { return r, true },
}

var anyFields = rapid.SliceOfN(rapid.SampledFrom([]string{
	`"type":"a"`, `"type":"b"`, `"Type":"c"`, `"type":7`, `"\u0074ype":"d"`, `"data":1`, `"data":{"n":[2]}`, `"DATA":3`, `"data":null`,
	`"id":"x"`, `"ID":7`, `"id":8`, `"id":null`, `"meta":{"k":"v"}`, `"meta":{"k":1}`, `"meta":{"k":"v","k":"w"}`, `"META":[]`, `"meta":[]`,
	`"time":"2016-12-31T23:59:60Z"`, `"time":"2016-12-31t23:59:59z"`, `"time":"2016-12-31T23:59:59,5Z"`, `"time":"2016-12-31T23:59:59+24:00"`, `"other":"\ud800"`,
}), 1, 6)

// The command and package aggregate agree on what an event is: what the
// package reads, the command lists with the same fields, and what the command
// calls no event, the package cannot read.
func TestCommandAndPackageAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := "{" + strings.Join(anyFields.Draw(t, "fields"), ",") + "}"
		records, err := raws.Decode([]byte(line))
		for e := range ndjson.Events(contentOf(`{"type":"first"}`+"\n"+line), true) {
			if e.Index == 0 {
				continue
			}
			require.False(t, e.Type == "" && err == nil, "the package alone reads %s", line)
			if err != nil {
				continue
			}
			raw := records[0].Event
			require.Equal(t, []string{raw.Type, raw.ID, string(raw.Data)}, []string{e.Type, e.ID, string(e.Data)}, line)
			for key, value := range raw.Metadata {
				require.Equal(t, value, ndjson.MetaText(e.Meta)[key])
			}
			if e.Time != "" {
				require.Equal(t, ui.Precisely(raw.Time), eventTime(e, ui.Precisely))
			}
		}
	})
}

// For any content, people see text, and programs JSON by the schema.
func TestEventsAreText(t *testing.T) {
	schemas := compileSchemas(t)
	rapid.Check(t, func(t *rapid.T) {
		c := contentOf(strings.Join(anyContent.Draw(t, "content"), ""))
		c.ID, c.BodySHA256, c.Digest = changeset.ID{6: 0x70, 8: 0x80}, changeset.Digest{1}, changeset.Digest{1}
		texts := []string{}
		for e := range ndjson.Events(c, rapid.Bool().Draw(t, "backward")) {
			texts = append(texts, eventRow(noStreams, e, rapid.Bool().Draw(t, "full"))...)
			line, err := ui.Marshal(newEventJSON(e))
			require.NoError(t, err)
			require.NoError(t, schemas.check(line))
		}
		if ndjson.HasEvents(c) {
			texts = append(texts, strings.ReplaceAll(shown(t, string(c.Content)), "\n", ""))
		}
		for _, text := range texts {
			require.True(t, utf8.ValidString(text))
			require.NotContains(t, text, "\u202e")
			require.False(t, strings.ContainsFunc(text, unicode.IsControl), "%q", text)
		}
	})
}

// The output of show is bounded. Everything that fits is in it.
func TestShowOfLargeEvents(t *testing.T) {
	line := func(data string) string { return `{"type":"a","data":` + data + "}\n" }
	big := `"` + strings.Repeat("x", 64<<10) + `"`
	require.Equal(t, "\n4.0  a\n     "+big+"\n", shown(t, line(big)))

	got := shown(t, strings.Repeat(line(`{"n":1}`), 100_000))
	require.Greater(t, len(got), maxShown)
	require.Less(t, len(got), maxShown+2*ui.MaxCell)
	require.True(t, strings.HasPrefix(got, "\n4.0  a\n     {\n       \"n\": 1\n     }\n\n4.1  a\n"))
	require.True(t, strings.HasSuffix(got, "(cut short: ropewalk cat order@4."+changeset.ID{}.String()+" gives all 2,800,000 bytes)\n"))

	huge := `"` + strings.Repeat("x", 2*maxShown) + `"`
	for _, content := range []string{line(huge), line("1") + line(huge) + line("2"), line("1") + huge} {
		got = shown(t, content)
		require.Less(t, len(got), maxShown+2*ui.MaxCell)
		require.Contains(t, got, "xxx…\n\n(cut short: ")
		require.NotContains(t, got, "     2\n")
	}

	// Indented, this would take 400 MB.
	deep := strings.Repeat("[", 9_990) + strings.Repeat("]", 9_990)
	require.Equal(t, "\n4.0  a\n     "+deep+"\n", shown(t, line(deep)))
	require.NotContains(t, shown(t, strings.Repeat(line(`"x"`), 1000)), "cut short")
}

// Imported events name their aggregate, which the heading of show does already.
func TestShowOfImportedEvents(t *testing.T) {
	require.Equal(t, "\n4.0  a\n     1\n", shown(t, `{"aggregate":"order","type":"a","data":1}`))
	require.Equal(t, "\n4.0  a\n     1\n", shown(t, `{"type":"a","data":1,"order":"\u006frder"}`))
	require.Equal(t, "\n4.0  a\n", shown(t, `{"aggregate":"order","type":"a"}`))
	require.Equal(t, "\n4.0  a\n     {\n       \"data\": 1,\n       \"aggregate\": \"other\"\n     }\n", shown(t, `{"aggregate":"other","type":"a","data":1}`))
}

// indentedSize is never below what json.Indent makes.
func TestIndentedSize(t *testing.T) {
	for _, value := range []string{`1`, `"a"`, `[]`, `{}`, `[1,2,[3]]`, `{"a":{"b":[1,"\"[,:{\\"]},"c":","}`, `[[[[[[[[1]]]]]]]]`, `"\\"`, `["\\",1]`} {
		var out bytes.Buffer
		require.NoError(t, json.Indent(&out, []byte(value), eventIndent, "  "))
		require.GreaterOrEqual(t, indentedSize(value), out.Len(), value)
		require.LessOrEqual(t, indentedSize(value), 2*out.Len()+20, value)
	}
}

// Cells are bounded, whatever the events hold.
func TestRowsOfLargeEvents(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("\x1b", 1<<16)
	quoted, err := json.Marshal(long)
	require.NoError(t, err)
	content := fmt.Sprintf(`{"type":%[1]s,"id":%[1]s,"time":%[1]s,"meta":{%[1]s:%[1]s}}`+"\n", quoted) + long + "\n" + `{"n":` + string(quoted) + "}"
	for e := range ndjson.Events(contentOf(content), false) {
		for _, cell := range eventRow(noStreams, e, true) {
			require.Less(t, len(cell), 7*ui.MaxCell)
			require.NotContains(t, cell, "\x1b")
		}
	}
}

// log --events -n reads no more changesets than it has to.
func TestEventLogReadsWhatItLists(t *testing.T) {
	p := newTestPlace()
	chain := p.store(t).Chain("order")
	h, err := chain.Create(t.Context(), changeset.Draft{Content: []byte(`{"type":"first"}`), ContentType: ndjson.ContentType})
	require.NoError(t, err)
	for range 60 {
		h, err = chain.Append(t.Context(), h, changeset.Draft{Content: []byte("{\"type\":\"a\"}\n{\"type\":\"b\"}\n"), ContentType: ndjson.ContentType})
		require.NoError(t, err)
	}
	got := p.run(t.Context(), "", "log", "order", "--events", "-n", "3", "--verbose")
	require.Zero(t, got.exit, got.stderr)
	require.Regexp(t, `^EVENT .*\n60\.1   b .*\n60\.0   a .*\n59\.1   b .*\n$`, got.stdout)
	require.LessOrEqual(t, strings.Count(got.stderr, "\n"), 5, got.stderr)

	reversed := p.run(t.Context(), "", "log", "order", "--events", "-n", "3", "--reverse")
	require.Regexp(t, `^EVENT .*\n59\.1   b .*\n60\.0   a .*\n60\.1   b .*\n$`, reversed.stdout)
	all := p.run(t.Context(), "", "log", "order", "--events")
	require.Equal(t, 122, strings.Count(all.stdout, "\n"))
	require.Regexp(t, `\n0\.0    first .*\n$`, all.stdout)
}
