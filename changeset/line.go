package changeset

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"unicode/utf8"
)

const (
	// MaxPackBody is the largest body of an object of lines that a writer makes, in bytes
	// before compression. A changeset whose line is longer has an object of its own.
	MaxPackBody = 1 << 20
	// MaxReadBody is the largest body of an object of lines that a reader accepts, in
	// bytes after decompression.
	MaxReadBody = 16 << 20
)

// The keys of a line, besides the keys of the metadata.
const (
	lineID            = "id"
	lineVersion       = "version"
	lineContentType   = "content-type"
	lineContent       = "content"
	lineContentBase64 = "content-base64"
)

// Seal returns a changeset of a packed chain, given its Content and the fields of its
// header, after a parent (the zero Header at version 0): with the text of its header,
// which it must seal before the digest, and with Parent and Digest. If the Body is
// set, it stays, as do Encoding, BodySize and BodySHA256. Otherwise the body is the
// content.
func Seal(c Changeset, parent Header) (Changeset, error) {
	if c.Body == nil {
		c.Body = c.Content
		c.BodySHA256 = sha256.Sum256(c.Content)
	}
	c.BodySize = int64(len(c.Body))
	c.Parent, c.Ancestors, c.Pack = parent.ID, Index{}, nil
	c.text = c.lineText()
	if err := c.Header.validate(); err != nil {
		return Changeset{}, fmt.Errorf("seal %s: %w", c.Ref, err)
	}
	c.Digest = c.ComputeDigest(parent.Digest)
	return c, nil
}

// lineText returns the text of a header of format 2: the beginning of its line, up
// to the content. Its keys are sorted, and absent without a value.
func (h Header) lineText() string {
	contentType := h.ContentType
	if contentType == DefaultContentType {
		contentType = ""
	}
	b := make([]byte, 0, 512)
	b = appendNumber(append(b, '{'), keyAfterRevision, h.AfterRevision)
	b = appendText(b, keyAppend, h.Part.String())
	b = appendText(b, keyCommandID, Escape(h.CommandID))
	b = appendText(b, lineContentType, contentType)
	b = appendText(b, keyEncoding, h.Encoding)
	b = appendText(b, lineID, h.ID.String())
	b = appendText(b, keyRecordedAt, FormatTime(h.RecordedAt))
	b = appendText(b, keyUser, encodeUser(h.Metadata))
	b = appendNumber(b, lineVersion, h.Version)
	return string(b)
}

func appendKey(b []byte, key string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(append(append(b, '"'), key...), '"', ':')
}

func appendNumber(b []byte, key string, n uint64) []byte {
	return strconv.AppendUint(appendKey(b, key), n, 10)
}

// appendText appends nothing if the value is empty.
func appendText(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return append(appendEscaped(append(appendKey(b, key), '"'), []byte(value)), '"')
}

// appendEscaped appends the inside of a JSON string. It escapes the quotation mark,
// the backslash and the control characters below U+0020, and nothing else.
func appendEscaped(b, s []byte) []byte {
	for {
		n := plainSize(s)
		b, s = append(b, s[:n]...), s[n:]
		if len(s) == 0 {
			return b
		}
		b, s = appendEscape(b, s[0]), s[1:]
	}
}

// AppendLine appends the line of a sealed changeset, with its line end, to b. The
// changeset must not be encoded.
func AppendLine(b []byte, c Changeset) []byte {
	b = append(b, c.text...)
	if utf8.Valid(c.Content) {
		b = appendEscaped(append(appendKey(b, lineContent), '"'), c.Content)
	} else {
		b = base64.StdEncoding.AppendEncode(append(appendKey(b, lineContentBase64), '"'), c.Content)
	}
	return append(b, "\"}\n"...)
}
