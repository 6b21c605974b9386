package changeset_test

import (
	"encoding/base64"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// stored is what a service would answer for a sample.
func stored(t testing.TB, s sample, spelling changeset.KeyStyle) changeset.Stored {
	t.Helper()
	metadata, err := changeset.Encode(s.changeset.Header, spelling)
	require.NoError(t, err)
	return changeset.Stored{
		Ref: s.changeset.Ref, Object: "mem://the-object", Metadata: metadata,
		ContentType: s.changeset.ContentType, Size: s.changeset.BodySize,
	}
}

func TestDecodeReversesEncode(t *testing.T) {
	for _, spelling := range []changeset.KeyStyle{changeset.Hyphenated, changeset.Joined} {
		for _, s := range samples(t) {
			want := s.changeset.Header
			want.RecordedAt = want.RecordedAt.UTC()
			got, err := changeset.Decode(stored(t, s, spelling), spelling)
			require.NoError(t, err, s.name)
			require.Equal(t, want, got, s.name)
		}
	}
}

func TestDecodeTakesOneSpellingOnly(t *testing.T) {
	for _, s := range samples(t) {
		var corrupt *changeset.CorruptError
		_, err := changeset.Decode(stored(t, s, changeset.Hyphenated), changeset.Joined)
		require.ErrorAs(t, err, &corrupt)
		_, err = changeset.Decode(stored(t, s, changeset.Joined), changeset.Hyphenated)
		require.ErrorAs(t, err, &corrupt)
	}
}

func TestDecodeTakesTheCanonicalFormOnly(t *testing.T) {
	samples := samples(t)
	first, middle, part := samples[0], samples[1], samples[2]
	ancestors := base64.RawURLEncoding.EncodeToString(middle.changeset.Ancestors.Packed())
	table := []struct {
		s          sample
		key, value string
		reason     string
	}{
		{middle, "format", "0", "format"},
		{middle, "format", "01", "format"},
		{middle, "format", "-1", "format"},
		{middle, "aggregate-id", "Straße/№ 5", "aggregate-id"},
		{middle, "aggregate-id", "Stra%c3%9Fe%2F%E2%84%96%205", "aggregate-id"},
		{middle, "aggregate-id", "order-4711", "metadata belongs to order-4711@1000"},
		{middle, "aggregate-version", "01000", "aggregate-version"},
		{middle, "aggregate-version", "+1000", "aggregate-version"},
		{middle, "aggregate-version", "1001", "ancestor index"},
		{middle, "changeset-id", strings.ToUpper(id(1000).String()), "changeset-id"},
		{middle, "changeset-id", strings.ReplaceAll(id(1000).String(), "-", ""), "changeset-id"},
		{middle, "changeset-id", id(1001).String(), "metadata belongs to"},
		{middle, "parent-changeset-id", id(3).String(), "parent"},
		{first, "parent-changeset-id", id(3).String(), "parent"},
		{first, "ancestors", "AAAAAA", "ancestor index"},
		{middle, "after-revision", "18446744073709551616", "after-revision"},
		{middle, "ancestors", ancestors + "=", "ancestors"},
		{middle, "ancestors", ancestors[:40] + "\n" + ancestors[40:], "canonical"},
		{middle, "ancestors", ancestors + "A", "ancestor index"},
		{middle, "content-sha256", middle.changeset.BodySHA256.String()[:42], "content-sha256"},
		{middle, "digest", middle.changeset.Digest.String() + "\n", "digest"},
		{middle, "recorded-at", "2026-11-21T00:31:07.12345678Z", "recorded-at"},
		{middle, "recorded-at", "2026-11-21T00:31:07,123456789Z", "recorded-at"},
		{middle, "recorded-at", "2026-11-21T01:31:07.123456789+01:00", "recorded-at"},
		{middle, "recorded-at", "2026-02-29T00:00:00.000000000Z", "recorded-at"},
		{middle, "command-id", "cmd 1", "command-id"},
		{middle, "command-id", "%FF", "UTF-8"},
		{middle, "command-id", strings.Repeat("c", 65), "65 bytes"},
		{middle, "append", "1/1", "1/1"},
		{part, "append", "0/0", "0/0"},
		{part, "append", "4/3", "4/3"},
		{part, "append", "0/3", "0/3"},
		{part, "append", "1/257", "append"},
		{part, "append", "02/3", "append"},
		{part, "append", "2/3/3", "append"},
		{part, "append", "2", "append"},
		{part, "append", "256/256", "version"},
		{first, "append", "2/3", "version 0"},
		{middle, "user", "b=1&a=2", "canonical"},
		{middle, "user", "a=1&a=2", "canonical"},
		{middle, "user", "a=1&a=1", "canonical"},
		{middle, "user", "a=1&", "k=v"},
		{middle, "user", "a", "k=v"},
		{middle, "user", "=1", "key"},
		{middle, "user", "a=%3d", "k=v"},
		{middle, "user", "a==", "k=v"},
		{middle, "user", "a=%FF", "UTF-8"},
		{middle, "user", "a=" + strings.Repeat("v", 191), "193 bytes"},
		{middle, "unknown", "x", "canonical"},
		{middle, "digest ", middle.changeset.Digest.String(), "canonical"},
	}
	for _, row := range table {
		o := stored(t, row.s, changeset.Hyphenated)
		o.Metadata[row.key] = row.value
		requireCorrupt(t, o, row.reason, "%s: %s", row.key, row.value)
	}
}

func requireCorrupt(t *testing.T, o changeset.Stored, reason string, msg ...any) {
	t.Helper()
	h, err := changeset.Decode(o, changeset.Hyphenated)
	var corrupt *changeset.CorruptError
	require.ErrorAs(t, err, &corrupt, msg...)
	require.Equal(t, o.Ref, corrupt.Ref)
	require.Equal(t, o.Object, corrupt.Object)
	require.Contains(t, corrupt.Reason, reason, msg...)
	require.Contains(t, err.Error(), o.Object)
	require.Zero(t, h)
}

func TestDecodeMissesNoField(t *testing.T) {
	optional := map[string]bool{"command-id": true, "encoding": true, "append": true, "user": true}
	for _, s := range samples(t) {
		whole := stored(t, s, changeset.Hyphenated)
		for key := range whole.Metadata {
			o := whole
			o.Metadata = maps.Clone(whole.Metadata)
			delete(o.Metadata, key)
			if optional[key] {
				h, err := changeset.Decode(o, changeset.Hyphenated)
				require.NoError(t, err)
				require.Error(t, h.Verify(s.parent), "the digest misses it")
			} else {
				requireCorrupt(t, o, "", key)
			}
			o.Metadata[key] = ""
			requireCorrupt(t, o, "", key)
		}
		requireCorrupt(t, changeset.Stored{Ref: whole.Ref, Object: "o"}, "format")
	}
}

func TestDecodeChecksTheObjectsOwnProperties(t *testing.T) {
	for _, contentType := range []string{"", " text/plain", "text/plain ", "text/plain\n", "tüxt", strings.Repeat("t", 129)} {
		o := stored(t, samples(t)[1], changeset.Hyphenated)
		o.ContentType = contentType
		requireCorrupt(t, o, "content type")
	}
	o := stored(t, samples(t)[1], changeset.Hyphenated)
	o.Ref.Version++
	requireCorrupt(t, o, "metadata belongs to")
}

func TestNewerFormatsAreNamed(t *testing.T) {
	for key, value := range map[string]string{"format": "3", "encoding": "br"} {
		o := stored(t, samples(t)[1], changeset.Hyphenated)
		o.Metadata[key] = value
		_, err := changeset.Decode(o, changeset.Hyphenated)
		require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
		require.ErrorContains(t, err, value)
		require.ErrorContains(t, err, o.Object)
		require.ErrorContains(t, err, o.Ref.String())
		var corrupt *changeset.CorruptError
		require.NotErrorAs(t, err, &corrupt)
	}
}

func TestEncodeRefusesWhatDecodeWould(t *testing.T) {
	table := map[string]func(*changeset.Header){
		"changeset ID is missing":  func(h *changeset.Header) { h.ID = changeset.ID{} },
		"beyond the last":          func(h *changeset.Header) { h.Version = math.MaxUint64 },
		"parent and version":       func(h *changeset.Header) { h.Parent = changeset.ID{} },
		"does not end in the":      func(h *changeset.Header) { h.Ancestors = indexOf(t, 999) },
		"is not a part":            func(h *changeset.Header) { h.Part = changeset.Part{Number: 1, Of: 1} },
		"-1/2 is not a part":       func(h *changeset.Header) { h.Part = changeset.Part{Number: -1, Of: 2} },
		"unsupported format":       func(h *changeset.Header) { h.Encoding = "br" },
		"command ID takes":         func(h *changeset.Header) { h.CommandID = strings.Repeat("c", 65) },
		"content type":             func(h *changeset.Header) { h.ContentType = "" },
		"year 10000":               func(h *changeset.Header) { h.RecordedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"year -1":                  func(h *changeset.Header) { h.RecordedAt = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC) },
		"want a key":               func(h *changeset.Header) { h.Metadata = map[string]string{"": "v"} },
		"metadata takes 193 bytes": func(h *changeset.Header) { h.Metadata = map[string]string{"k": strings.Repeat("v", 191)} },
		"invalid aggregate ID":     func(h *changeset.Header) { h.AggregateID = "" },
	}
	for reason, change := range table {
		h := samples(t)[1].changeset.Header
		change(&h)
		_, err := changeset.Encode(h, changeset.Hyphenated)
		require.ErrorContains(t, err, reason)
	}
}
