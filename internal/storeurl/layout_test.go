package storeurl_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/internal/storeurl"
)

func TestCutLayout(t *testing.T) {
	for raw, want := range map[string]struct {
		rest string
		storeurl.Layout
	}{
		"":                        {"", storeurl.Layout{}},
		"file:a.db":               {"file:a.db", storeurl.Layout{}},
		"file:a.db?format=packed": {"file:a.db", storeurl.Layout{Packed: true}},
		"file:a.db?mode=ro":       {"file:a.db?mode=ro", storeurl.Layout{}},
		"file:a?":                 {"file:a?", storeurl.Layout{}},
		"s3://b?tip=0":            {"s3://b", storeurl.Layout{TipSize: -1}},
		"s3://b?tip=262144":       {"s3://b", storeurl.Layout{TipSize: 256 << 10}},
		"aws://b?table=t&format=packed&region=%41&tip=1": {"aws://b?table=t&region=%41", storeurl.Layout{Packed: true, TipSize: 1}},
		"aws://b?formats=1&atip=2":                       {"aws://b?formats=1&atip=2", storeurl.Layout{}},
	} {
		rest, layout, err := storeurl.CutLayout(raw)
		require.NoError(t, err, raw)
		require.Equal(t, want.rest, rest, raw)
		require.Equal(t, want.Layout, layout, raw)
	}
	for raw, want := range map[string]string{
		"s3://b?format=":                     "want packed",
		"s3://b?format":                      "want packed",
		"s3://b?format=1":                    "want packed",
		"s3://b?format=packed&format=packed": "given twice",
		"s3://b?tip=1&tip=1":                 "given twice",
		"s3://b?tip=":                        "want a number of bytes",
		"s3://b?tip=3KiB":                    "want a number of bytes",
		"s3://b?tip=-1":                      "want a number of bytes",
		"s3://b?tip=262145":                  "at most 262144",
	} {
		_, _, err := storeurl.CutLayout(raw)
		require.ErrorContains(t, err, want, raw)
	}
}
