package changeset

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// KeyStyle says how a service spells the keys of user metadata.
type KeyStyle int

const (
	// Hyphenated keys are as in the format: "changeset-id". S3 uses them.
	Hyphenated KeyStyle = iota
	// Joined keys have no hyphens: "changesetid". The keys of Azure must be C# identifiers.
	Joined
)

func (s KeyStyle) key(name string) string {
	if s == Joined {
		return strings.ReplaceAll(name, "-", "")
	}
	return name
}

// The keys of the metadata, as [Hyphenated] spells them.
const (
	keyFormat        = "format"
	keyAggregateID   = "aggregate-id"
	keyVersion       = "aggregate-version"
	keyID            = "changeset-id"
	keyParent        = "parent-changeset-id"
	keyAfterRevision = "after-revision"
	keyAncestors     = "ancestors"
	keySHA256        = "content-sha256"
	keyDigest        = "digest"
	keyRecordedAt    = "recorded-at"
	keyCommandID     = "command-id"
	keyAppend        = "append"
	keyEncoding      = "encoding"
	keyUser          = "user"
)

// The keys that only objects of format 2 have, or have instead.
const (
	keyCount        = "changesets"
	keyObjectID     = "object-id"
	keyParentDigest = "parent-digest"
	keyObjects      = "objects"
	keyIndex        = "index"
)

// Encode returns a header's metadata for storage, except the content type and
// the size, which are the object's own. An invalid header is an error.
func Encode(h Header, s KeyStyle) (map[string]string, error) {
	if err := h.validate(); err != nil {
		return nil, fmt.Errorf("encode %s: %w", h.Ref, err)
	}
	return h.encode(s), nil
}

// pair is one key of the metadata, spelled with hyphens, and its value, empty
// where it is absent.
type pair struct{ key, value string }

// manyPairs is how many pairs an object has at most, except an object of format 2 that
// is one changeset: a map for three more would take twice the memory.
const manyPairs = 14

// texts returns the pairs except the pairs of bytes, in the order of their keys.
func (h Header) texts() [14]pair {
	if h.Pack != nil {
		return h.packedTexts()
	}
	parent := ""
	if h.Version > 0 {
		parent = h.Parent.String()
	}
	return [14]pair{
		{keyAfterRevision, strconv.FormatUint(h.AfterRevision, 10)},
		{keyAggregateID, Escape(h.AggregateID)},
		{keyVersion, strconv.FormatUint(h.Version, 10)},
		{keyAppend, h.Part.String()},
		{keyID, h.ID.String()},
		{keyCommandID, Escape(h.CommandID)},
		{keyEncoding, h.Encoding},
		{keyFormat, strconv.Itoa(Format)},
		{keyParent, parent},
		{keyRecordedAt, FormatTime(h.RecordedAt)},
		{keyUser, encodeUser(h.Metadata)},
	}
}

// packedTexts is texts for an object of format 2. Only the header of an object that is
// one changeset has a time.
func (h Header) packedTexts() [14]pair {
	parent, digest, recorded := "", "", ""
	if h.First() > 0 {
		parent, digest = h.Parent.String(), h.Pack.ParentDigest.String()
	}
	if !h.Pack.Lines {
		recorded = FormatTime(h.RecordedAt)
	}
	return [14]pair{
		{keyAfterRevision, strconv.FormatUint(h.AfterRevision, 10)},
		{keyAggregateID, Escape(h.AggregateID)},
		{keyVersion, strconv.FormatUint(h.Version, 10)},
		{keyAppend, h.Part.String()},
		{keyCount, strconv.Itoa(int(h.Count))},
		{keyCommandID, Escape(h.CommandID)},
		{keyEncoding, h.Encoding},
		{keyFormat, strconv.Itoa(FormatPacked)},
		{keyObjectID, h.ID.String()},
		{keyObjects, strconv.FormatUint(h.Pack.Index.Objects(), 10)},
		{keyParent, parent},
		{keyParentDigest, digest},
		{keyRecordedAt, recorded},
		{keyUser, encodeUser(h.Metadata)},
	}
}

// bytes returns the pairs of bytes, in base64.
func (h Header) bytes() [3]pair {
	key, index := h.index()
	return [3]pair{
		{key, base64.RawURLEncoding.EncodeToString(index)},
		{keySHA256, h.BodySHA256.String()},
		{keyDigest, h.Digest.String()},
	}
}

