package changeset

import (
	"encoding/json"
	"fmt"
)

// EncodeJSON returns what [Encode] returns as one JSON text, for stores that
// keep metadata in a field of their own: an object of strings with sorted keys,
// compact. An invalid header is an error.
func EncodeJSON(h Header) (string, error) {
	if err := h.validate(); err != nil {
		return "", fmt.Errorf("encode %s: %w", h.Ref, err)
	}
	return h.json(), nil
}

// json needs no escapes: neither keys nor values have characters for them.
func (h Header) json() string {
	b := make([]byte, 0, 1<<10)
	separator := byte('{')
	for _, p := range h.pairs() {
		if p.value == "" {
			continue
		}
		b = append(append(append(b, separator, '"'), p.key...), `":"`...)
		b = append(append(b, p.value...), '"')
		separator = ','
	}
	return string(append(b, '}'))
}

// DecodeJSON reads the header of a stored object whose metadata is a JSON text,
// as [Decode] does, with its errors: it accepts only what [EncodeJSON] writes,
// to the letter. The object's own Metadata is not looked at.
func DecodeJSON(o Stored, metadata string) (Header, error) {
	o.Metadata = nil
	if err := json.Unmarshal([]byte(metadata), &o.Metadata); err != nil {
		return Header{}, &CorruptError{o.Ref, o.Object, fmt.Sprintf("metadata: %v", err)}
	}
	h, err := Decode(o, Hyphens)
	if err == nil && h.json() != metadata {
		err = &CorruptError{o.Ref, o.Object, "metadata is not in its canonical form"}
	}
	if err != nil {
		return Header{}, err
	}
	return h, nil
}
