package changeset

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
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
	const hex = "0123456789abcdef"
	from := 0
	for i, c := range s {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(b, s[from:]...)
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

// DecodeLines reads lines, each with its line end: consecutive changesets after a
// parent. It proves the link and the digest of each changeset after the first one
// against the changeset before it. Of the parent it reads the aggregate, the version,
// the ID and the digest; the zero Version and the zero ID stand for the parent of
// version 0. Contents may alias the text.
//
// Its error is a [*CorruptError] if the text is not what [AppendLine] writes, apart
// from header fields of later versions, or matches [ErrUnsupportedFormat].
func DecodeLines(parent Header, text []byte) ([]Changeset, error) {
	return decodeLinesSlowly(parent, text)
}

// first returns the version of the first line after a parent.
func firstAfter(parent Header) uint64 {
	if parent.ID.IsZero() {
		return 0
	}
	return parent.Version + 1
}

// follow makes a decoded line the child of its parent, and checks that it can be.
func (c *Changeset) follow(parent Header, first bool) error {
	if want := firstAfter(parent); c.Version != want {
		return fmt.Errorf("line has version %d, not %d", c.Version, want)
	}
	c.AggregateID, c.Parent = parent.AggregateID, parent.ID
	if err := c.Header.validate(); err != nil {
		return err
	}
	if !first {
		if err := c.Header.VerifyLink(parent); err != nil {
			return errors.New(err.(*CorruptError).Reason)
		}
	}
	c.Digest = c.ComputeDigest(parent.Digest)
	return nil
}
