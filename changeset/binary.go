package changeset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// The binary form of a header is for backends that keep the reference in columns of
// their own. It holds the header of a changeset of format 1 and no names of fields. In
// chains of more than 16 versions it can leave out a part of the ancestor index, which
// another changeset has: see [Upper].

// The flags are the first byte of the binary form.
const (
	flagUpper = 1 << iota // the upper wheels of the index follow the IDs of its first wheel
	flagPart
	flagCommand
	flagZstd
	flagUser
	flagContentType // absent for DefaultContentType
	flagsEnd
)

// checkSize is the size of the CRC-32C at the end.
const checkSize = 4

// contentTypes have a code instead of a text: their place, which never changes. A text
// has its length plus textCodes before it.
var contentTypes = [...]string{"application/json", ContentTypeLines, "text/plain", "application/cloudevents+json", "application/x-protobuf", "application/avro"}

const textCodes = 1<<8 - 1 - MaxContentType

// EncodeBinary returns the binary form of a header. It is whole, or without the upper
// wheels of the index, which the changesets of [Header.Bases] must have. It returns false
// if the header has no such form: it is invalid or of an object of format 2, or its time
// is not in the years 1678 to 2261.
func EncodeBinary(h Header, whole bool) ([]byte, bool) {
	if h.Format() != Format || h.validate() != nil || !hasNanoseconds(h.RecordedAt) {
		return nil, false
	}
	b := append(make([]byte, 0, 256+len(h.Ancestors.packed)), 0)
	upper := h.Ancestors.Upper()
	b = append(b, h.Ancestors.first()...)
	if _, shares := h.Bases(); upper != "" && (whole || !shares) {
		b[0] |= flagUpper
		b = append(b, upper...)
	}
	b = append(append(b, h.Digest[:]...), h.BodySHA256[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.RecordedAt.UnixNano()))
	b = binary.AppendUvarint(b, h.AfterRevision)
	b = appendOptions(b, &h)
	return binary.BigEndian.AppendUint32(b, checkOf(h.Ref, b)), true
}

// appendOptions appends the fields that are mostly absent, and sets their flags.
func appendOptions(b []byte, h *Header) []byte {
	if h.Part != (Part{}) {
		b[0] |= flagPart
		b = append(b, byte(h.Part.Number-1), byte(h.Part.Of-1))
	}
	if h.CommandID != "" {
		b[0] |= flagCommand
		b = append(append(b, byte(len(h.CommandID))), h.CommandID...)
	}
	if h.Encoding == EncodingZstd {
		b[0] |= flagZstd
	}
	if len(h.Metadata) > 0 {
		b[0] |= flagUser
		at := len(b)
		b = appendUser(append(b, 0), h.Metadata)
		b[at] = byte(len(b) - at - 1)
	}
	if h.ContentType != DefaultContentType {
		b[0] |= flagContentType
		b = appendContentType(b, h.ContentType)
	}
	return b
}

func appendContentType(b []byte, s string) []byte {
	for code, known := range contentTypes {
		if s == known {
			return append(b, byte(code))
		}
	}
	return append(append(b, byte(textCodes+len(s))), s...)
}

// hasNanoseconds reports whether t is what its count of nanoseconds says.
func hasNanoseconds(t time.Time) bool {
	year := t.UTC().Year()
	return 1678 <= year && year <= 2261
}

