package changeset

import (
	"encoding/base64"
	"fmt"
	"maps"
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

// isEncodedAs reports whether the metadata is exactly what encode returns.
func (h Header) isEncodedAs(metadata map[string]string, s KeyStyle) bool {
	present := 0
	for key, value := range h.pairs {
		if present++; metadata[s.key(key)] != value {
			return false
		}
	}
	return present == len(metadata)
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
	read := decode
	switch f := o.Metadata[keyFormat]; f {
	case strconv.Itoa(Format):
	case strconv.Itoa(FormatPacked):
		read = decodePacked
	default:
		if n, err := ParseDecimal(f); err == nil && n > MaxFormat {
			return Header{}, fmt.Errorf("%s (%s): %w: %d, this version reads up to %d", o.Ref, o.Object, ErrUnsupportedFormat, n, MaxFormat)
		}
		return Header{}, &CorruptError{o.Ref, o.Object, fmt.Sprintf("metadata has no valid format: %q", f)}
	}
	if e := o.Metadata[keyEncoding]; !isKnownEncoding(e) {
		return Header{}, fmt.Errorf("%s (%s): %w: content encoding %q", o.Ref, o.Object, ErrUnsupportedFormat, e)
	}
	h, err := read(o, s)
	if err == nil {
		err = h.isOf(o, s)
	}
	if err != nil {
		return Header{}, &CorruptError{o.Ref, o.Object, err.Error()}
	}
	return h, nil
}

// isOf checks a decoded header against the object that it was read from.
func (h Header) isOf(o Stored, s KeyStyle) error {
	if h.Ref != o.Ref {
		return fmt.Errorf("metadata belongs to %s", h.Ref)
	}
	if err := h.validate(); err != nil {
		return err
	}
	if !h.isEncodedAs(o.Metadata, s) {
		return fmt.Errorf("metadata is not in its canonical form")
	}
	return nil
}

// decode reads the metadata of format 1.
func decode(o Stored, s KeyStyle) (Header, error) {
	p := parser{metadata: o.Metadata, spelling: s}
	h := p.header(o)
	h.ID = parse(&p, keyID, ParseID)
	h.RecordedAt = parse(&p, keyRecordedAt, ParseTime)
	packed := parse(&p, keyAncestors, base64.RawURLEncoding.DecodeString)
	if p.err != nil {
		return Header{}, p.err
	}
	var err error
	h.Ancestors, err = ParseIndex(h.Version, packed)
	return h, err
}

// decodePacked reads the metadata of an object of format 2.
func decodePacked(o Stored, s KeyStyle) (Header, error) {
	p := parser{metadata: o.Metadata, spelling: s}
	h := p.header(o)
	h.ID = parse(&p, keyObjectID, ParseID)
	h.Count = parse(&p, keyCount, parseCount)
	h.RecordedAt = parse(&p, keyRecordedAt, optional(ParseTime))
	h.Pack = &Pack{Lines: h.RecordedAt.IsZero(), ParentDigest: parse(&p, keyParentDigest, optional(ParseDigest))}
	objects := parse(&p, keyObjects, ParseDecimal)
	packed := parse(&p, keyIndex, base64.RawURLEncoding.DecodeString)
	switch {
	case p.err != nil:
		return Header{}, p.err
	case h.Version < uint64(h.Count)-1:
		return Header{}, fmt.Errorf("%d changesets cannot end at version %d", h.Count, h.Version)
	}
	var err error
	h.Pack.Index, err = ParseObjectIndex(objects, h.First(), packed)
	return h, err
}

// header reads the fields that both formats have.
func (p *parser) header(o Stored) Header {
	return Header{
		Ref: Ref{
			AggregateID: parse(p, keyAggregateID, Unescape),
			Version:     parse(p, keyVersion, ParseDecimal),
		},
		Parent:        parse(p, keyParent, optional(ParseID)),
		AfterRevision: parse(p, keyAfterRevision, ParseDecimal),
		ContentType:   o.ContentType,
		Encoding:      o.Metadata[p.spelling.key(keyEncoding)],
		BodySize:      o.Size,
		BodySHA256:    parse(p, keySHA256, ParseDigest),
		Digest:        parse(p, keyDigest, ParseDigest),
		CommandID:     parse(p, keyCommandID, Unescape),
		Part:          parse(p, keyAppend, optional(parsePart)),
		Metadata:      parse(p, keyUser, optional(decodeUser)),
	}
}

func parseCount(s string) (uint16, error) {
	n, err := ParseDecimal(s)
	if err != nil || n == 0 || n > MaxCount {
		return 0, fmt.Errorf("%q is not a count of 1 to %d", s, MaxCount)
	}
	return uint16(n), nil
}

// parser keeps the first error, so that decode can read as a list of fields.
type parser struct {
	metadata map[string]string
	spelling KeyStyle
	err      error
}

func parse[T any](p *parser, name string, read func(string) (T, error)) T {
	v, err := read(p.metadata[p.spelling.key(name)])
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("metadata %s: %w", name, err)
	}
	return v
}

// optional reads an absent value as the zero one.
func optional[T any](read func(string) (T, error)) func(string) (T, error) {
	return func(s string) (T, error) {
		if s == "" {
			var zero T
			return zero, nil
		}
		return read(s)
	}
}

func parsePart(s string) (Part, error) {
	var p Part
	number, of, _ := strings.Cut(s, "/")
	k, err := ParseDecimal(number)
	n, err2 := ParseDecimal(of)
	if err != nil || err2 != nil || k > MaxPerAppend || n > MaxPerAppend {
		return p, fmt.Errorf("%q is not k/n", s)
	}
	return Part{int(k), int(n)}, nil
}

// encodeUser joins the caller's metadata as k=v&k=v, sorted by encoded key.
func encodeUser(m map[string]string) string {
	if len(m) == 0 {
		return ""
	}
	encoded := make(map[string]string, len(m))
	for k, v := range m {
		encoded[Escape(k)] = Escape(v)
	}
	pairs := make([]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(encoded)) {
		pairs = append(pairs, k+"="+encoded[k])
	}
	return strings.Join(pairs, "&")
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
