package head

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

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
	// FieldCheckpoint is missing if the checkpoint is empty.
	FieldCheckpoint = "checkpoint"
)

// The names of the fields that only the record of an aggregate that moves has: one of them.
const (
	FieldMovedTo  = "moved-to"
	FieldMovingTo = "moving-to"
)

// The names of the fields that only the record of a packed chain has. Each is missing
// if it has no value.
const (
	FieldTip          = "tip"
	FieldIndex        = "index"
	FieldObjects      = "objects"
	FieldPackedDigest = "packed-digest"
	// FieldPackedID is missing if it is the ID of the newest object.
	FieldPackedID = "packed-changeset-id"
)

// EncodeJSON returns the record as its one JSON text: an object with sorted
// keys, compact. Unknown fields that [DecodeJSON] met are in it again.
func EncodeJSON(h Head) ([]byte, error) {
	if err := h.Validate(); err != nil {
		return nil, fmt.Errorf("encode head: %w", err)
	}
	return appendJSON(make(object, 0, 1<<10), h, true)
}

// appendJSON writes ancestors and digest only into the whole record.
func appendJSON(known object, h Head, whole bool) ([]byte, error) {
	f := h.Formats.Numbers()
	known.text(FieldAggregateID, changeset.Escape(h.AggregateID))
	known.number(FieldVersion, h.Version)
	if whole {
		known.base64(FieldAncestors, h.Ancestors.Packed())
	}
	known.text(FieldChangesetID, h.ID.String())
	known.optional(FieldCheckpoint, h.Checkpoint)
	if whole {
		known.text(FieldDigest, h.Digest.String())
	}
	packed := h.PackedTexts()
	known.number(FieldFormat, f.Written)
	known.optional(FieldIndex, packed[FieldIndex])
	known.number(FieldMinReader, f.MinReader)
	known.number(FieldMinWriter, f.MinWriter)
	move := h.MoveTexts()
	known.optional(FieldMovedTo, move[FieldMovedTo])
	known.optional(FieldMovingTo, move[FieldMovingTo])
	if n := h.Index.Objects(); n > 0 {
		known.number(FieldObjects, n)
	}
	known.optional(FieldPackedID, packed[FieldPackedID])
	known.optional(FieldPackedDigest, packed[FieldPackedDigest])
	known.number(FieldRevision, h.Revision)
	known.text(FieldState, string(h.State))
	known.lines(FieldTip, h.Tip)
	known.text(FieldUpdatedAt, changeset.FormatTime(h.UpdatedAt))
	known = append(known, '}')
	if h.extra == "" {
		return known, nil
	}
	fields, err := objectFields([]byte(h.extra))
	if err != nil {
		return nil, fmt.Errorf("unknown fields: %w", err)
	}
	if err := json.Unmarshal(known, &fields); err != nil {
		return nil, err
	}
	return canonical(fields)
}

// DecodeJSON reads the record of an aggregate from its JSON text. It accepts
// only what [EncodeJSON] writes, to the letter: anything else is a
// [*changeset.CorruptError] that names the object. A record that only newer
// readers may trust is an error that matches [changeset.ErrUnsupportedFormat].
func DecodeJSON(aggregateID, object string, record []byte) (Head, error) {
	return decode(aggregateID, object, record, nil)
}

// decode reads a record, of which some fields are beside it.
func decode(aggregateID, object string, record []byte, beside map[string]string) (Head, error) {
	h, err := decodeJSON(record, beside)
	if err == nil && h.AggregateID != aggregateID {
		err = fmt.Errorf("the record belongs to %q", h.AggregateID)
	}
	if err != nil {
		return Head{}, DecodeError(aggregateID, object, err)
	}
	h.AggregateID = aggregateID // the same text, which does not keep the record
	return h, nil
}

// DecodeError returns a decoder's error as stores must return it: nil as nil,
// [changeset.ErrUnsupportedFormat] with the object's name, anything else as a
// [*changeset.CorruptError].
func DecodeError(aggregateID, object string, err error) error {
	corrupt, isCorrupt := errors.AsType[*changeset.CorruptError](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, changeset.ErrUnsupportedFormat):
		return &formatError{aggregateID, object, err}
	case !isCorrupt:
		corrupt = &changeset.CorruptError{Reason: err.Error()}
	}
	return &changeset.CorruptError{Ref: changeset.Ref{AggregateID: aggregateID}, Object: object, Reason: corrupt.Reason}
}

