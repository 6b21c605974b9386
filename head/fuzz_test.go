package head_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// What decodes encodes to the same bytes; nothing panics.

func FuzzDecodeJSON(f *testing.F) {
	for _, h := range samples(f) {
		f.Add([]byte(encode(f, h)))
	}
	f.Add([]byte(`{"a":1,"a":1}`))
	f.Add([]byte(`{"a":{"b":[1,2,{"c":"\ud800"}]}}`))
	f.Fuzz(func(t *testing.T, record []byte) {
		h, err := head.DecodeJSON(promised(record), "the-object", record)
		if err != nil {
			requireNotTaken(t, err, "the-object")
			require.Zero(t, h)
			return
		}
		require.Equal(t, string(record), encode(t, h))
		require.NoError(t, h.Validate())
	})
}

// promised returns the aggregate whose record it says that it is.
func promised(record []byte) string {
	var asked struct {
		ID string `json:"aggregate-id"`
	}
	_ = json.Unmarshal(record, &asked)
	aggregateID, _ := changeset.Unescape(asked.ID)
	return aggregateID
}

// requireNotTaken demands of a decoder's error that it names the object, and
// is of one of the two kinds.
func requireNotTaken(t *testing.T, err error, object string) {
	t.Helper()
	var corrupt *changeset.CorruptError
	require.True(t, errors.As(err, &corrupt) || errors.Is(err, changeset.ErrUnsupportedFormat))
	require.ErrorContains(t, err, object)
}

func FuzzDecodeRow(f *testing.F) {
	for _, h := range samples(f) {
		row, err := head.EncodeRow(h)
		require.NoError(f, err)
		f.Add(row.Record, row.Ancestors, row.Digest)
		for _, other := range damaged(row) {
			f.Add(other.Record, other.Ancestors, other.Digest)
		}
	}
	f.Fuzz(func(t *testing.T, record string, ancestors, digest []byte) {
		h, err := head.DecodeRow(promised([]byte(record)), "the-row", head.Row{Record: record, Ancestors: ancestors, Digest: digest})
		if err != nil {
			requireNotTaken(t, err, "the-row")
			require.Zero(t, h)
			return
		}
		again, err := head.EncodeRow(h)
		require.NoError(t, err)
		require.Equal(t, record, again.Record)
		require.True(t, bytes.Equal(ancestors, again.Ancestors))
		require.True(t, bytes.Equal(digest, again.Digest))
		require.NoError(t, h.Validate())
	})
}

func FuzzFromTexts(f *testing.F) {
	for _, h := range samples(f) {
		texts := textsOf(f, h)
		f.Add(texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], texts[6], texts[7], texts[8], texts[9], texts[10], texts[11],
			texts[12], texts[13], texts[14], texts[15], texts[16])
	}
	f.Fuzz(func(t *testing.T, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15, s16 string) {
		given := [...]string{s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15, s16}
		h, err := head.ParseFields(byField(given))
		if err == nil {
			require.Equal(t, given, textsOf(t, h))
		}
	})
}

var fields = [...]string{
	head.FieldFormat, head.FieldMinReader, head.FieldMinWriter, head.FieldState, head.FieldAggregateID, head.FieldVersion,
	head.FieldChangesetID, head.FieldAncestors, head.FieldDigest, head.FieldRevision, head.FieldUpdatedAt, head.FieldCheckpoint,
	head.FieldObjects, head.FieldIndex, head.FieldPackedDigest, head.FieldPackedID, head.FieldTip,
}

// byField returns texts by the names of their fields.
func byField(given [len(fields)]string) map[string]string {
	texts := map[string]string{}
	for i, field := range fields {
		texts[field] = given[i]
	}
	return texts
}

