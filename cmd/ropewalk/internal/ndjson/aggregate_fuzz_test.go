package ndjson

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzAggregateOf holds AggregateOf against a decoder.
func FuzzAggregateOf(f *testing.F) {
	for _, line := range []string{
		`{"aggregate":"a"}`, ` {"n":[1,{"aggregate":2}],"aggregate" : "\u0061\n"}`, `{"aggregate":"\ud83d\ude00"}`, `{"aggregate":"a","aggregate":"b"}`,
		`{"\u0061ggregate":"x"}`, `{"aggregate":7}`, `{"aggregate":null}`, `null`, `[1]`, `{`, `{} {}`, "", `"aggregate"`, `{"aggregate":"\udfff"}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var all map[string]json.RawMessage
		decodes := json.Unmarshal(line, &all)
		id, err := AggregateOf(line, "aggregate")
		if decodes != nil || all == nil {
			require.Error(t, err)
			return
		}
		var want *string
		decodes = json.Unmarshal(all["aggregate"], &want)
		if err == nil {
			require.NoError(t, decodes)
			require.Equal(t, *want, id)
		}
	})
}
