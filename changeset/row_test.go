package changeset_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// encodedRow holds what is written against package json and Encode.
func encodedRow(t testing.TB, h changeset.Header) changeset.Row {
	t.Helper()
	row, err := changeset.EncodeRow(h)
	require.NoError(t, err)
	metadata, err := changeset.Encode(h, changeset.Hyphenated)
	require.NoError(t, err)
	for key, value := range map[string][]byte{"ancestors": row.Ancestors, "content-sha256": row.BodySHA256, "digest": row.Digest} {
		require.Equal(t, metadata[key], base64.RawURLEncoding.EncodeToString(value), key)
		delete(metadata, key)
	}
	var sorted strings.Builder
	enc := json.NewEncoder(&sorted)
	enc.SetEscapeHTML(false)
	require.NoError(t, enc.Encode(metadata))
	require.Equal(t, strings.TrimSpace(sorted.String()), row.Metadata)
	return row
}

// others are texts that package json reads as the same metadata.
func others(text string) map[string]string {
	return map[string]string{
		"a space":      " " + text,
		"a line break": text + "\n",
		"an escape":    strings.Replace(text, `"format"`, `"form\u0061t"`, 1),
		"another order": "{" + `"format":"1",` +
			strings.Replace(strings.Replace(text, `,"format":"1"`, "", 1), "{", "", 1),
		"a repeated key": strings.Replace(text, `"format":"1"`, `"format":"1","format":"1"`, 1),
	}
}

func TestRow(t *testing.T) {
	for name, s := range samples(t) {
		row := encodedRow(t, s.changeset.Header)
		o := stored(t, s, changeset.Hyphenated)
		o.Metadata = map[string]string{"format": "what the object has beside it is not looked at"}
		got, err := changeset.DecodeRow(o, row)
		require.NoError(t, err, name)
		whole, err := changeset.Decode(stored(t, s, changeset.Hyphenated), changeset.Hyphenated)
		require.NoError(t, err, name)
		require.Equal(t, whole, got, name)
		for what, other := range damaged(row) {
			require.NotEqual(t, row, other, what)
			got, err := changeset.DecodeRow(o, other)
			var corrupt *changeset.CorruptError
			require.ErrorAs(t, err, &corrupt, what)
			require.Equal(t, o.Object, corrupt.Object)
			require.Zero(t, got, what)
		}
		row.Metadata = strings.Replace(row.Metadata, `"format":"1"`, `"format":"3"`, 1)
		_, err = changeset.DecodeRow(o, row)
		require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
	}
	_, err := changeset.EncodeRow(changeset.Header{})
	require.Error(t, err)
}

// damaged returns rows that do not decode.
func damaged(row changeset.Row) map[string]changeset.Row {
	rows := map[string]changeset.Row{}
	text := row.Metadata
	for what, other := range others(text) {
		rows[what] = with(row, func(r *changeset.Row) { r.Metadata = other })
	}
	for _, other := range []string{"", "null", "{}", "[]", text[1:], text + "}", strings.Replace(text, `"1"`, "1", 1)} {
		rows[other] = with(row, func(r *changeset.Row) { r.Metadata = other })
	}
	inText := `{"content-sha256":"` + base64.RawURLEncoding.EncodeToString(row.BodySHA256) + `",` + text[1:]
	rows["bytes in the text"] = with(row, func(r *changeset.Row) { r.Metadata = inText })
	rows["bytes in the text alone"] = with(row, func(r *changeset.Row) { r.Metadata, r.BodySHA256 = inText, nil })
	rows["an ID more"] = with(row, func(r *changeset.Row) { r.Ancestors = append(bytes.Clone(r.Ancestors), make([]byte, 16)...) })
	rows["a byte of the digest less"] = with(row, func(r *changeset.Row) { r.Digest = r.Digest[1:] })
	rows["no digest"] = with(row, func(r *changeset.Row) { r.Digest = nil })
	rows["a byte of the SHA-256 more"] = with(row, func(r *changeset.Row) { r.BodySHA256 = append(bytes.Clone(r.BodySHA256), 0) })
	return rows
}

func with(row changeset.Row, change func(*changeset.Row)) changeset.Row {
	change(&row)
	return row
}

func FuzzDecodeRow(f *testing.F) {
	for _, s := range samples(f) {
		h := s.changeset.Header
		row := encodedRow(f, h)
		f.Add(row.Metadata, row.Ancestors, row.BodySHA256, row.Digest, h.ContentType, h.BodySize)
		for _, other := range damaged(row) {
			f.Add(other.Metadata, other.Ancestors, other.BodySHA256, other.Digest, h.ContentType, h.BodySize)
		}
	}
	f.Fuzz(func(t *testing.T, text string, ancestors, sha256, digest []byte, contentType string, size int64) {
		var metadata map[string]string
		_ = json.Unmarshal([]byte(text), &metadata)
		o := changeset.Stored{Ref: promised(metadata), Object: "mem://the-object", ContentType: contentType, Size: size}
		row := changeset.Row{Metadata: text, Ancestors: ancestors, BodySHA256: sha256, Digest: digest}
		h, err := changeset.DecodeRow(o, row)
		slowly, slowErr := changeset.DecodeRowSlowly(o, row)
		require.Equal(t, slowErr, err)
		require.Equal(t, slowly, h)
		if err != nil {
			requireNotTaken(t, err, o.Object)
			require.Zero(t, h)
			return
		}
		again, err := changeset.EncodeRow(h)
		require.NoError(t, err)
		require.Equal(t, text, again.Metadata)
		for _, field := range [][2][]byte{{ancestors, again.Ancestors}, {sha256, again.BodySHA256}, {digest, again.Digest}} {
			require.True(t, bytes.Equal(field[0], field[1]))
		}
		if b, ok := changeset.EncodeBinary(h, true); ok {
			same, err := changeset.DecodeBinary(o, b, "")
			require.NoError(t, err)
			require.Equal(t, h, same)
		}
	})
}
