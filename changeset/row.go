package changeset

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Row is a header's metadata for backends that keep digests and index in columns
// of their own: the content of [Encode], with these bytes as they are instead of
// in base64.
type Row struct {
	// Metadata is the rest of the metadata: one JSON text, an object of strings with sorted
	// keys, compact.
	Metadata string
	// Ancestors is the packed ancestor index, empty at version 0. Of an object of format 2
	// it is the packed object index.
	Ancestors []byte
	// BodySHA256 and Digest have 32 bytes each.
	BodySHA256, Digest []byte
}

// EncodeRow returns a header's metadata as a row. An invalid header is an error.
func EncodeRow(h Header) (Row, error) {
	if err := h.validate(); err != nil {
		return Row{}, fmt.Errorf("encode %s: %w", h.Ref, err)
	}
	_, index := h.index()
	// Slices of the arrays themselves would move the whole header to the heap.
	return Row{h.json(), index, bytes.Clone(h.BodySHA256[:]), bytes.Clone(h.Digest[:])}, nil
}

// json needs no escapes: neither keys nor values have characters for them.
func (h Header) json() string {
	b := make([]byte, 0, 1<<10)
	separator := byte('{')
	for _, p := range h.texts() {
		if p.value == "" {
			continue
		}
		b = append(append(append(b, separator, '"'), p.key...), `":"`...)
		b = append(append(b, p.value...), '"')
		separator = ','
	}
	return string(append(b, '}'))
}

// DecodeRow reads the header of a stored object whose metadata is a row, as
// [Decode] does, with its errors: it accepts only what [EncodeRow] writes, to
// the letter. The object's own Metadata is not looked at.
func DecodeRow(o Stored, r Row) (Header, error) {
	h, err := decode(&o, &parser{isRow: true, row: r, text: r.Metadata})
	if err != nil {
		return decodeRow(o, r)
	}
	return h, nil
}

// decodeRow is DecodeRow by package json. It takes several times as long, and says what
// is wrong with a row.
func decodeRow(o Stored, r Row) (Header, error) {
	o.Metadata = make(map[string]string, manyPairs)
	index := keyAncestors
	if o.Ref.IsPacked() {
		index = keyIndex
	}
	for key, value := range map[string][]byte{index: r.Ancestors, keySHA256: r.BodySHA256, keyDigest: r.Digest} {
		if len(value) > 0 {
			o.Metadata[key] = base64.RawURLEncoding.EncodeToString(value)
		}
	}
	if err := json.Unmarshal([]byte(r.Metadata), &o.Metadata); err != nil {
		return Header{}, &CorruptError{o.Ref, o.Object, fmt.Sprintf("metadata: %v", err)}
	}
	h, err := Decode(o, Hyphenated)
	if err == nil && h.json() != r.Metadata {
		err = &CorruptError{o.Ref, o.Object, "metadata is not in its canonical form"}
	}
	if err != nil {
		return Header{}, err
	}
	return h, nil
}
