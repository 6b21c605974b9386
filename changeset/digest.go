package changeset

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"
)

// Digest is a SHA-256. Its text is unpadded base64url. The zero Digest means none.
type Digest [sha256.Size]byte

// ParseDigest parses the text of a digest: 43 characters of unpadded base64url.
func ParseDigest(s string) (Digest, error) {
	var text [digestText]byte
	var d Digest
	if copy(text[:], s) == len(s) && len(s) == len(text) {
		if n, err := strictBase64URL.Decode(d[:], text[:]); err == nil && n == len(d) { // less with line ends
			return d, nil
		}
	}
	return Digest{}, fmt.Errorf("%q is not a digest: want 43 characters of unpadded base64url", s)
}

// digestText is the length of the text of a digest.
const digestText = 43

// IsZero reports whether d is the zero Digest, which means none.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns the text of the digest.
func (d Digest) String() string { return base64.RawURLEncoding.EncodeToString(d[:]) }

// MarshalText returns the text of the digest.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText parses the text of a digest, as [ParseDigest] does.
func (d *Digest) UnmarshalText(text []byte) error {
	parsed, err := ParseDigest(string(text))
	if err == nil {
		*d = parsed
	}
	return err
}

// ComputeDigest returns the digest of a changeset with this header, given its
// parent's digest (ignored at version 0). It reads every field but Digest and
// BodySize, which BodySHA256 implies. It is undefined for an object of lines, which has
// the digest of its last changeset.
func (h Header) ComputeDigest(parent Digest) Digest { return h.computeDigest(&parent) }

func (h *Header) computeDigest(parent *Digest) Digest {
	if h.Pack != nil {
		alone := h.Alone()
		h = &alone
	}
	if h.text != "" {
		return h.packedDigest(parent)
	}
	first := h.Version == 0
	var texts [len(timeLayout) + MaxMetadata]byte
	var part [8]byte
	recorded := appendTime(texts[:0:len(timeLayout)], h.RecordedAt)
	user := appendUser(texts[len(timeLayout):len(timeLayout)], h.Metadata)
	d := make(digester, 0, digestSize).
		text("ropewalk/1", true).
		text(h.AggregateID, true).
		number(h.Version).
		bytes(h.ID[:], true).
		bytes(h.Parent[:], !first).
		bytes(parent[:], !first).
		number(h.AfterRevision).
		bytes(recorded, true).
		text(h.CommandID, h.CommandID != "").
		bytes(h.Part.append(part[:0]), h.Part != Part{}).
		text(h.ContentType, true).
		text(h.Encoding, h.Encoding != "").
		bytes(user, len(user) > 0).
		text(h.Ancestors.packed, !first).
		bytes(h.BodySHA256[:], true)
	return sha256.Sum256(d)
}

// packedDigest is the digest of format 2. The header's text is covered as it stands,
// so that fields of later versions are proved too.
func (h *Header) packedDigest(parent *Digest) Digest {
	d := make(digester, 0, digestSize).
		text("ropewalk/2", true).
		text(h.AggregateID, true).
		bytes(parent[:], h.Version > 0).
		text(h.text, true).
		bytes(h.BodySHA256[:], true)
	return sha256.Sum256(d)
}

// digestSize is above the size of what is hashed for the largest header.
const digestSize = 2 << 10

// digester collects what is hashed, and frames its fields so that no two lists
// of fields hash alike: a present one is 0x01, its length and its bytes, an
// absent one 0x00. It is a value that its methods return, so that it stays on
// the stack.
type digester []byte

// begin frames a field, whose bytes must follow if it is present.
func (d digester) begin(size int, present bool) digester {
	if !present {
		return append(d, 0)
	}
	return binary.BigEndian.AppendUint32(append(d, 1), uint32(size))
}

func (d digester) bytes(b []byte, present bool) digester {
	d = d.begin(len(b), present)
	if present {
		d = append(d, b...)
	}
	return d
}

func (d digester) text(s string, present bool) digester {
	d = d.begin(len(s), present)
	if present {
		d = append(d, s...)
	}
	return d
}

func (d digester) number(n uint64) digester {
	return binary.BigEndian.AppendUint64(d.begin(8, true), n)
}

const timeLayout = "2006-01-02T15:04:05.000000000Z"

// FormatTime returns the one text that a time has in storage: RFC 3339, UTC,
// always nine decimals.
func FormatTime(t time.Time) string {
	var room [len(timeLayout)]byte
	return string(appendTime(room[:0], t))
}

func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	// Package time writes its own layout in less than half the time of another.
	b = t.AppendFormat(b, time.RFC3339)
	b = append(b[:len(b)-len("Z")], ".000000000Z"...)
	for i, n := len(b)-len("0Z"), t.Nanosecond(); n > 0; i, n = i-1, n/10 {
		b[i] = byte('0' + n%10)
	}
	return b
}

// ParseTime reverses [FormatTime]; any other spelling is an error.
func ParseTime(s string) (time.Time, error) {
	t, ok := parseTime(s)
	if !ok {
		return time.Time{}, fmt.Errorf("%q is not a time: want RFC 3339 in UTC with nine decimals", s)
	}
	return t, nil
}

// parseTime takes a fifth of the time of package time and of a comparison. Each line of
// a pack has a time.
func parseTime(s string) (t time.Time, ok bool) {
	if len(s) != len(timeLayout) {
		return t, false
	}
	var parts [7]int // year, month, day, hour, minute, second, nanosecond
	part := 0
	for i := range len(s) {
		switch c, want := s[i], timeLayout[i]; {
		case '0' <= want && want <= '9':
			if c < '0' || c > '9' {
				return t, false
			}
			parts[part] = 10*parts[part] + int(c-'0')
		case c != want:
			return t, false
		default:
			part++
		}
	}
	t = time.Date(parts[0], time.Month(parts[1]), parts[2], parts[3], parts[4], parts[5], parts[6], time.UTC)
	return t, isDate(t, parts)
}

// isDate reports whether t has the parts that it was made of: package time accepts
// day 30 of February, and hour 24.
func isDate(t time.Time, parts [7]int) bool {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	return parts == [7]int{year, int(month), day, hour, minute, second, t.Nanosecond()}
}