// formatError is the error of a record that only newer versions may trust.
type formatError struct {
	aggregateID, object string
	err                 error
}

func (e *formatError) Error() string {
	return fmt.Sprintf("head of %q (%s): %v", e.aggregateID, e.object, e.err)
}

func (e *formatError) Unwrap() error { return e.err }

// Damaged returns the aggregate whose record does not decode, where that is
// what an error of [Store.Load] or [Store.List] means. A listing that ended so
// can be continued after that aggregate.
func Damaged(err error) (aggregateID string, ok bool) {
	if corrupt, ok := errors.AsType[*changeset.CorruptError](err); ok && corrupt.Ref.ID.IsZero() {
		return corrupt.Ref.AggregateID, corrupt.Ref.AggregateID != ""
	}
	format, ok := errors.AsType[*formatError](err)
	if !ok {
		return "", false
	}
	return format.aggregateID, true
}

func decodeJSON(record []byte, beside map[string]string) (Head, error) {
	rest, tip := cutTip(record)
	if h, err := decodeFlat(record, rest, tip, beside); err == nil {
		return h, nil
	}
	return decodeByJSON(record, rest, tip, beside)
}

func decodeByJSON(record, rest []byte, tip string, beside map[string]string) (Head, error) {
	if tip != "" {
		if h, err := decodeCut(record, rest, tip, beside); err == nil {
			return h, nil
		}
	}
	h, err := decodeCut(record, record, "", beside)
	if err != nil {
		_, strictly := objectFields(record) // which minds a repeated key
		return Head{}, cmp.Or(strictly, err)
	}
	return h, nil
}

// decodeFlat reads a record as nearly all records are, in less than half the time of
// package json. For any other text, the result is an error.
func decodeFlat(record, rest []byte, tip string, beside map[string]string) (Head, error) {
	texts := flatTexts(string(rest))
	maps.Copy(texts, beside)
	if tip != "" {
		texts[FieldTip] = tip
	}
	h, err := ParseFields(texts)
	if err == nil {
		err = requireCanonical(record, h, len(beside) == 0)
	}
	h.State, h.Checkpoint = State(strings.Clone(string(h.State))), strings.Clone(h.Checkpoint) // which would keep the record
	return h, err
}

// flatTexts returns the values of a JSON object by name, if they are numbers, and texts
// without escapes. It does not check the object: what it returns for another text has no
// meaning.
func flatTexts(rest string) map[string]string {
	texts := make(map[string]string, len(knownFields)+len(optionalFields))
	for {
		name, value, ok := strings.Cut(strings.TrimLeft(rest, `{,"`), `":`)
		if !ok {
			return texts
		}
		if text, ok := strings.CutPrefix(value, `"`); ok {
			texts[name], rest, _ = strings.Cut(text, `"`)
		} else {
			end := strings.IndexAny(value, ",}")
			if end < 0 {
				return texts
			}
			texts[name], rest = value[:end], value[end:]
		}
	}
}

// cutTip cuts the tip out of a record, for package json would read a long tip three
// times. It looks for the tip without a parser, and may cut elsewhere if the record has
// unknown fields. The result is then not what EncodeJSON writes, and the whole record is
// decoded.
func cutTip(record []byte) (rest []byte, tip string) {
	const begin, between, end = `,"tip":[{`, `"},{"`, `"}],"updated-at":`
	before, _, _ := bytes.Cut(record, []byte(begin))
	from, to := len(before)+len(begin)-len("{"), bytes.LastIndex(record, []byte(end))
	if to < from {
		return record, ""
	}
	to += len(`"}`)
	lines := bytes.ReplaceAll(record[from:to], []byte(between), []byte("\"}\n{\""))
	return append(bytes.Clone(before), record[to+len("]"):]...), string(lines) + "\n"
}

// decodeCut reads a record from which the tip has been cut, unless the tip is empty.
func decodeCut(record, rest []byte, tip string, beside map[string]string) (Head, error) {
	h, err := decodeFields(rest, tip, beside)
	if err == nil {
		err = requireCanonical(record, h, len(beside) == 0)
	}
	if err != nil {
		return Head{}, err
	}
	return h, nil
}

