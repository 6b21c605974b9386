package head

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"ropewalk/changeset"
)

// The names of the record's fields, in every store.
const (
	FieldFormat      = "format"
	FieldMinReader   = "min-reader"
	FieldMinWriter   = "min-writer"
	FieldState       = "state"
	FieldAggregateID = "aggregate-id"
	FieldVersion     = "aggregate-version"
	FieldChangesetID = "changeset-id"
	FieldAncestors   = "ancestors"
	FieldDigest      = "digest"
	FieldRevision    = "revision"
	FieldUpdatedAt   = "updated-at"
)

// EncodeJSON returns the record as its one JSON text: an object with sorted
// keys, compact. Unknown fields that [DecodeJSON] met are in it again.
func EncodeJSON(h Head) ([]byte, error) {
	if err := h.Validate(); err != nil {
		return nil, fmt.Errorf("encode head: %w", err)
	}
	return encodeJSON(h)
}

func encodeJSON(h Head) ([]byte, error) {
	f := h.Formats.Numbers()
	members := []member{
		{FieldAggregateID, text(changeset.Escape(h.AggregateID))},
		{FieldVersion, number(h.Version)},
		{FieldAncestors, text(base64.RawURLEncoding.EncodeToString(h.Ancestors.Packed()))},
		{FieldChangesetID, text(h.ID.String())},
		{FieldDigest, text(h.Digest.String())},
		{FieldFormat, number(f.Written)},
		{FieldMinReader, number(f.MinReader)},
		{FieldMinWriter, number(f.MinWriter)},
		{FieldRevision, number(h.Revision)},
		{FieldState, text(string(h.State))},
		{FieldUpdatedAt, text(changeset.FormatTime(h.UpdatedAt))},
	}
	if h.extra == "" {
		return encodeObject(members), nil
	}
	fields, err := objectFields([]byte(h.extra))
	if err != nil {
		return nil, fmt.Errorf("unknown fields: %w", err)
	}
	for _, m := range members {
		fields[m.name] = m.value
	}
	return canonical(fields)
}

// DecodeJSON reads the record of an aggregate from its JSON text. It accepts
// only what [EncodeJSON] writes, to the letter: anything else is a
// [*changeset.CorruptError] that names the object. A record that only newer
// readers may trust is an error that matches [changeset.ErrUnsupportedFormat].
func DecodeJSON(aggregateID, object string, record []byte) (Head, error) {
	h, err := decodeJSON(record)
	if err == nil && h.AggregateID != aggregateID {
		err = fmt.Errorf("the record is that of %q", h.AggregateID)
	}
	if err != nil {
		return Head{}, DecodeError(aggregateID, object, err)
	}
	return h, nil
}

// DecodeError returns a decoder's error as stores must return it: nil as nil,
// [changeset.ErrUnsupportedFormat] with the object's name, anything else as a
// [*changeset.CorruptError].
func DecodeError(aggregateID, object string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, changeset.ErrUnsupportedFormat):
		return fmt.Errorf("head of %q (%s): %w", aggregateID, object, err)
	default:
		return &changeset.CorruptError{Ref: changeset.Ref{AggregateID: aggregateID}, Object: object, Reason: err.Error()}
	}
}

func decodeJSON(record []byte) (Head, error) {
	fields, err := objectFields(record)
	if err != nil {
		return Head{}, err
	}
	texts := map[string]string{}
	for _, name := range knownFields {
		if texts[name], err = scalar(fields[name], numeric[name]); err != nil {
			return Head{}, fmt.Errorf("%s: %w", name, err)
		}
		delete(fields, name)
	}
	h, err := FromTexts(texts)
	if err != nil {
		return Head{}, err
	}
	if len(fields) > 0 {
		extra, err := canonical(fields)
		if err != nil {
			return Head{}, err
		}
		h.extra = string(extra)
	}
	if again, err := encodeJSON(h); err != nil || !bytes.Equal(again, record) {
		return Head{}, errors.New("the record is not in its canonical form")
	}
	return h, nil
}

var knownFields = []string{
	FieldFormat, FieldMinReader, FieldMinWriter, FieldState, FieldAggregateID, FieldVersion,
	FieldChangesetID, FieldAncestors, FieldDigest, FieldRevision, FieldUpdatedAt,
}

var numeric = map[string]bool{
	FieldFormat: true, FieldMinReader: true, FieldMinWriter: true, FieldVersion: true, FieldRevision: true,
}

// objectFields reads one JSON object; a repeated key is an error. Nothing is
// read as an object without fields.
func objectFields(text []byte) (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	if len(text) == 0 {
		return fields, nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("not a JSON object: %w", err)
		}
		name := key.(string) // within an object the decoder yields nothing else here
		if _, repeated := fields[name]; repeated {
			return nil, fmt.Errorf("key %q is repeated", name)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		fields[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	return fields, nil
}

// canonical returns the fields as a compact JSON object with sorted keys.
func canonical(fields any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(fields); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// member is one field of a JSON object: its name, which needs no escapes, and
// its value as JSON.
type member struct {
	name  string
	value json.RawMessage
}

// encodeObject returns what canonical returns of the same members, which are
// sorted and compact already, in a fraction of the time: each append writes a
// record, and where appends share a transaction, others wait for it.
func encodeObject(members []member) []byte {
	b := append(make([]byte, 0, 2048), '{')
	for i, m := range members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, m.name...)
		b = append(b, `":`...)
		b = append(b, m.value...)
	}
	return append(b, '}')
}

// scalar returns the text of a JSON number or string; no value is no text.
func scalar(raw json.RawMessage, isNumber bool) (string, error) {
	if len(raw) == 0 {
		return "", errors.New("missing")
	}
	if isNumber {
		return string(raw), nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}

func number(n uint64) json.RawMessage { return strconv.AppendUint(nil, n, 10) }

// text quotes s, which in a head never needs escapes.
func text(s string) json.RawMessage { return json.RawMessage(`"` + s + `"`) }
