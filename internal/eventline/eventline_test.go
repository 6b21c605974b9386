package eventline_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk/internal/eventline"
)

func TestNamesOfFieldsAreExact(t *testing.T) {
	for text, want := range map[string]eventline.Line{
		`{"type":"a","Type":"b","TYPE":"c"}`:            {Type: "a", Other: json.RawMessage(`{"Type":"b","TYPE":"c"}`)},
		`{"Type":"b","type":"a"}`:                       {Type: "a", Other: json.RawMessage(`{"Type":"b"}`)},
		`{"type":"a","data":1,"DATA":2,"Data":3}`:       {Type: "a", Data: json.RawMessage(`1`), Other: json.RawMessage(`{"DATA":2,"Data":3}`)},
		`{"type":"a","ID":7,"Time":"x","META":[]}`:      {Type: "a", Other: json.RawMessage(`{"ID":7,"Time":"x","META":[]}`)},
		`{"\u0074ype":"\u0061"}`:                        {Type: "a"},
		`{"type":"a","ıd":1,"ſ":2}`:                     {Type: "a", Other: json.RawMessage(`{"ıd":1,"ſ":2}`)},
		` { "type" : "a" , "x" : [ 1 , "]" ] } ` + "\r": {Type: "a", Other: json.RawMessage(`{"x":[ 1 , "]" ]}`)},
		`{"type":"a","x":1,"x":2}`:                      {Type: "a", Other: json.RawMessage(`{"x":1,"x":2}`)},
	} {
		got, err := eventline.Parse([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestLinesThatAreNoEvents(t *testing.T) {
	for text, says := range map[string]string{
		``:                                     "unexpected end",
		`{"type":"a"`:                          "unexpected end",
		`{"type":"a"} x`:                       "invalid character",
		"\u00a0":                               "invalid character",
		"\ufeff" + `{"type":"a"}`:              "byte order mark",
		"{\"type\":\"\xff\"}":                  "not UTF-8",
		`[{"type":"a"}]`:                       "not a JSON object",
		`"type"`:                               "not a JSON object",
		`{}`:                                   `"type" is missing`,
		`{"type":7}`:                           `"type" is missing`,
		`{"type":""}`:                          `"type" is missing`,
		`{"Type":"a"}`:                         `"type" is missing`,
		`{"type":"a","type":"a"}`:              `"type" is repeated`,
		`{"type":"a","\u0074ype":"b"}`:         `"type" is repeated`,
		`{"type":"a","id":7,"id":"x"}`:         `"id" is repeated`,
		`{"type":"a","time":null,"time":null}`: `"time" is repeated`,
		`{"type":"a","data":1,"data":1}`:       `"data" is repeated`,
		`{"type":"a","meta":{},"meta":{}}`:     `"meta" is repeated`,
		`{"type":"a","meta":{"k":"1","k":2}}`:  `"k" of the field "meta" is repeated`,
	} {
		_, err := eventline.Parse([]byte(text))
		require.ErrorContains(t, err, says, text)
	}
}

func TestEvents(t *testing.T) {
	line, err := eventline.Parse([]byte(`{"data":null,"meta":{"b":"","a":"\"1","c":null},"time":"2010-10-02T09:20:39.266+02:00","id":"7","type":"a"}`))
	require.NoError(t, err)
	event, err := line.Event()
	require.NoError(t, err)
	require.Equal(t, 7, event.Time.UTC().Hour())
	event.Time = time.Time{}
	require.Equal(t, eventline.Event{Type: "a", ID: "7", Data: json.RawMessage("null"), Metadata: map[string]string{"a": `"1`, "b": "", "c": ""}}, event)

	for text, says := range map[string]string{
		`{"type":"a"}`:                            `"data" is missing`,
		`{"type":"a","data":1,"id":7}`:            `"id" has a value of another kind`,
		`{"type":"a","data":1,"time":1}`:          `"time" has a value of another kind`,
		`{"type":"a","data":1,"meta":[]}`:         `"meta" has a value of another kind`,
		`{"type":"a","data":1,"meta":{"k":true}}`: `"k" of the field "meta" is not a string`,
		`{"type":"a","data":1,"time":"noon"}`:     `"noon" is not one of RFC 3339`,
	} {
		line, err := eventline.Parse([]byte(text))
		require.NoError(t, err, text)
		_, err = line.Event()
		require.ErrorContains(t, err, says, text)
	}
	for _, text := range []string{`{"type":"a","data":1,"id":null,"time":null,"meta":null}`, `{"type":"a","data":1,"id":"","time":""}`} {
		line, err := eventline.Parse([]byte(text))
		require.NoError(t, err)
		event, err := line.Event()
		require.NoError(t, err)
		require.Equal(t, eventline.Event{Type: "a", Data: json.RawMessage("1")}, event)
	}
}

// An event may be changed; the content that it was read from may be shared.
func TestEventsHaveTheirOwnData(t *testing.T) {
	text := []byte(`{"type":"a","data":[1]}`)
	line, err := eventline.Parse(text)
	require.NoError(t, err)
	event, err := line.Event()
	require.NoError(t, err)
	copy(event.Data, "[2]")
	require.Equal(t, `{"type":"a","data":[1]}`, string(text))
}

// Lines are the same forward and backward. Only JSON's own space is blank.
func TestLines(t *testing.T) {
	piece := rapid.OneOf(rapid.SampledFrom([]string{"\n", "\r\n", " ", "\t", "\u00a0", "\u0085", "\v", "a", "{}"}), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		content := strings.Join(rapid.SliceOf(piece).Draw(t, "content"), "")
		type place struct {
			i    int
			text string
		}
		var want, forward, backward []place
		for _, line := range strings.Split(content, "\n") {
			if line = strings.Trim(line, " \t\r"); line != "" {
				want = append(want, place{len(want), line})
			}
		}
		for i, text := range eventline.Lines([]byte(content)) {
			forward = append(forward, place{i, string(text)})
		}
		for i, text := range eventline.LinesBackward([]byte(content)) {
			backward = append(backward, place{i, string(text)})
		}
		slices.Reverse(backward)
		require.Equal(t, want, forward)
		require.Equal(t, want, backward)
		require.Equal(t, len(want), eventline.CountLines([]byte(content)))
	})
}

// A loop over lines or fields can end early.
func TestLoopsThatBreak(t *testing.T) {
	n := 0
	for range eventline.Lines([]byte("a\nb")) {
		n++
		break
	}
	for range eventline.LinesBackward([]byte("a\nb")) {
		n++
		break
	}
	for range eventline.Fields([]byte(`{"a":1,"b":2}`)) {
		n++
		break
	}
	require.Equal(t, 3, n)
	require.Empty(t, maps.Collect(eventline.Fields(nil)))
}

func BenchmarkParse(b *testing.B) {
	text := []byte(`{"type":"line-added","id":"0199a3f0-8a4e-7c1b-9d0e-5b1c6a7f2e10","time":"2026-05-04T10:00:00.000000007Z","data":{"Item":"rope","Quantity":2},"meta":{"correlation":"91c2"}}`)
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			line, err := eventline.Parse(text)
			if err == nil {
				_, err = line.Event()
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		for b.Loop() {
			var line struct {
				Type, ID, Time string
				Data           json.RawMessage
				Meta           map[string]string
			}
			if err := json.Unmarshal(text, &line); err != nil {
				b.Fatal(err)
			}
			if _, err := time.Parse(time.RFC3339Nano, line.Time); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestFieldsOfAnObjectBetweenSpaces(t *testing.T) {
	var names []string
	for name, value := range eventline.Fields([]byte(" \t{ \"a\" : 1 , \"a\":{\"b\":[2]} } \r")) {
		names = append(names, name+"="+string(value))
	}
	require.Equal(t, []string{"a=1", `a={"b":[2]}`}, names)
}

func TestReplaceData(t *testing.T) {
	for line, want := range map[string]string{
		` {"type":"a", "data" : {"data":1} , "meta":{"data":2}}` + "\r": ` {"type":"a", "data" : null , "meta":{"data":2}}` + "\r",
		`{"\u0064ata":[1],"type":"a"}`:                                  `{"\u0064ata":null,"type":"a"}`,
		`{"type":"data","Data":1}`:                                      `{"type":"data","Data":1}`,
	} {
		got := eventline.ReplaceData([]byte(line), []byte("null"))
		require.Equal(t, want, string(got))
	}
}