// requireCanonical returns an error unless the record is what EncodeJSON or EncodeRow
// writes for h.
func requireCanonical(record []byte, h Head, whole bool) error {
	again, err := appendJSON(make(object, 0, len(record)), h, whole)
	if err != nil || !bytes.Equal(again, record) {
		return errors.New("the record is not in its canonical form")
	}
	return nil
}

func decodeFields(record []byte, tip string, beside map[string]string) (Head, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(record, &fields); err != nil {
		return Head{}, fmt.Errorf("not a JSON object: %w", err)
	}
	texts := make(map[string]string, len(knownFields))
	for _, name := range knownFields {
		text, ok := beside[name]
		if !ok {
			var err error
			if text, err = scalar(fields[name], numeric[name]); err != nil {
				return Head{}, fmt.Errorf("%s: %w", name, err)
			}
		}
		texts[name] = text
		delete(fields, name)
	}
	for name, read := range optionalFields {
		raw, ok := fields[name]
		if !ok {
			continue
		}
		text, err := read(raw)
		if err != nil || text == "" {
			return Head{}, fmt.Errorf("%s: %w", name, cmp.Or(err, errors.New("it is empty")))
		}
		texts[name] = text
		delete(fields, name)
	}
	if tip != "" {
		texts[FieldTip] = tip
	}
	h, err := ParseFields(texts)
	if err == nil && len(fields) > 0 {
		var extra []byte
		extra, err = canonical(fields)
		h.extra = string(extra)
	}
	return h, err
}

var knownFields = []string{
	FieldFormat, FieldMinReader, FieldMinWriter, FieldState, FieldAggregateID, FieldVersion,
	FieldChangesetID, FieldAncestors, FieldDigest, FieldRevision, FieldUpdatedAt,
}

// optionalFields are the fields that a record need not have, and how their texts are read.
var optionalFields = map[string]func(json.RawMessage) (string, error){
	FieldCheckpoint:   stringOf,
	FieldTip:          linesOf,
	FieldIndex:        stringOf,
	FieldObjects:      func(raw json.RawMessage) (string, error) { return scalar(raw, true) },
	FieldPackedDigest: stringOf,
	FieldPackedID:     stringOf,
	FieldMovedTo:      stringOf,
	FieldMovingTo:     stringOf,
}

func stringOf(raw json.RawMessage) (string, error) { return scalar(raw, false) }

// linesOf returns the elements of a JSON array, each with a line end.
func linesOf(raw json.RawMessage) (string, error) {
	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		return "", err
	}
	var b strings.Builder
	for _, e := range elements {
		b.Write(e)
		b.WriteByte('\n')
	}
	return b.String(), nil
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
func canonical(fields map[string]json.RawMessage) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(fields); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// object is a JSON object that is being written, for names and texts that need
// no escapes, as the texts of a head never do. Each append writes a record, and
// package json would take five times as long.
type object []byte

func (o *object) name(name string) {
	separator := byte(',')
	if len(*o) == 0 {
		separator = '{'
	}
	*o = append(append(append(*o, separator, '"'), name...), `":`...)
}

func (o *object) number(name string, n uint64) {
	o.name(name)
	*o = strconv.AppendUint(*o, n, 10)
}

func (o *object) text(name, value string) {
	o.name(name)
	*o = append(append(append(*o, '"'), value...), '"')
}

// optional writes nothing if the value is empty.
func (o *object) optional(name, value string) {
	if value != "" {
		o.text(name, value)
	}
}

// lines writes lines as the elements of an array, and nothing without lines.
func (o *object) lines(name, lines string) {
	if lines == "" {
		return
	}
	o.name(name)
	*o = append(*o, '[')
	for line := range strings.Lines(lines) {
		*o = append(append(*o, strings.TrimSuffix(line, "\n")...), ',')
	}
	(*o)[len(*o)-1] = ']'
}

func (o *object) base64(name string, value []byte) {
	o.name(name)
	*o = append(base64.RawURLEncoding.AppendEncode(append(*o, '"'), value), '"')
}

// scalar returns the text of a JSON number or string; no value is no text.
func scalar(raw json.RawMessage, isNumber bool) (string, error) {
	if len(raw) == 0 {
		return "", errors.New("missing")
	}
	if isNumber {
		return string(raw), nil
	}
	if n := len(raw); n > 1 && raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : n-1]), nil // valid JSON, without escapes
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}
