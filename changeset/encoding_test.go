package changeset_test

import (
	"bytes"
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

func encoded(encoding string, body []byte) changeset.Changeset {
	ref := changeset.Ref{AggregateID: "order-4711", ID: id(0)}
	return changeset.Changeset{Header: changeset.Header{Ref: ref, Encoding: encoding}, Content: body}
}

func TestCompressAndBack(t *testing.T) {
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
	require.Empty(t, changeset.Compress(changeset.Draft{Content: make([]byte, 5)}).Encoding(), "no frame is that small")
	require.Equal(t, changeset.EncodingZstd, changeset.Compress(changeset.Draft{Content: make([]byte, 50)}).Encoding())
}

func requireBack(t *testing.T, content []byte) {
	t.Helper()
	before := slices.Clone(content)
	given := changeset.Draft{CommandID: "c", Content: content, ContentType: "text/plain", Metadata: map[string]string{"k": "v"}}
	d := changeset.Compress(given)
	require.Equal(t, int64(len(content)), given.Size())
	require.Equal(t, given.Size(), d.Size())
	require.Equal(t, d, changeset.Compress(d), "once is enough")
	if d.Encoding() == "" {
		require.Equal(t, given, d)
	} else {
		require.Less(t, len(d.Content), len(content))
		require.Equal(t, changeset.EncodingZstd, d.Encoding())
		require.Equal(t, []any{"c", "text/plain", map[string]string{"k": "v"}}, []any{d.CommandID, d.ContentType, d.Metadata})
	}
	c := encoded(d.Encoding(), d.Content)
	got, err := c.Decoded(d.Size())
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	require.True(t, bytes.Equal(before, content), "the caller's content stays")
	if d.Size() > 0 {
		_, err = c.Decoded(d.Size() - 1)
		require.ErrorIs(t, err, changeset.ErrTooLarge)
	}
}

func TestDecodedIsBounded(t *testing.T) {
	const block = 1 << 17 // the largest
	got, err := encoded("zstd", zstdFrame(3*block, block, block, block)).Decoded(3 * block)
	require.NoError(t, err)
	require.Equal(t, bytes.Repeat([]byte("a"), 3*block), got)
	_, err = encoded("zstd", zstdFrame(3*block, block, block, block)).Decoded(3*block - 1)
	require.ErrorIs(t, err, changeset.ErrStoredTooLarge)
	_, err = encoded("zstd", zstdFrame(1<<32-1)).Decoded(64 << 20)
	require.ErrorIs(t, err, changeset.ErrStoredTooLarge)
	_, err = encoded("", make([]byte, 11)).Decoded(10)
	require.ErrorIs(t, err, changeset.ErrStoredTooLarge)
	for _, encoding := range []string{"", "zstd"} {
		_, err = encoded(encoding, zstdFrame(1, 1)).Decoded(-1)
		require.ErrorIs(t, err, changeset.ErrStoredTooLarge)
	}
}

func TestBodiesThatAreNoFrame(t *testing.T) {
	whole := changeset.Compress(changeset.Draft{Content: []byte(strings.Repeat("0123456789 shipped ", 40))}).Content
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
	for name, body := range bodies {
		c := encoded("zstd", body)
		content, err := c.Decoded(64 << 20)
		requireReason(t, err, c.Ref, "zstd frame", name)
		require.Nil(t, content, name)
	}
}

func TestUnknownEncodings(t *testing.T) {
	for _, unknown := range []string{"br", "ZSTD", "zstd ", "identity"} {
		_, err := encoded(unknown, nil).Decoded(1)
		require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
		require.ErrorContains(t, err, unknown)
	}
}

// Whatever a bubble has used can be used outside of it, and in another one.
func TestCompressInBubbles(t *testing.T) {
	content := bytes.Repeat([]byte("a line\n"), 50_000)
	synctest.Test(t, func(t *testing.T) { requireBack(t, content) })
	requireBack(t, content)
	synctest.Test(t, func(t *testing.T) { requireBack(t, content) })
}

// Any body gives content within the limit, or one of three errors.
func FuzzDecoded(f *testing.F) {
	f.Add("zstd", zstdFrame(300, 100, 200), int64(300))
	f.Add("zstd", zstdFrame(300, 100, 200), int64(299))
	f.Add("zstd", zstdFrame(1<<32-1, 1<<17), int64(1<<20))
	f.Add("zstd", changeset.Compress(changeset.Draft{Content: []byte(strings.Repeat("0123456789 shipped ", 40))}).Content, int64(1<<20))
	f.Add("", []byte("text"), int64(4))
	f.Add("br", []byte("text"), int64(4))
	f.Fuzz(func(t *testing.T, encoding string, body []byte, limit int64) {
		content, err := encoded(encoding, body).Decoded(min(limit, 1<<20))
		var corrupt *changeset.CorruptError
		if err != nil {
			require.True(t, errors.Is(err, changeset.ErrTooLarge) || errors.Is(err, changeset.ErrUnsupportedFormat) || errors.As(err, &corrupt), err)
			return
		}
		require.LessOrEqual(t, int64(len(content)), max(limit, 0))
		again := changeset.Compress(changeset.Draft{Content: content})
		got, err := encoded(again.Encoding(), again.Content).Decoded(limit)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got))
	})
}
