package dynamostore

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ropewalk/changeset"
	"ropewalk/head"
)

// kind is the type of a field's attribute.
type kind int

const (
	text kind = iota
	number
	binary
)

var kinds = map[string]kind{
	head.FieldFormat: number, head.FieldMinReader: number, head.FieldMinWriter: number,
	head.FieldState: text, head.FieldAggregateID: text, head.FieldVersion: number,
	head.FieldChangesetID: text, head.FieldAncestors: binary, head.FieldDigest: binary,
	head.FieldRevision: number, head.FieldUpdatedAt: text, head.FieldCheckpoint: text,
	head.FieldTip: text, head.FieldIndex: binary, head.FieldObjects: number,
	head.FieldPackedDigest: binary, head.FieldPackedID: text,
	head.FieldMovedTo: text, head.FieldMovingTo: text,
}

// optional are the fields that have no attribute if they have no value.
var optional = []string{
	head.FieldCheckpoint, head.FieldTip, head.FieldIndex, head.FieldObjects, head.FieldPackedDigest, head.FieldPackedID,
	head.FieldMovedTo, head.FieldMovingTo,
}

// attributes returns the head's fields except the key.
func attributes(h head.Head) map[string]types.AttributeValue {
	n := func(n uint64) types.AttributeValue {
		return &types.AttributeValueMemberN{Value: strconv.FormatUint(n, 10)}
	}
	t := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	f := h.Formats.Numbers()
	fields := map[string]types.AttributeValue{
		head.FieldFormat:      n(f.Written),
		head.FieldMinReader:   n(f.MinReader),
		head.FieldMinWriter:   n(f.MinWriter),
		head.FieldState:       t(string(h.State)),
		head.FieldVersion:     n(h.Version),
		head.FieldChangesetID: t(h.ID.String()),
		head.FieldAncestors:   &types.AttributeValueMemberB{Value: notNil(h.Ancestors.Packed())},
		head.FieldDigest:      &types.AttributeValueMemberB{Value: h.Digest[:]},
		head.FieldRevision:    n(h.Revision),
		head.FieldUpdatedAt:   t(changeset.FormatTime(h.UpdatedAt)),
	}
	for name, value := range map[string]string{head.FieldCheckpoint: h.Checkpoint, head.FieldTip: h.Tip} {
		if value != "" {
			fields[name] = t(value)
		}
	}
	for _, texts := range []map[string]string{h.PackedTexts(), h.MoveTexts()} {
		for name, value := range texts {
			fields[name] = attributeOf(value, kinds[name])
		}
	}
	return fields
}

// notNil returns an empty slice for nil. The SDK would send nil as null, which DynamoDB
// refuses; it takes bytes that are empty.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// attributeOf reverses [textOf], for a text that is valid.
func attributeOf(value string, k kind) types.AttributeValue {
	switch k {
	case number:
		return &types.AttributeValueMemberN{Value: value}
	case binary:
		b, _ := base64.RawURLEncoding.DecodeString(value)
		return &types.AttributeValueMemberB{Value: b}
	default:
		return &types.AttributeValueMemberS{Value: value}
	}
}

// decode reads the item of an aggregate's head; no item is the zero Head. It
// returns the errors of [head.DecodeError].
func (s *Store) decode(aggregateID string, item map[string]types.AttributeValue) (head.Head, error) {
	if len(item) == 0 {
		return head.Head{}, nil
	}
	h, err := decodeItem(aggregateID, s.key(aggregateID), item)
	if err != nil {
		return head.Head{}, head.DecodeError(aggregateID, s.LocateHead(aggregateID), err)
	}
	return h, nil
}

func decodeItem(aggregateID, key string, item map[string]types.AttributeValue) (head.Head, error) {
	texts := map[string]string{}
	for name, value := range item {
		want, known := kinds[name]
		if !known {
			continue
		}
		var ok bool
		if texts[name], ok = textOf(value, want); !ok {
			return head.Head{}, fmt.Errorf("%s is a %T", name, value)
		}
	}
	for name := range kinds {
		text, ok := texts[name]
		if may := slices.Contains(optional, name); !ok && !may {
			return head.Head{}, fmt.Errorf("%s is missing", name)
		} else if ok && may && text == "" {
			return head.Head{}, fmt.Errorf("%s is empty", name)
		}
	}
	if texts[head.FieldAggregateID] != key {
		return head.Head{}, fmt.Errorf("the item belongs to %q", texts[head.FieldAggregateID])
	}
	texts[head.FieldAggregateID] = changeset.Escape(aggregateID)
	return head.ParseFields(texts)
}

// textOf returns the text of a field's attribute, as [head.ParseFields] takes
// it; false where the attribute has another type.
func textOf(value types.AttributeValue, want kind) (string, bool) {
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		return v.Value, want == text
	case *types.AttributeValueMemberN:
		return v.Value, want == number
	case *types.AttributeValueMemberB:
		return base64.RawURLEncoding.EncodeToString(v.Value), want == binary
	}
	return "", false
}
