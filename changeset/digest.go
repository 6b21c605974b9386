package changeset

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"time"
)

// Digest is a SHA-256. Its text is unpadded base64url. The zero Digest means none.
type Digest [sha256.Size]byte

// ParseDigest parses the text of a digest: 43 characters of unpadded base64url.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(raw) != len(d) || base64.RawURLEncoding.EncodeToString(raw) != s {
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
	d := digester{sha256.New()}
	first := h.Version == 0
	d.field([]byte("ropewalk/1"))
	d.field([]byte(h.AggregateID))
	d.number(h.Version)
	d.field(h.ID[:])
	d.optional(h.Parent[:], !first)
	d.optional(parent[:], !first)
	d.number(h.AfterRevision)
	d.field([]byte(FormatTime(h.RecordedAt)))
	d.text(h.CommandID)
	d.text(h.Part.String())
	d.field([]byte(h.ContentType))
	d.text(h.Encoding)
	d.text(encodeUser(h.Metadata))
	d.optional(h.Ancestors.Packed(), !first)
	d.field(h.ContentSHA256[:])
	return Digest(d.Sum(nil))
}

// digester frames fields so that no two lists of fields hash alike: a present
// one is 0x01, its length and its bytes, an absent one 0x00.
type digester struct{ hash.Hash }

func (d digester) field(b []byte) {
	d.Write([]byte{1})
	d.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
	d.Write(b)
}

func (d digester) optional(b []byte, present bool) {
	if present {
		d.field(b)
	} else {
		d.Write([]byte{0})
	}
}

func (d digester) text(s string) { d.optional([]byte(s), s != "") }

func (d digester) number(n uint64) { d.field(binary.BigEndian.AppendUint64(nil, n)) }

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
