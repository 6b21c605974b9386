// Package body turns content into the body in which the storage keeps it, and
// back. A body is the content itself, or one zstd frame of it (RFC 8878) that
// states the size of the content.
package body

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"ropewalk/changeset"
)

// Body is content as it is stored.
type Body struct {
	// Bytes is the body. Without an encoding it is the content, not a copy.
	Bytes []byte
	// Encoding is what a changeset's header says of the body.
	Encoding string
	// SHA256 is the SHA-256 of Bytes.
	SHA256 changeset.Digest
}

// Draft is a draft with its body, which is made once for all attempts to
// append the draft.
type Draft struct {
	changeset.Draft
	Body
	// Mark is the mark of the commit that the changeset is created by; zero if it is
	// appended alone.
	Mark changeset.Commit
}

// Drafts returns the drafts with their bodies.
func Drafts(drafts []changeset.Draft, compress bool) []Draft {
	all := make([]Draft, len(drafts))
	for i, d := range drafts {
		all[i] = Draft{Draft: d, Body: Encode(d.Content, compress)}
	}
	return all
}

// LargeDrafts returns the drafts with their bodies. Only contents of more than over
// bytes are compressed.
func LargeDrafts(drafts []changeset.Draft, compress bool, over int) []Draft {
	all := make([]Draft, len(drafts))
	for i, d := range drafts {
		all[i] = Draft{Draft: d, Body: Encode(d.Content, compress && len(d.Content) > over)}
	}
	return all
}

// Encode returns the body of content. With compress it is compressed if that
// makes it smaller. Encode is safe for concurrent use.
func Encode(content []byte, compress bool) Body {
	b := Body{Bytes: content}
	if compress {
		if frame, err := compressed(content); err == nil && len(frame) < len(content) {
			b.Bytes, b.Encoding = frame, changeset.EncodingZstd
		}
	}
	b.SHA256 = sha256.Sum256(b.Bytes)
	return b
}

// Decode returns the content of a changeset that was read with its body. An
// unencoded body is returned as it is, not copied. Decode allocates at most
// limit bytes for the content; a negative limit means 0. It does not check the
// SHA-256 of the body.
//
// The error matches [changeset.ErrStoredTooLarge] if the content is larger than
// the limit, and [changeset.ErrUnsupportedFormat] if the encoding is unknown.
// It is a [*changeset.CorruptError] if the body cannot be decompressed.
func Decode(c changeset.Changeset, limit int64) ([]byte, error) {
	switch c.Encoding {
	case "":
		return c.Body, checkSize(c.Ref, uint64(len(c.Body)), limit)
	case changeset.EncodingZstd:
		return decompressed(c.Ref, c.Body, limit)
	}
	return nil, fmt.Errorf("%s: %w: content encoding %q", c.Ref, changeset.ErrUnsupportedFormat, c.Encoding)
}

// decompressed decodes into a buffer of the size that the frame states. The
// decoder never exceeds it.
func decompressed(ref changeset.Ref, body []byte, limit int64) ([]byte, error) {
	var frame zstd.Header
	if err := frame.Decode(body); err != nil || !frame.HasFCS {
		return nil, &changeset.CorruptError{Ref: ref, Reason: "content is not a zstd frame that states its size"}
	}
	if err := checkSize(ref, frame.FrameContentSize, limit); err != nil {
		return nil, err
	}
	content, err := decompressor.DecodeAll(body, make([]byte, 0, frame.FrameContentSize))
	if err != nil {
		return nil, &changeset.CorruptError{Ref: ref, Reason: "content is not one zstd frame: " + err.Error()}
	}
	return content, nil
}

func checkSize(ref changeset.Ref, size uint64, limit int64) error {
	if size > uint64(max(limit, 0)) {
		return fmt.Errorf("%s: %w: %d bytes, more than %d", ref, changeset.ErrStoredTooLarge, size, limit)
	}
	return nil
}

// compressed returns the content as one zstd frame. It has no checksum: the
// SHA-256 of the body is in the header.
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
