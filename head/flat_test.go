package head_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
)

// TestFlatRecordsNeedNoJSONParser: every record without fields of a later version is read
// the fast way, as package json reads it.
func TestFlatRecordsNeedNoJSONParser(t *testing.T) {
	flat := 0
	for name, h := range samples(t) {
		got, err := head.DecodeFlat(encode(t, h), nil)
		if h.Extra() != "" {
			require.Error(t, err, name)
			continue
		}
		flat++
		require.NoError(t, err, name)
		require.Equal(t, h, got, name)
	}
	require.Greater(t, flat, 5)
}

// FuzzDecodeFlat: what is read the fast way is read by package json, to the same head.
func FuzzDecodeFlat(f *testing.F) {
	for _, h := range samples(f) {
		record := encode(f, h)
		f.Add(record, "", "")
		f.Add(strings.Replace(record, `:"`, `:`, 1), "", "")
		row, err := head.EncodeRow(h)
		require.NoError(f, err)
		f.Add(row.Record, h.Digest.String(), "AAAA")
	}
	f.Add(`{"a":{"b":[1,2,{"c":"\ud800"}]}}`, "", "")
	f.Fuzz(func(t *testing.T, record, digest, ancestors string) {
		var beside map[string]string
		if digest != "" {
			beside = map[string]string{head.FieldDigest: digest, head.FieldAncestors: ancestors}
		}
		got, err := head.DecodeFlat(record, beside)
		if err != nil {
			return
		}
		want, err := head.DecodeByJSON(record, beside)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}
