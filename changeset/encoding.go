package changeset

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// EncodingZstd is the encoding of a body that is one zstd frame (RFC 8878),
// which states the size of the content.
const EncodingZstd = "zstd"

// Compress returns the draft with its content compressed by zstd where that is
// smaller, and else, or if it is compressed already, the draft itself. The
// content must not be changed any more in the draft that it returns. It is
// safe for concurrent use.
func Compress(d Draft) Draft {
	if d.encoding != "" {
		return d
	}
	if body, err := compressed(d.Content); err == nil && len(body) < len(d.Content) {
		d.encoding, d.size, d.Content = EncodingZstd, int64(len(d.Content)), body
	}
	return d
}

// Encoding returns how [Compress] has encoded the content; empty where it is
// as the caller gave it.
func (d Draft) Encoding() string { return d.encoding }

// Size returns the size of the content in bytes, as it was before [Compress].
func (d Draft) Size() int64 {
	if d.encoding != "" {
		return d.size
	}
	return int64(len(d.Content))
}

// Decoded returns the content as it was appended: Content itself where the
// body is not encoded. It takes the limit in bytes, a negative one being 0, and
// allocates no more for the content than that. Its error matches [ErrStoredTooLarge] where the content is
// larger, and [ErrUnsupportedFormat] where the encoding is not known; it is a
// [*CorruptError] where the body is not what its encoding says. It does not
// check the body's SHA-256: [Changeset.VerifyContent] does.
func (c Changeset) Decoded(limit int64) ([]byte, error) {
	switch c.Encoding {
	case "":
		return c.Content, checkSize(c.Ref, uint64(len(c.Content)), limit)
	case EncodingZstd:
		return c.decompressed(limit)
	}
	return nil, fmt.Errorf("%s: %w: content encoding %q", c.Ref, ErrUnsupportedFormat, c.Encoding)
}

// decompressed decodes into a buffer of the size that the frame states, which
// the decoder never exceeds.
func (c Changeset) decompressed(limit int64) ([]byte, error) {
	var frame zstd.Header
	if err := frame.Decode(c.Content); err != nil || !frame.HasFCS {
		return nil, &CorruptError{Ref: c.Ref, Reason: "content is not a zstd frame that states its size"}
	}
	if err := checkSize(c.Ref, frame.FrameContentSize, limit); err != nil {
		return nil, err
	}
	content, err := decompressor.DecodeAll(c.Content, make([]byte, 0, frame.FrameContentSize))
	if err != nil {
		return nil, &CorruptError{Ref: c.Ref, Reason: "content is not one zstd frame: " + err.Error()}
	}
	return content, nil
}

func checkSize(ref Ref, size uint64, limit int64) error {
	if size > uint64(max(limit, 0)) {
		return fmt.Errorf("%s: %w: %d bytes, more than %d", ref, ErrStoredTooLarge, size, limit)
	}
	return nil
}

// isKnownEncoding reports whether this version reads and writes the encoding.
func isKnownEncoding(s string) bool { return s == "" || s == EncodingZstd }

// compressed returns the content as one zstd frame. It has no checksum:
// the body's SHA-256 is in the header.
func compressed(content []byte) ([]byte, error) {
	e := compressors.Get().(*zstd.Encoder)
	defer compressors.Put(e)
	defer e.Reset(nil)
	var body bytes.Buffer
	e.ResetContentSize(&body, int64(len(content)))
	if _, err := e.Write(content); err != nil {
		return nil, err
	}
	err := e.Close()
	return body.Bytes(), err
}

// Encoders are used one by one as streams, since their EncodeAll shares a
// channel: the first bubble of testing/synctest to use it would own it. A
// single segment states its size, however small.
var compressors = sync.Pool{New: func() any {
	return must(zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true)))
}}

// The decoder is small, and made at once for the same reason. A single
// segment's window is its whole content, and takes no memory of its own.
var decompressor = must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxWindow(1<<40)))

// must returns what constant options make.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
