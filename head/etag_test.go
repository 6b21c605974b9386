package head_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

func TestETag(t *testing.T) {
	h := headAt("order-4711", 7)
	require.Equal(t, `"7.01991f3c-8a4e-7000-8000-000000000007"`, h.ETag())
	require.Equal(t, h.ETag(), link.Fence(h).WithToken("t").ETag(), "version and ID only")
	require.Empty(t, head.Head{}.ETag())
}

func TestMatches(t *testing.T) {
	h := headAt("order-4711", 7)
	tag, other := h.ETag(), headAt("order-4711", 8).ETag()
	for ifMatch, want := range map[string]bool{
		tag:                                    true,
		" " + tag + "\t":                       true,
		other + ", " + tag:                     true,
		tag + "," + other:                      true,
		other + ",\t" + tag + " ,":             true,
		`"a,b", ` + tag:                        true,
		`W/"x", ` + tag:                        true,
		"*":                                    true,
		" * ":                                  true,
		"":                                     false,
		",":                                    false,
		other:                                  false,
		"W/" + tag:                             false, // RFC 9110, 13.1.1: strong comparison
		"w/" + tag:                             false,
		strings.Trim(tag, `"`):                 false,
		strings.ToUpper(tag):                   false,
		tag + tag:                              false,
		tag + ";" + other:                      false,
		"**":                                   false,
		`"*"`:                                  false,
		`"` + tag + `"`:                        false,
		strings.TrimRight(tag, `"`):            false,
		`"7.` + id(8).String() + `"`:           false,
		`"07.` + id(7).String() + `"`:          false,
		`"x,` + strings.Trim(tag, `"`) + `,y"`: false, // a comma within a tag
	} {
		require.Equal(t, want, h.Matches(ifMatch), "%q", ifMatch)
		require.False(t, head.Head{}.Matches(ifMatch), "nothing matches what does not exist: %q", ifMatch)
	}
}

func TestParseETag(t *testing.T) {
	for _, aggregateID := range []string{"order-4711", "a@b", `quo"te`, "a.b"} {
		h := headAt(aggregateID, 7)
		ref, err := head.ParseETag(aggregateID, h.ETag())
		require.NoError(t, err)
		require.Equal(t, h.Ref, ref)
	}
	good := headAt("a", 7).ETag()
	inner := strings.Trim(good, `"`)
	for _, etag := range []string{
		"", `"`, `""`, "*", inner, `"` + inner, inner + `"`, "W/" + good, " " + good, good + " ", good + "," + good,
		`"0` + inner + `"`, strings.ToUpper(good), `"7"`, `"7."`, `"@` + inner + `"`, `"b@` + inner + `"`,
	} {
		ref, err := head.ParseETag("a", etag)
		require.ErrorContains(t, err, "not an entity tag", "%q", etag)
		require.Zero(t, ref)
	}
	_, err := head.ParseETag("", good)
	require.ErrorIs(t, err, changeset.ErrInvalidAggregateID)
}