// index returns the key and the packed form of the header's index.
func (h Header) index() (key string, packed []byte) {
	if h.Pack != nil {
		return keyIndex, h.Pack.Index.Packed()
	}
	return keyAncestors, h.Ancestors.Packed()
}

// pairs yields the pairs that are present.
func (h Header) pairs(yield func(key, value string) bool) {
	texts, bytes := h.texts(), h.bytes()
	for _, pairs := range [...][]pair{texts[:], bytes[:]} {
		for _, p := range pairs {
			if p.value != "" && !yield(p.key, p.value) {
				return
			}
		}
	}
}

func (h Header) encode(s KeyStyle) map[string]string {
	m := make(map[string]string, manyPairs)
	for key, value := range h.pairs {
		m[s.key(key)] = value
	}
	return m
}

// Stored is a storage service's answer about one changeset object, except its
// body.
type Stored struct {
	// Ref is the changeset that the object's name promises.
	Ref Ref
	// Object is the object's own name in its storage, for error messages.
	Object string
	// Metadata is the user metadata, keys in lower case.
	Metadata map[string]string
	// ContentType is the object's own content type.
	ContentType string
	// Size is the size of the body in bytes.
	Size int64
}

// Decode reads the header of a stored object. It accepts only what [Encode]
// writes, to the letter, for the changeset that the object's name promises:
// anything else is a [*CorruptError] that names the object. A format or an
// encoding of a newer version is an error that matches [ErrUnsupportedFormat].
func Decode(o Stored, s KeyStyle) (Header, error) {
	switch f := o.Metadata[keyFormat]; f {
	case strconv.Itoa(Format), strconv.Itoa(FormatPacked):
	default:
		if n, err := ParseDecimal(f); err == nil && n > MaxFormat {
			return Header{}, fmt.Errorf("%s (%s): %w: %d, this version reads up to %d", o.Ref, o.Object, ErrUnsupportedFormat, n, MaxFormat)
		}
		return Header{}, &CorruptError{o.Ref, o.Object, fmt.Sprintf("metadata has no valid format: %q", f)}
	}
	if e := o.Metadata[keyEncoding]; !isKnownEncoding(e) {
		return Header{}, fmt.Errorf("%s (%s): %w: content encoding %q", o.Ref, o.Object, ErrUnsupportedFormat, e)
	}
	h, err := decode(&o, &parser{metadata: o.Metadata, spelling: s})
	if err != nil {
		return Header{}, &CorruptError{o.Ref, o.Object, err.Error()}
	}
	return h, nil
}

// decode reads the metadata of an object.
func decode(o *Stored, p *parser) (h Header, err error) {
	if o.Ref.IsPacked() {
		h.decodePacked(o, p)
	} else {
		h.decode(o, p)
	}
	return h, h.isOf(o, p)
}

var errNotCanonical = errors.New("metadata is not in its canonical form")

// isOf checks a decoded header against the object that it was read from. Each value was
// read by a parser that accepts one text alone, so the metadata is canonical if it has
// nothing else.
func (h *Header) isOf(o *Stored, p *parser) error {
	if p.err != nil {
		return p.err
	}
	if h.Ref != o.Ref {
		return fmt.Errorf("metadata belongs to %s", h.Ref)
	}
	if err := h.validate(); err != nil {
		return err
	}
	if !p.atEnd() {
		return errNotCanonical
	}
	return nil
}

// decode reads the metadata of format 1, the texts in the order of their keys.
func (h *Header) decode(o *Stored, p *parser) {
	h.ContentType, h.BodySize = o.ContentType, o.Size
	p.begin(h)
	h.ID = parse(p, keyID, ParseID)
	h.CommandID = parse(p, keyCommandID, Unescape)
	h.Encoding = p.value(keyEncoding)
	p.format(Format)
	h.Parent = optional(p, keyParent, ParseID)
	h.RecordedAt = parse(p, keyRecordedAt, ParseTime)
	h.Metadata = optional(p, keyUser, decodeUser)
	h.Ancestors = p.ancestors(h.Version)
	h.BodySHA256, h.Digest = p.digest(keySHA256), p.digest(keyDigest)
}

