package head

import (
	"bytes"
	"encoding/base64"
	"fmt"
)

// Row is a record for backends that keep the digest and the index in columns of
// their own: the content of [EncodeJSON], with these bytes as they are instead of
// in base64.
type Row struct {
	// Record is the rest of the record: a JSON object with sorted keys, compact.
	Record string
	// Ancestors is the packed ancestor index; empty, not nil, without an index.
	Ancestors []byte
	// Digest has 32 bytes.
	Digest []byte
}

// EncodeRow returns the record as a row. Unknown fields that [DecodeRow] met
// are in its Record again.
func EncodeRow(h Head) (Row, error) {
	if err := h.Validate(); err != nil {
		return Row{}, fmt.Errorf("encode head: %w", err)
	}
	ancestors := h.Ancestors.Packed()
	if ancestors == nil {
		ancestors = []byte{}
	}
	record, err := appendJSON(make(object, 0, 1<<9), h, false)
	return Row{string(record), ancestors, bytes.Clone(h.Digest[:])}, err
}

// DecodeRow reads the row of an aggregate, as [DecodeJSON] does, with its
// errors: it accepts only what [EncodeRow] writes, to the letter.
func DecodeRow(aggregateID, object string, r Row) (Head, error) {
	return decode(aggregateID, object, []byte(r.Record), map[string]string{
		FieldAncestors: base64.RawURLEncoding.EncodeToString(r.Ancestors),
		FieldDigest:    base64.RawURLEncoding.EncodeToString(r.Digest),
	})
}
