package eventline_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/internal/eventline"
)

func TestTimes(t *testing.T) {
	for text, want := range map[string]string{
		"2016-12-31T23:59:59Z":              "2016-12-31T23:59:59Z",
		"2016-12-31t23:59:59z":              "2016-12-31T23:59:59Z",
		"2016-12-31T23:59:60Z":              "2017-01-01T00:00:00Z", // a leap second is the second after it
		"2016-12-31t23:59:60.5z":            "2017-01-01T00:00:00.5Z",
		"1990-12-31T15:59:60-08:00":         "1991-01-01T00:00:00Z",
		"2017-01-01T05:29:60+05:30":         "2017-01-01T00:00:00Z",
		"2015-06-30T23:59:60+00:00":         "2015-07-01T00:00:00Z",
		"1985-04-12T23:20:50.52Z":           "1985-04-12T23:20:50.52Z",
		"1996-12-19T16:39:57-08:00":         "1996-12-20T00:39:57Z",
		"1937-01-01T12:00:27.87+00:20":      "1937-01-01T11:40:27.87Z",
		"2000-02-29T00:00:00-00:00":         "2000-02-29T00:00:00Z",
		"0000-01-01T00:00:00Z":              "0000-01-01T00:00:00Z",
		"2026-01-01T00:00:00.1234567899Z":   "2026-01-01T00:00:00.123456789Z",
		"2026-01-01T00:00:00.000000000001Z": "2026-01-01T00:00:00Z",
		"2026-01-01T00:00:00+23:59":         "2025-12-31T00:01:00Z",
	} {
		got, err := eventline.ParseTime(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got.UTC().Format(time.RFC3339Nano), text)
	}
	for _, text := range []string{
		"", "noon", "2016-12-31", "2016-12-31T23:59:59", "2016-12-31 23:59:59Z", "2016-12-31T23:59:59,5Z", "2016-12-31T23:59:59.Z",
		"2016-12-31T23:59:59+24:00", "2016-12-31T23:59:59+01:60", "2016-12-31T23:59:59+0100", "2016-12-31T23:59:59+01", "2016-12-31T23:59:59ZZ",
		"2016-12-31T23:59:61Z", "2016-12-31T23:60:00Z", "2016-12-31T24:00:00Z", "2016-13-01T00:00:00Z", "2016-00-01T00:00:00Z",
		"2015-02-29T00:00:00Z", "2016-01-00T00:00:00Z", "2016-1-01T00:00:00Z", "02016-01-01T00:00:00Z", "+016-01-01T00:00:00Z", "٢٠١٦-01-01T00:00:00Z",
		"2016-12-31T12:00:60Z", "2016-12-31T23:58:60Z", "2016-12-30T23:59:60Z", "2016-12-31T23:59:60+01:00", // no leap second comes there
		"2016-12-31T23:59:59Z ", "2016-12-31T23:59:59 Z", "2016-12-31T23:59:59−08:00",
	} {
		_, err := eventline.ParseTime(text)
		require.ErrorContains(t, err, "is not one of RFC 3339", text)
	}
}

// grammar is RFC 3339's, section 5.6, with the ranges that its comments give.
var grammar = regexp.MustCompile(`^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// referenceTime reads a time slowly: by the grammar, and by time.Parse for the
// lengths of months. A leap second is the second 59 and one more.
func referenceTime(text string) (time.Time, bool) {
	if !grammar.MatchString(text) {
		return time.Time{}, false
	}
	text = strings.ToUpper(text)
	leap := text[17:19] == "60"
	if leap {
		text = text[:17] + "59" + text[19:]
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || !leap {
		return at, err == nil
	}
	u := at.UTC()
	return at.Add(time.Second), u.Hour() == 23 && u.Minute() == 59 && u.AddDate(0, 0, 1).Day() == 1
}

func FuzzParseTime(f *testing.F) {
	for _, text := range []string{
		"2016-12-31T23:59:60Z", "2016-12-31t23:59:59z", "2016-12-31T23:59:59,5Z", "2016-12-31T23:59:59+24:00",
		"1990-12-31T15:59:60-08:00", "2000-02-29T00:00:00.123456789123Z", "2016-12-31T12:00:60Z", "2015-02-29T00:00:00Z",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, valid := referenceTime(text)
		got, err := eventline.ParseTime(text)
		require.Equal(t, valid, err == nil, "%q: %v", text, err)
		if valid {
			require.True(t, want.Equal(got), "%q: %s, want %s", text, got, want)
		}
	})
}
