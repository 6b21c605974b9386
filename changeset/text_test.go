package changeset_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk/changeset"
)

func TestParseRefErrors(t *testing.T) {
	uuid := id(7).String()
	for text, reason := range map[string]string{
		"":                                   "not a reference",
		"order":                              "not a reference",
		"order@":                             "not a reference",
		"order@7":                            "not a reference",
		"order@7.":                           "not a changeset ID",
		"order@.":                            "not a decimal",
		"order@." + uuid:                     "not a decimal",
		"order@07." + uuid:                   "not a decimal",
		"order@-1." + uuid:                   "not a decimal",
		"order@18446744073709551616." + uuid: "not a decimal",
		"order@7." + strings.ToUpper(uuid):   "not a changeset ID",
		"order@7." + uuid + " ":              "not a changeset ID",
		"order@7.00000000-0000-0000-0000-000000000000": "not a changeset ID",
		"order@7.{" + uuid + "}":                       "not a changeset ID",
		"order@7." + strings.ReplaceAll(uuid, "-", ""): "not a changeset ID",
		"@7." + uuid:                            "invalid aggregate ID",
		"\xff@7." + uuid:                        "invalid aggregate ID",
		strings.Repeat("a", 129) + "@7." + uuid: "invalid aggregate ID",
	} {
		ref, err := changeset.ParseRef(text)
		require.ErrorContains(t, err, reason, "%q", text)
		require.Equal(t, reason == "invalid aggregate ID", errors.Is(err, changeset.ErrInvalidAggregateID), "%q", text)
		require.Zero(t, ref)
	}
}

func TestParseObjectNameErrors(t *testing.T) {
	good := changeset.Ref{AggregateID: "a.b", Version: 7, ID: id(7)}.ObjectName()
	require.Equal(t, "changesets/a%2Eb/00000000000000000007-"+id(7).String(), good)
	for _, name := range []string{
		"", "changesets/", "changesets/a%2Eb/", strings.TrimPrefix(good, "changesets/"), good + "x", good + "/", "x" + good,
		strings.ReplaceAll(good, "%2E", "."), strings.ReplaceAll(good, "%2E", "%2e"), strings.ReplaceAll(good, "0000000", ""),
		strings.ReplaceAll(good, "a%2Eb", ""), strings.ReplaceAll(good, "a%2Eb", "%FF"), strings.ToUpper(good),
		strings.ReplaceAll(good, "00000000000000000007", "18446744073709551616"),
	} {
		ref, err := changeset.ParseObjectName(name)
		require.Error(t, err, "%q", name)
		require.Zero(t, ref)
	}
}

// What a listing of a folder yields is in the order of versions.
func TestObjectNamesSortByVersion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, w := rapid.Uint64().Draw(t, "v"), rapid.Uint64().Draw(t, "w")
		one := changeset.Ref{AggregateID: "a", Version: v, ID: id(w)}.ObjectName()
		two := changeset.Ref{AggregateID: "a", Version: w, ID: id(v)}.ObjectName()
		require.Equal(t, v < w, one < two)
	})
}

func TestEscape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		escaped := changeset.Escape(s)
		require.Regexp(t, `^([A-Za-z0-9~_-]|%[0-9A-F]{2})*$`, escaped)
		back, err := changeset.Unescape(escaped)
		require.NoError(t, err)
		require.Equal(t, s, back)
	})
	for _, s := range []string{"%", "%4", "%4G", "%g4", "%41", "%2e", ".", "a b", "é", "%%", "+", "\x00"} {
		_, err := changeset.Unescape(s)
		require.Error(t, err, "%q", s)
	}
}

func TestIDs(t *testing.T) {
	ids := make([]changeset.ID, 1000)
	for i := range ids {
		ids[i] = changeset.NewID()
		require.False(t, ids[i].IsZero())
		require.EqualValues(t, '7', ids[i].String()[14], "a UUID of version 7")
		parsed, err := changeset.ParseID(ids[i].String())
		require.NoError(t, err)
		require.Equal(t, ids[i], parsed)
	}
	require.True(t, slices.IsSortedFunc(ids, func(a, b changeset.ID) int { return strings.Compare(a.String(), b.String()) }))
	require.Len(t, slices.Compact(ids), 1000)
	require.True(t, changeset.ID{}.IsZero())
}

// IDs and digests are texts in JSON, and what is no such text leaves them as they are.
func TestTextsInJSON(t *testing.T) {
	type texts struct {
		ID     changeset.ID
		Digest changeset.Digest
	}
	want := texts{id(7), changeset.Digest{1, 2, 3}}
	text, err := json.Marshal(want)
	require.NoError(t, err)
	require.JSONEq(t, `{"ID":"01991f3c-8a4e-7000-8000-000000000007","Digest":"AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`, string(text))
	var got texts
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, want, got)
	require.Error(t, json.Unmarshal([]byte(`{"ID":"x"}`), &got))
	require.Error(t, json.Unmarshal([]byte(`{"Digest":"x"}`), &got))
	require.Equal(t, want, got)
	require.False(t, want.Digest.IsZero())
	require.True(t, changeset.Digest{}.IsZero())
}

func TestTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(-60_000_000_000, 250_000_000_000).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		text := changeset.FormatTime(at.In(time.FixedZone("", rapid.IntRange(-50_000, 50_000).Draw(t, "zone"))))
		require.Equal(t, at.UTC().Format("2006-01-02T15:04:05.000000000Z"), text)
		back, err := changeset.ParseTime(text)
		require.NoError(t, err)
		require.Equal(t, at.UTC(), back, "also by ==")
	})
}

func TestParts(t *testing.T) {
	require.Empty(t, changeset.Part{}.String())
	require.True(t, changeset.Part{}.Last())
	require.Equal(t, "2/3", changeset.Part{Number: 2, Of: 3}.String())
	require.False(t, changeset.Part{Number: 2, Of: 3}.Last())
	require.True(t, changeset.Part{Number: 3, Of: 3}.Last())
}

func TestCorruptErrorSaysWhatIsWhere(t *testing.T) {
	ref := changeset.Ref{AggregateID: "a", Version: 7, ID: id(7)}
	require.EqualError(t, &changeset.CorruptError{Ref: ref, Reason: "why"}, "corrupt: "+ref.String()+": why")
	require.EqualError(t, &changeset.CorruptError{Ref: ref, Object: "s3://b/k", Reason: "why"}, "corrupt: "+ref.String()+": why (s3://b/k)")
	ref = changeset.Ref{AggregateID: "a"}
	require.EqualError(t, &changeset.CorruptError{Ref: ref, Reason: "why"}, "corrupt: head of a: why")
}

func TestAdmission(t *testing.T) {
	var all changeset.Admission
	require.NoError(t, all.Admit(changeset.Header{}))
	refused := errors.New("refused")
	none := changeset.Admission(func(h changeset.Header) error {
		require.EqualValues(t, 5, h.BodySize)
		return refused
	})
	require.Same(t, refused, none.Admit(changeset.Header{BodySize: 5}))
}
