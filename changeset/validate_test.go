package changeset_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

func TestDraftLimits(t *testing.T) {
	pair := func(k, v string) map[string]string { return map[string]string{k: v} }
	repeat := strings.Repeat
	table := []struct {
		name  string
		draft changeset.Draft
		err   string // none if empty
	}{
		{"zero", changeset.Draft{}, ""},
		{"command ID of 64", changeset.Draft{CommandID: repeat("c", 64)}, ""},
		{"command ID of 65", changeset.Draft{CommandID: repeat("c", 65)}, "command ID takes 65 bytes"},
		{"command ID of 64 encoded", changeset.Draft{CommandID: repeat(".", 21) + "c"}, ""},
		{"command ID of 65 encoded", changeset.Draft{CommandID: repeat(".", 21) + "cc"}, "command ID takes 65 bytes"},
		{"command ID of control characters", changeset.Draft{CommandID: "\x00\n"}, ""},
		{"command ID not UTF-8", changeset.Draft{CommandID: "\xff"}, "not valid UTF-8"},
		{"metadata of 192", changeset.Draft{Metadata: pair("k", repeat("v", 190))}, ""},
		{"metadata of 193", changeset.Draft{Metadata: pair("k", repeat("v", 191))}, "metadata takes 193 bytes"},
		{"metadata of 192 encoded", changeset.Draft{Metadata: pair("k", repeat("=", 63)+"v")}, ""},
		{"metadata of 193 encoded", changeset.Draft{Metadata: pair("k", repeat("=", 63)+"vv")}, "metadata takes 193 bytes"},
		{"metadata of 193 in two pairs", changeset.Draft{Metadata: map[string]string{"a": repeat("v", 94), "b": repeat("v", 94)}}, "metadata takes 193 bytes"},
		{"metadata without value", changeset.Draft{Metadata: pair("k", "")}, ""},
		{"metadata without key", changeset.Draft{Metadata: pair("", "v")}, "want a key"},
		{"metadata key not UTF-8", changeset.Draft{Metadata: pair("\xff", "v")}, "UTF-8"},
		{"metadata value not UTF-8", changeset.Draft{Metadata: pair("k", "\xff")}, "UTF-8"},
		{"content type of 128", changeset.Draft{ContentType: repeat("t", 128)}, ""},
		{"content type of 129", changeset.Draft{ContentType: repeat("t", 129)}, "content type"},
		{"content type with space inside", changeset.Draft{ContentType: "text/plain; charset=utf-8"}, ""},
		{"content type with leading space", changeset.Draft{ContentType: " text/plain"}, "content type"},
		{"content type with trailing space", changeset.Draft{ContentType: "text/plain "}, "content type"},
		{"content type of a space", changeset.Draft{ContentType: " "}, "content type"},
		{"content type with a line break", changeset.Draft{ContentType: "text/plain\r\nx: y"}, "content type"},
		{"content type with a tab", changeset.Draft{ContentType: "text\tplain"}, "content type"},
		{"content type with DEL", changeset.Draft{ContentType: "text\x7fplain"}, "content type"},
		{"content type not ASCII", changeset.Draft{ContentType: "tëxt"}, "content type"},
		{"content type not UTF-8", changeset.Draft{ContentType: "t\xffxt"}, "content type"},
	}
	for _, row := range table {
		err := row.draft.Validate()
		if row.err == "" {
			require.NoError(t, err, row.name)
			continue
		}
		require.ErrorIs(t, err, changeset.ErrInvalidDraft, row.name)
		require.ErrorContains(t, err, row.err, row.name)
	}
}

func TestAggregateIDs(t *testing.T) {
	repeat := strings.Repeat
	for _, id := range []string{
		"a", ".", "..", "/", "a/b", "%", "%2E", "a b", " ", "@", "a@7", "$chain", "😀", "é", "e\u0301", "\u200b", "\u2028",
		repeat("a", 128), repeat(".", 42) + "ab", repeat("😀", 10) + "abcdefgh", "heads/", "CON", "~-_",
	} {
		require.NoError(t, changeset.ValidateAggregateID(id), "%q", id)
		ref := changeset.Ref{AggregateID: id, Version: 7, ID: changeset.NewID()}
		parsed, err := changeset.ParseRef(ref.String())
		require.NoError(t, err)
		require.Equal(t, ref, parsed)
		parsed, err = changeset.ParseObjectName(ref.ObjectName())
		require.NoError(t, err)
		require.Equal(t, ref, parsed)
	}
	for id, reason := range map[string]string{
		"":                      "empty",
		"\xff":                  "UTF-8",
		"a\xc3":                 "UTF-8",
		"\xed\xa0\x80":          "UTF-8",
		"a\x00":                 "control",
		"a\n":                   "control",
		"\x7f":                  "control",
		"\u0085":                "control",
		repeat("a", 129):        "129 bytes",
		repeat(".", 42) + "abc": "129 bytes",
		repeat("😀", 11):         "132 bytes",
	} {
		err := changeset.ValidateAggregateID(id)
		require.ErrorIs(t, err, changeset.ErrInvalidAggregateID, "%q", id)
		require.ErrorContains(t, err, reason, "%q", id)
	}
}