// checkOf returns the CRC-32C of the binary form, which covers the reference too: a
// header at another place does not decode.
func checkOf(ref Ref, b []byte) uint32 {
	check := ^crc32.Update(0, castagnoli, b)
	for i := range len(ref.AggregateID) {
		check = castagnoli[byte(check)^ref.AggregateID[i]] ^ check>>8
	}
	for shift := 56; shift >= 0; shift -= 8 {
		check = castagnoli[byte(check)^byte(ref.Version>>shift)] ^ check>>8
	}
	for _, c := range ref.ID {
		check = castagnoli[byte(check)^c] ^ check>>8
	}
	return ^check
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// DecodeBinary reads the header of a stored object from its binary form: only what
// [EncodeBinary] writes, to the letter. Upper is what the changesets of [BinaryBases] have.
// It is not looked at if the form is whole. The object's own Metadata and ContentType are not
// looked at. Anything else is a [*CorruptError] that names the object.
func DecodeBinary(o Stored, b []byte, upper Upper) (Header, error) {
	h, err := decodeBinary(&o, b, upper)
	if err != nil {
		return Header{}, &CorruptError{o.Ref, o.Object, err.Error()}
	}
	return h, nil
}

func decodeBinary(o *Stored, b []byte, upper Upper) (h Header, err error) {
	s := binaryScanner{rest: b}
	if err := s.begin(o.Ref, b); err != nil {
		return h, err
	}
	h.Ref, h.BodySize = o.Ref, o.Size
	if h.Ancestors, err = s.ancestors(o.Ref, upper); err != nil {
		return h, err
	}
	h.Parent = h.Ancestors.Parent()
	copy(h.Digest[:], s.take(len(h.Digest)))
	copy(h.BodySHA256[:], s.take(len(h.BodySHA256)))
	h.RecordedAt = s.time()
	h.AfterRevision = s.uvarint()
	s.options(&h)
	if s.failed || len(s.rest) > 0 || s.flags&^s.used != 0 {
		return h, errNotCanonical
	}
	return h, h.validate()
}

// binaryScanner takes the fields of the binary form one after the other. It accepts one
// form of each alone.
type binaryScanner struct {
	flags, used byte
	rest        []byte
	failed      bool
}

// begin takes the flags, and checks the whole.
func (s *binaryScanner) begin(ref Ref, b []byte) error {
	if ref.IsPacked() || len(b) <= checkSize {
		return errNotCanonical
	}
	end := len(b) - checkSize
	if binary.BigEndian.Uint32(b[end:]) != checkOf(ref, b[:end]) {
		return errors.New("the header is damaged, or belongs to another changeset")
	}
	s.flags, s.rest = b[0], b[1:end]
	return nil
}

// has reports whether the flag is set.
func (s *binaryScanner) has(flag byte) bool {
	s.used |= flag
	return s.flags&flag != 0
}

// take returns the next n bytes.
func (s *binaryScanner) take(n int) []byte {
	if n > len(s.rest) {
		s.failed, s.rest = true, nil
		return nil
	}
	taken := s.rest[:n]
	s.rest = s.rest[n:]
	return taken
}

func (s *binaryScanner) byte() byte {
	if b := s.take(1); b != nil {
		return b[0]
	}
	return 0
}

// text returns a text with its length, which is not 0, before it.
func (s *binaryScanner) text() string {
	n := s.byte()
	s.failed = s.failed || n == 0
	return string(s.take(int(n)))
}

func (s *binaryScanner) time() (t time.Time) {
	if b := s.take(8); b != nil {
		t = time.Unix(0, int64(binary.BigEndian.Uint64(b))).UTC()
	}
	s.failed = s.failed || !hasNanoseconds(t)
	return t
}

func (s *binaryScanner) uvarint() uint64 {
	v, n := binary.Uvarint(s.rest)
	if n <= 0 || n > 1 && s.rest[n-1] == 0 { // it has a shorter form
		s.failed = true
		return 0
	}
	s.rest = s.rest[n:]
	return v
}

// ancestors takes the index of a version.
func (s *binaryScanner) ancestors(ref Ref, upper Upper) (Index, error) {
	first := s.take(wheelLen(ref.Version, 0) * idSize)
	size := upperSize(ref.Version)
	switch {
	case s.has(flagUpper):
		upper = Upper(s.take(size))
	case size == 0:
		upper = ""
	case len(first) < 2*idSize: // a base
		return Index{}, errNotCanonical
	case len(upper) != size:
		return Index{}, fmt.Errorf("a part of its ancestor index is missing, which the changesets at versions %d and %d have", baseOf(ref.Version), baseOf(ref.Version)+1)
	}
	if s.failed || s.has(flagUpper) && size == 0 {
		return Index{}, errNotCanonical
	}
	return join(ref.Version, first, upper), nil
}

// options takes the fields that are mostly absent.
func (s *binaryScanner) options(h *Header) {
	if s.has(flagPart) {
		h.Part = Part{int(s.byte()) + 1, int(s.byte()) + 1}
	}
	if s.has(flagCommand) {
		h.CommandID = s.text()
	}
	if s.has(flagZstd) {
		h.Encoding = EncodingZstd
	}
	if s.has(flagUser) {
		var err error
		h.Metadata, err = decodeUser(s.text())
		s.failed = s.failed || err != nil
	}
	h.ContentType = DefaultContentType
	if s.has(flagContentType) {
		h.ContentType = s.contentType()
	}
}

// contentType takes the type, by its code if it has one.
func (s *binaryScanner) contentType() string {
	code := int(s.byte())
	if code < len(contentTypes) {
		return contentTypes[code]
	}
	text := string(s.take(max(code-textCodes, 0)))
	for _, known := range contentTypes {
		s.failed = s.failed || text == known
	}
	s.failed = s.failed || text == "" || text == DefaultContentType
	return text
}
