package ndjson

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAggregatesOfLines(t *testing.T) {
	for line, want := range map[string]string{
		`{"aggregate":"a"}`: "a", `{ "x":{"aggregate":"b"}, "aggregate" : "\u0061" }`: "a", `{"aggregate":"\ud83d\ude00"}`: "😀", `{"aggregate":"\\ud800"}`: `\ud800`,
	} {
		got, err := AggregateOf([]byte(line), "aggregate")
		require.NoError(t, err, line)
		require.Equal(t, want, got)
	}
	for line, part := range map[string]string{
		`{"n":1}`:                           "is missing",
		`{"aggregate":"a","aggregate":"a"}`: "occurs 2 times",
		`{"aggregate":7}`:                   "is not a string: 7",
		`{"aggregate":null}`:                "is not a string: null",
		`{"aggregate":"\udfff"}`:            "half of a surrogate pair",
		`{"aggregate":""}`:                  "aggregate ID",
		`[1]`:                               "not a JSON object, but a JSON array",
		`null`:                              "not a JSON object, but null",
		`{`:                                 "not JSON",
		"\xff":                              "not UTF-8",
		"\xff\xfe{":                         "UTF-16",
		"\ufeff{}":                          "byte order mark",
	} {
		_, err := AggregateOf([]byte(line), "aggregate")
		require.ErrorContains(t, err, part, line)
	}
}
