package body_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/internal/body"
)

// zstdFrame is a frame made by hand (RFC 8878): it states one size, and holds
// runs of the letter a.
func zstdFrame(stated uint32, runs ...uint32) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0}, stated) // a single segment, its size in 4 bytes
	for i, run := range runs {
		header := run<<3 | 1<<1
		if i == len(runs)-1 {
			header |= 1 // the last block
		}
		b = append(b, byte(header), byte(header>>8), byte(header>>16), 'a')
	}
	return b
}

// stored is a changeset as a store returns it.
func stored(encoding string, body []byte) changeset.Changeset {
	ref := changeset.Ref{AggregateID: "order-4711", ID: changeset.NewID()}
	return changeset.Changeset{Header: changeset.Header{Ref: ref, Encoding: encoding}, Body: body}
}

func decode(encoding string, b []byte, limit int64) ([]byte, error) {
	return body.Decode(stored(encoding, b), limit)
}

func TestEncodeAndBack(t *testing.T) {
	random := rand.NewChaCha8([32]byte{})
	for _, size := range []int{0, 1, 10, 100, 255, 256, 1 << 10, 1<<10 + 1, 128 << 10, 128<<10 + 1, 3<<20 + 7} {
		noise := make([]byte, size)
		_, _ = random.Read(noise)
		for name, content := range map[string][]byte{
			"nil": nil, "noise": noise, "zeros": make([]byte, size), "text": []byte(strings.Repeat(`{"type":"shipped"}`+"\n", size/19)),
			"half noise": append(make([]byte, size), noise...),
		} {
			t.Run(fmt.Sprint(name, size), func(t *testing.T) { requireBack(t, content) })
		}
	}
	require.Empty(t, body.Encode(make([]byte, 5), true).Encoding, "no frame is that small")
	require.Equal(t, changeset.EncodingZstd, body.Encode(make([]byte, 50), true).Encoding)
	require.Empty(t, body.Encode(make([]byte, 50), false).Encoding, "compression is off")
}

func requireBack(t *testing.T, content []byte) {
	t.Helper()
	before := slices.Clone(content)
	encoded := body.Encode(content, true)
	require.Equal(t, changeset.Digest(sha256.Sum256(encoded.Bytes)), encoded.SHA256)
	if encoded.Encoding == "" {
		require.Equal(t, body.Encode(content, false), encoded)
	} else {
		require.Less(t, len(encoded.Bytes), len(content))
		require.Equal(t, changeset.EncodingZstd, encoded.Encoding)
	}
	size := int64(len(content))
	got, err := decode(encoded.Encoding, encoded.Bytes, size)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	require.True(t, bytes.Equal(before, content), "the caller's content stays")
	if size > 0 {
		_, err = decode(encoded.Encoding, encoded.Bytes, size-1)
		require.ErrorIs(t, err, changeset.ErrStoredTooLarge)
	}
}

func TestDraftsKeepTheirFields(t *testing.T) {
	given := []changeset.Draft{
		{CommandID: "c", Content: make([]byte, 1000), ContentType: "text/plain", Metadata: map[string]string{"k": "v"}},
		{Content: []byte("short")},
	}
	for _, compress := range []bool{true, false} {
		for i, d := range body.Drafts(given, compress) {
			require.Equal(t, given[i], d.Draft)
			require.Equal(t, body.Encode(given[i].Content, compress), d.Body)
		}
	}
}

func TestDecodeIsBounded(t *testing.T) {
	const block = 1 << 17 // the largest
	got, err := decode("zstd", zstdFrame(3*block, block, block, block), 3*block)
	require.NoError(t, err)
	require.Equal(t, bytes.Repeat([]byte("a"), 3*block), got)
	_, err = decode("zstd", zstdFrame(3*block, block, block, block), 3*block-1)
	require.ErrorIs(t, err, changeset.ErrStoredTooLarge)
	_, err = decode("zstd", zstdFrame(1<<32-1), 64<<20)
	require.ErrorIs(t, err, changeset.ErrStoredTooLarge)
	_, err = decode("", make([]byte, 11), 10)
	require.ErrorIs(t, err, changeset.ErrStoredTooLarge)
	for _, encoding := range []string{"", "zstd"} {
		_, err = decode(encoding, zstdFrame(1, 1), -1)
		require.ErrorIs(t, err, changeset.ErrStoredTooLarge)
	}
}

func TestBodiesThatAreNoFrame(t *testing.T) {
	whole := body.Encode([]byte(strings.Repeat("0123456789 shipped ", 40)), true).Bytes
	unsized := func() []byte {
		var b bytes.Buffer
		w, err := zstd.NewWriter(&b)
		require.NoError(t, err)
		for range 3 {
			_, err = w.Write(make([]byte, 1<<20))
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		return b.Bytes()
	}
	bodies := map[string][]byte{
		"empty": nil, "text": []byte(`{"type":"shipped"}`), "no size": unsized(),
		"more than it states": zstdFrame(10, 100), "much more": zstdFrame(10, 1<<17, 1<<17), "less than it states": zstdFrame(100, 10),
		"nothing of what it states": zstdFrame(100), "two frames": slices.Concat(whole, whole), "and a letter": append(slices.Clone(whole), 'a'),
		"to be skipped": append([]byte{0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0}, whole...),
	}
	for i := range whole {
		bodies[fmt.Sprint("cut at ", i)] = whole[:i]
	}
	for name, b := range bodies {
		c := stored("zstd", b)
		content, err := body.Decode(c, 64<<20)
		corrupt, ok := errors.AsType[*changeset.CorruptError](err)
		require.True(t, ok, "%s: %v", name, err)
		require.Equal(t, c.Ref, corrupt.Ref, name)
		require.Contains(t, corrupt.Reason, "zstd frame", name)
		require.Nil(t, content, name)
	}
}

func TestUnknownEncodings(t *testing.T) {
	for _, unknown := range []string{"br", "ZSTD", "zstd ", "identity"} {
		_, err := decode(unknown, nil, 1)
		require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
		require.ErrorContains(t, err, unknown)
	}
}

// Whatever a bubble has used can be used outside of it, and in another one.
func TestEncodeInBubbles(t *testing.T) {
	content := bytes.Repeat([]byte("a line\n"), 50_000)
	synctest.Test(t, func(t *testing.T) { requireBack(t, content) })
	requireBack(t, content)
	synctest.Test(t, func(t *testing.T) { requireBack(t, content) })
}

// Any body gives content within the limit, or one of three errors.
func FuzzDecode(f *testing.F) {
	f.Add("zstd", zstdFrame(300, 100, 200), int64(300))
	f.Add("zstd", zstdFrame(300, 100, 200), int64(299))
	f.Add("zstd", zstdFrame(1<<32-1, 1<<17), int64(1<<20))
	f.Add("zstd", body.Encode([]byte(strings.Repeat("0123456789 shipped ", 40)), true).Bytes, int64(1<<20))
	f.Add("", []byte("text"), int64(4))
	f.Add("br", []byte("text"), int64(4))
	f.Fuzz(func(t *testing.T, encoding string, b []byte, limit int64) {
		content, err := decode(encoding, b, min(limit, 1<<20))
		if err != nil {
			_, corrupt := errors.AsType[*changeset.CorruptError](err)
			require.True(t, corrupt || errors.Is(err, changeset.ErrTooLarge) || errors.Is(err, changeset.ErrUnsupportedFormat), err)
			return
		}
		require.LessOrEqual(t, int64(len(content)), max(limit, 0))
		again := body.Encode(content, true)
		got, err := decode(again.Encoding, again.Bytes, limit)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got))
	})
}