// decodePacked reads the metadata of an object of format 2, the texts in the order of
// their keys.
func (h *Header) decodePacked(o *Stored, p *parser) {
	h.ContentType, h.BodySize = o.ContentType, o.Size
	p.begin(h)
	h.Count = parse(p, keyCount, parseCount)
	h.CommandID = parse(p, keyCommandID, Unescape)
	h.Encoding = p.value(keyEncoding)
	p.format(FormatPacked)
	h.ID = parse(p, keyObjectID, ParseID)
	objects := parse(p, keyObjects, ParseDecimal)
	h.Parent = optional(p, keyParent, ParseID)
	h.Pack = &Pack{ParentDigest: optional(p, keyParentDigest, parseParentDigest)}
	recorded := p.value(keyRecordedAt)
	if h.Pack.Lines = recorded == ""; !h.Pack.Lines {
		h.RecordedAt = read(p, keyRecordedAt, recorded, ParseTime)
	}
	h.Metadata = optional(p, keyUser, decodeUser)
	h.Pack.Index = p.objectIndex(objects, h.Ref)
	h.BodySHA256, h.Digest = p.digest(keySHA256), p.digest(keyDigest)
}

// begin reads the fields that come first in both formats.
func (p *parser) begin(h *Header) {
	h.AfterRevision = parse(p, keyAfterRevision, ParseDecimal)
	h.AggregateID = parse(p, keyAggregateID, Unescape)
	h.Version = parse(p, keyVersion, ParseDecimal)
	h.Part = optional(p, keyAppend, parsePart)
}

// format reads the format, which the reference of the object implies.
func (p *parser) format(want int) {
	if f := p.value(keyFormat); f != strconv.Itoa(want) {
		p.fail(keyFormat, fmt.Errorf("%q is not the format of the object's name", f))
	}
}

func parseCount(s string) (uint16, error) {
	n, err := ParseDecimal(s)
	if err != nil || n == 0 || n > MaxCount {
		return 0, fmt.Errorf("%q is not a count of 1 to %d", s, MaxCount)
	}
	return uint16(n), nil
}

func parsePart(s string) (Part, error) {
	var p Part
	number, of, _ := strings.Cut(s, "/")
	k, err := ParseDecimal(number)
	n, err2 := ParseDecimal(of)
	if err != nil || err2 != nil || k == 0 && n == 0 || k > MaxPerAppend || n > MaxPerAppend {
		return p, fmt.Errorf("%q is not k/n", s)
	}
	return Part{int(k), int(n)}, nil
}

// encodeUser joins the caller's metadata as k=v&k=v, sorted by encoded key.
func encodeUser(m map[string]string) string {
	if len(m) == 0 {
		return ""
	}
	return string(appendUser(make([]byte, 0, MaxMetadata), m))
}

// appendUser appends what encodeUser returns.
func appendUser(b []byte, m map[string]string) []byte {
	pairs := make([]pair, 0, 8)
	for k, v := range m {
		pairs = append(pairs, pair{Escape(k), v})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	for i, p := range pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(append(append(b, p.key...), '='), Escape(p.value)...)
	}
	return b
}

// decodeUser reverses encodeUser. An empty key, what is not UTF-8, and what is not
// sorted, are errors.
func decodeUser(s string) (map[string]string, error) {
	if len(s) > MaxMetadata {
		return nil, fmt.Errorf("metadata takes %d bytes once encoded, more than %d", len(s), MaxMetadata)
	}
	m := map[string]string{}
	last := ""
	for pair := range strings.SplitSeq(s, "&") {
		k, v, ok := strings.Cut(pair, "=")
		key, err := Unescape(k)
		value, err2 := Unescape(v)
		switch {
		case !ok || err != nil || err2 != nil:
			return nil, fmt.Errorf("%q is not k=v", pair)
		case key == "" || !utf8.ValidString(key) || !utf8.ValidString(value):
			return nil, fmt.Errorf("metadata %q=%q: want a key, and UTF-8", key, value)
		case k <= last:
			return nil, fmt.Errorf("it is not in its canonical form: key %q after %q", k, last)
		}
		m[key], last = value, k
	}
	return m, nil
}
