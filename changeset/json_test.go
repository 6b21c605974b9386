package changeset_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// encodedJSON holds what is written against package json.
func encodedJSON(t testing.TB, h changeset.Header) string {
	t.Helper()
	metadata, err := changeset.Encode(h, changeset.Hyphens)
	require.NoError(t, err)
	var sorted strings.Builder
	enc := json.NewEncoder(&sorted)
	enc.SetEscapeHTML(false)
	require.NoError(t, enc.Encode(metadata))
	text, err := changeset.EncodeJSON(h)
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(sorted.String()), text)
	return text
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

func TestJSONOfMetadata(t *testing.T) {
	for name, s := range samples(t) {
		h := s.changeset.Header
		text := encodedJSON(t, h)
		o := stored(t, s, changeset.Hyphens)
		o.Metadata = map[string]string{"format": "what the object has beside it is not looked at"}
		got, err := changeset.DecodeJSON(o, text)
		require.NoError(t, err, name)
		whole, err := changeset.Decode(stored(t, s, changeset.Hyphens), changeset.Hyphens)
		require.NoError(t, err, name)
		require.Equal(t, whole, got, name)

		for what, other := range others(text) {
			require.NotEqual(t, text, other, what)
			got, err := changeset.DecodeJSON(o, other)
			requireCorruptJSON(t, err)
			require.Zero(t, got, what)
		}
		for _, other := range []string{"", "null", "{}", "[]", text[1:], text + "}", strings.Replace(text, `"1"`, "1", 1)} {
			_, err := changeset.DecodeJSON(o, other)
			requireCorruptJSON(t, err)
		}
		_, err = changeset.DecodeJSON(o, strings.Replace(text, `"format":"1"`, `"format":"2"`, 1))
		require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
	}
	_, err := changeset.EncodeJSON(changeset.Header{})
	require.Error(t, err)
}

func requireCorruptJSON(t *testing.T, err error) {
	t.Helper()
	var corrupt *changeset.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, "mem://the-object", corrupt.Object)
}

func FuzzDecodeJSON(f *testing.F) {
	for _, s := range samples(f) {
		h := s.changeset.Header
		text := encodedJSON(f, h)
		f.Add(text, h.ContentType, h.ContentSize)
		for _, other := range others(text) {
			f.Add(other, h.ContentType, h.ContentSize)
		}
	}
	f.Fuzz(func(t *testing.T, text, contentType string, size int64) {
		var metadata map[string]string
		_ = json.Unmarshal([]byte(text), &metadata)
		o := changeset.Stored{Ref: promised(metadata), Object: "mem://the-object", ContentType: contentType, Size: size}
		h, err := changeset.DecodeJSON(o, text)
		if err != nil {
			var corrupt *changeset.CorruptError
			require.True(t, errors.As(err, &corrupt) || errors.Is(err, changeset.ErrUnsupportedFormat))
			require.ErrorContains(t, err, o.Object)
			require.Zero(t, h)
			return
		}
		again, err := changeset.EncodeJSON(h)
		require.NoError(t, err)
		require.Equal(t, text, again)
	})
}
