package ndjson

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

func TestEventsOfOddContents(t *testing.T) {
	for content, want := range map[string]string{
		"":                                     "4 none",
		"\n \r\n":                              "4 none",
		"{\"type\":\"caf\xe9\"}\n":             "4 none", // not UTF-8
		"\x00\x01\x02":                         "4 none",
		"{\n  \"type\": \"a\"\n}":              "4 none", // not on one line
		`{"n":1}`:                              "4 none",
		`{"event":{"type":"a"}}`:               "4 none",
		`[{"type":"a"}]`:                       "4 none",
		`{"type":7}`:                           "4 none",
		`{"type":""}`:                          "4 none",
		`{"Type":"a"}`:                         "4 none",
		`"type"`:                               "4 none",
		`{"type":"a"}`:                         "4.0 a",
		"{\"type\":\"a\"}\r\n":                 "4.0 a",
		"\n\r\n{\"type\":\"a\"}\n\n":           "4.0 a",
		"{\"type\":\"a\"}\r\n{\"type\":\"b\"}": "4.0 a, 4.1 b",
		"{\"type\":\"a\"}\n\n{\"n\":1}\n{\"ty\n{\"type\":\"b\"}":             "4.0 a, 4.1 -, 4.2 -, 4.3 b",
		`{"type":"a","id":7,"Id":"x","ID":"y"}`:                              `4.0 a other={"id":7,"Id":"x","ID":"y"}`,
		"{\"type\":\"a\",\"type\":\"b\"}\n{\"type\":\"c\"}":                  "4.0 -, 4.1 c", // the library rejects a repeated field, too
		`{"type":"a","meta":[],"time":null,"data":null}`:                     `4.0 a data=null other={"meta":[],"time":null}`,
		`{"type":"a","data":{"type":"b"},"meta":{"k":"v"},"time":"t","x":1}`: `4.0 a time=t data={"type":"b"} meta={"k":"v"} other={"x":1}`,
	} {
		var got []string
		for e := range Events(contentOf(content), false) {
			got = append(got, describe(e))
		}
		require.Equal(t, want, strings.Join(got, ", "), "%q", content)
	}
	c := contentOf(`{"type":"a"}`)
	c.ContentType = "application/json"
	require.False(t, HasEvents(c))
	c.ContentType = "Application/X-NDJSON; charset=utf-8"
	require.True(t, HasEvents(c))
	c.ContentType = "; ;"
	require.False(t, HasEvents(c))
}

func describe(e Event) string {
	if e.Index < 0 {
		return fmt.Sprintf("%d none", e.Version)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d.%d %s", e.Version, e.Index, e.Type)
	if e.Type == "" {
		text.WriteString("-")
	}
	for _, field := range [][2]string{{"id", e.ID}, {"time", e.Time}, {"data", string(e.Data)}, {"meta", string(e.Meta)}, {"other", string(e.Other)}} {
		if field[1] != "" {
			text.WriteString(" " + field[0] + "=" + field[1])
		}
	}
	return text.String()
}

func contentOf(content string) changeset.Changeset {
	h := changeset.Header{Ref: changeset.Ref{AggregateID: "order", Version: 4}}
	h.ContentType, h.BodySize = ContentType, int64(len(content))
	return changeset.Changeset{Header: h, Content: []byte(content)}
}
