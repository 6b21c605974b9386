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
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(raw) != len(Digest{}) || Digest(raw).String() != s {
		return Digest{}, fmt.Errorf("%q is not a digest: want 43 characters of unpadded base64url", s)
	}
	return Digest(raw), nil
}

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
// ContentSize, which ContentSHA256 implies.
func (h Header) ComputeDigest(parent Digest) Digest {
	d := make(digester, 0, digestSize)
	first := h.Version == 0
	d.text("ropewalk/1", true)
	d.text(h.AggregateID, true)
	d.number(h.Version)
	d.bytes(h.ID[:], true)
	d.bytes(h.Parent[:], !first)
	d.bytes(parent[:], !first)
	d.number(h.AfterRevision)
	d.text(FormatTime(h.RecordedAt), true)
	d.text(h.CommandID, h.CommandID != "")
	d.text(h.Part.String(), h.Part != Part{})
	d.text(h.ContentType, true)
	d.text(h.Encoding, h.Encoding != "")
	user := encodeUser(h.Metadata)
	d.text(user, user != "")
	d.text(h.Ancestors.packed, !first)
	d.bytes(h.ContentSHA256[:], true)
	return sha256.Sum256(d)
}

// digestSize is above the size of what is hashed for the largest header.
const digestSize = 2 << 10

// digester collects what is hashed, and frames its fields so that no two lists
// of fields hash alike: a present one is 0x01, its length and its bytes, an
// absent one 0x00.
type digester []byte

// begin frames a field, and reports whether it is present.
func (d *digester) begin(size int, present bool) bool {
	if !present {
		*d = append(*d, 0)
		return false
	}
	*d = binary.BigEndian.AppendUint32(append(*d, 1), uint32(size))
	return true
}

func (d *digester) bytes(b []byte, present bool) {
	if d.begin(len(b), present) {
		*d = append(*d, b...)
	}
}

func (d *digester) text(s string, present bool) {
	if d.begin(len(s), present) {
		*d = append(*d, s...)
	}
}

func (d *digester) number(n uint64) {
	d.begin(8, true)
	*d = binary.BigEndian.AppendUint64(*d, n)
}

const timeLayout = "2006-01-02T15:04:05.000000000Z"

// FormatTime returns the one text that a time has in storage: RFC 3339, UTC,
// always nine decimals.
func FormatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

// ParseTime reverses [FormatTime]; any other spelling is an error.
func ParseTime(s string) (time.Time, error) {
	t, err := time.Parse(timeLayout, s)
	if err != nil || FormatTime(t) != s {
		return time.Time{}, fmt.Errorf("%q is not a time: want RFC 3339 in UTC with nine decimals", s)
	}
	return t, nil
}
