package head_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
)

// TestRecordOfTheDesign reads the heads that DESIGN.md shows, and writes them again.
func TestRecordOfTheDesign(t *testing.T) {
	design, err := os.ReadFile("../DESIGN.md")
	require.NoError(t, err)
	shown := regexp.MustCompile("(?m)^```json\n(.+)\n```$").FindAllSubmatch(design, -1)
	require.Len(t, shown, 4)
	for i, record := range shown {
		h, err := head.DecodeJSON("order/4711", "object", record[1])
		require.NoError(t, err)
		require.EqualValues(t, []int{1, 2, 1, 3}[i], h.Revision)
		require.Equal(t, i == 1, h.IsPacked())
		require.Equal(t, i == 2, h.State == head.Void)
		require.Equal(t, i == 3, h.Move.Done)
		again, err := head.EncodeJSON(h)
		require.NoError(t, err)
		require.Equal(t, string(record[1]), string(again))
	}
}

// TestEscapesOfCanonicalJSON holds unknown keys to the escapes that DESIGN.md
// lists, and unknown values to the form that they came in.
func TestEscapesOfCanonicalJSON(t *testing.T) {
	good := encode(t, headAt("order-4711", 2))
	with := func(key, value string) string { return `{"` + key + `":` + value + "," + good[1:] }
	for _, key := range []string{`!\"`, `!\\`, `!\b\f\n\r\t`, `!\u0000\u001f`, "!<>&'/\u007f\u0085\u00e9", `!\u2028\u2029`, ""} {
		for _, value := range []string{`1E2`, `"\u003c\/<"`, `{"z":[],"a":{}}`} {
			h, err := head.DecodeJSON("order-4711", "object", []byte(with(key, value)))
			require.NoError(t, err, "%s: %s", key, value)
			again, err := head.EncodeJSON(h)
			require.NoError(t, err)
			require.Equal(t, with(key, value), string(again))
		}
	}
	for _, key := range []string{`!\u0022`, `!\/`, `!\u0008`, `!\u001F`, "!\\u003c", "!\\u007f", "!\u2028", `!\u00e9`} {
		_, err := head.DecodeJSON("order-4711", "object", []byte(with(key, "1")))
		require.Error(t, err, key)
	}
}