// textsOf returns the texts of a head's fields, as its JSON has them; empty for a field
// that is missing.
func textsOf(t testing.TB, h head.Head) (texts [len(fields)]string) {
	t.Helper()
	var record map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(encode(t, h)), &record))
	for i, field := range fields {
		switch texts[i] = string(record[field]); {
		case field == head.FieldTip:
			texts[i] = h.Tip
		case strings.HasPrefix(texts[i], `"`):
			require.NoError(t, json.Unmarshal(record[field], &texts[i]))
		}
	}
	return texts
}

// FuzzTip forges heads around a tip, which a fuzzer could not do: if the tip is lines,
// the head has the digest that they lead to. Whatever is between or in the lines, JSON
// and rows bring the tip back byte for byte, or it is refused.
func FuzzTip(f *testing.F) {
	samples := packedSamples(f)
	for _, h := range samples {
		f.Add(h.Tip, h.Index.Objects() > 0, "")
	}
	both := samples["packed later version"]
	f.Add(both.Tip, true, both.Extra())
	f.Add(strings.ReplaceAll(both.Tip, `"z":[1e3`, `"z":[{"a":"b"},{"c":"d"},"}],\"updated-at\":",[{"tip":[{}]}],1e3`), true, both.Extra())
	f.Add(both.Tip, true, `{"z":{"a":[{"tip":"b"}],"updated-at":"c"}}`)
	f.Add(both.Tip, true, `{"a":{"b":1,"tip":[{"c":"d"}],"updated-at":"c"}}`)
	f.Add(both.Tip, true, `{"zone":1,"zone":1}`)
	f.Fuzz(func(t *testing.T, tip string, packs bool, extra string) {
		h := samples["packed fence over format 1"]
		if packs {
			h = samples["packed packs of own ID"]
		}
		requireTip(t, h, encode(t, h), tip, extra)
	})
}

// requireTip forges a head with a tip, from a head without a tip and its record.
func requireTip(t *testing.T, h head.Head, known, tip, extra string) {
	t.Helper()
	all, err := changeset.DecodeLines(h.PackedHeader(), []byte(tip))
	if err == nil && len(tip) <= head.MaxTip {
		newest := all[len(all)-1]
		h.Tip, h.Ref, h.Digest, h.UpdatedAt, h.Revision = tip, newest.Ref, newest.Digest, newest.RecordedAt, newest.AfterRevision+1
		h = h.WithExtra(extra)
		record, err := head.EncodeJSON(h)
		if err != nil || h.Validate() != nil {
			return
		}
		got, err := head.DecodeJSON(h.AggregateID, "o", record)
		if err != nil {
			require.NotEmpty(t, extra, "%s: %v", record, err) // which may be no fields of a later version
			return
		}
		require.Equal(t, tip, got.Tip)
		require.Equal(t, string(record), encode(t, got))
		row, err := head.EncodeRow(got)
		require.NoError(t, err)
		again, err := head.DecodeRow(h.AggregateID, "o", row)
		require.NoError(t, err)
		require.Equal(t, got, again)
		return
	}
	elements := strings.ReplaceAll(strings.TrimSuffix(tip, "\n"), "\n", ",")
	record := strings.Replace(known, `"updated-at"`, `"tip":[`+elements+`],"updated-at"`, 1)
	got, err := head.DecodeJSON(h.AggregateID, "o", []byte(record))
	requireNotTaken(t, err, "o")
	require.Zero(t, got)
}

func FuzzParseETag(f *testing.F) {
	for _, h := range samples(f) {
		f.Add(h.AggregateID, h.ETag())
	}
	f.Add("a", `"b@7.`+id(7).String()+`"`)
	f.Add("a@", `"`)
	f.Fuzz(func(t *testing.T, aggregateID, etag string) {
		ref, err := head.ParseETag(aggregateID, etag)
		if err != nil {
			require.Zero(t, ref)
			return
		}
		h := head.Head{Ref: ref}
		require.Equal(t, aggregateID, ref.AggregateID)
		require.Equal(t, etag, h.ETag())
		require.True(t, h.Matches(etag))
	})
}
