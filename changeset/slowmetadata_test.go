package changeset

import (
	"encoding/base64"
	"fmt"
	"strconv"
)

// DecodeSlowly is the reference of Decode for metadata of a known format. It reads the
// fields, encodes them again, and compares.
func DecodeSlowly(o Stored, s KeyStyle) (Header, error) {
	read := slowly
	if o.Metadata[keyFormat] == strconv.Itoa(FormatPacked) {
		read = packedSlowly
	}
	h, err := read(o, s)
	switch {
	case err != nil:
		return Header{}, err
	case h.Ref != o.Ref:
		return Header{}, fmt.Errorf("metadata belongs to %s", h.Ref)
	case h.validate() != nil:
		return Header{}, h.validate()
	case !h.isEncodedAs(o.Metadata, s):
		return Header{}, errNotCanonical
	}
	return h, nil
}

// DecodeRowSlowly is the reference of DecodeRow.
func DecodeRowSlowly(o Stored, r Row) (Header, error) { return decodeRow(o, r) }

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

func slowly(o Stored, s KeyStyle) (Header, error) {
	p := slowParser{metadata: o.Metadata, spelling: s}
	h := p.header(o)
	h.ID = slow(&p, keyID, ParseID)
	h.RecordedAt = slow(&p, keyRecordedAt, ParseTime)
	packed := slow(&p, keyAncestors, base64.RawURLEncoding.DecodeString)
	if p.err != nil {
		return Header{}, p.err
	}
	var err error
	h.Ancestors, err = ParseIndex(h.Version, packed)
	return h, err
}

func packedSlowly(o Stored, s KeyStyle) (Header, error) {
	p := slowParser{metadata: o.Metadata, spelling: s}
	h := p.header(o)
	h.ID = slow(&p, keyObjectID, ParseID)
	h.Count = slow(&p, keyCount, parseCount)
	h.RecordedAt = slow(&p, keyRecordedAt, slowOptional(ParseTime))
	h.Pack = &Pack{Lines: h.RecordedAt.IsZero(), ParentDigest: slow(&p, keyParentDigest, slowOptional(ParseDigest))}
	objects := slow(&p, keyObjects, ParseDecimal)
	packed := slow(&p, keyIndex, base64.RawURLEncoding.DecodeString)
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

func (p *slowParser) header(o Stored) Header {
	return Header{
		Ref: Ref{
			AggregateID: slow(p, keyAggregateID, Unescape),
			Version:     slow(p, keyVersion, ParseDecimal),
		},
		Parent:        slow(p, keyParent, slowOptional(ParseID)),
		AfterRevision: slow(p, keyAfterRevision, ParseDecimal),
		ContentType:   o.ContentType,
		Encoding:      o.Metadata[p.spelling.key(keyEncoding)],
		BodySize:      o.Size,
		BodySHA256:    slow(p, keySHA256, ParseDigest),
		Digest:        slow(p, keyDigest, ParseDigest),
		CommandID:     slow(p, keyCommandID, Unescape),
		Part:          slow(p, keyAppend, slowOptional(parsePart)),
		Metadata:      slow(p, keyUser, slowOptional(decodeUser)),
	}
}

type slowParser struct {
	metadata map[string]string
	spelling KeyStyle
	err      error
}

func slow[T any](p *slowParser, name string, read func(string) (T, error)) T {
	v, err := read(p.metadata[p.spelling.key(name)])
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("metadata %s: %w", name, err)
	}
	return v
}

func slowOptional[T any](read func(string) (T, error)) func(string) (T, error) {
	return func(s string) (T, error) {
		if s == "" {
			var zero T
			return zero, nil
		}
		return read(s)
	}
}
