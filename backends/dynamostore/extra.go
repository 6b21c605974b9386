package dynamostore

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// value is an attribute's value in DynamoDB's own JSON, such as {"N":"1"}. One
// of its fields is set.
type value struct {
	S    *string           `json:",omitempty"`
	N    *string           `json:",omitempty"`
	B    *[]byte           `json:",omitempty"`
	BOOL *bool             `json:",omitempty"`
	NULL *bool             `json:",omitempty"`
	SS   []string          `json:",omitempty"`
	NS   []string          `json:",omitempty"`
	BS   [][]byte          `json:",omitempty"`
	L    *[]value          `json:",omitempty"`
	M    *map[string]value `json:",omitempty"`
}

// encodeExtra returns attributes as one JSON text, with sorted names and sets,
// so that the same attributes have the same text; none are no text.
func encodeExtra(attributes map[string]types.AttributeValue) (string, error) {
	if len(attributes) == 0 {
		return "", nil
	}
	values := make(map[string]value, len(attributes))
	for name, a := range attributes {
		v, err := fromAttribute(a)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		values[name] = v
	}
	text, err := json.Marshal(values)
	return string(text), err
}

// decodeExtra reverses encodeExtra.
func decodeExtra(text string) (map[string]types.AttributeValue, error) {
	attributes := map[string]types.AttributeValue{}
	if text == "" {
		return attributes, nil
	}
	var values map[string]value
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&values); err != nil {
		return nil, err
	}
	for name, v := range values {
		a, err := v.attribute()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		attributes[name] = a
	}
	return attributes, nil
}

func fromAttribute(a types.AttributeValue) (value, error) {
	switch a := a.(type) {
	case *types.AttributeValueMemberS:
		return value{S: &a.Value}, nil
	case *types.AttributeValueMemberN:
		return value{N: &a.Value}, nil
	case *types.AttributeValueMemberB:
		b := append([]byte{}, a.Value...) // nil would be null
		return value{B: &b}, nil
	case *types.AttributeValueMemberBOOL:
		return value{BOOL: &a.Value}, nil
	case *types.AttributeValueMemberNULL:
		return value{NULL: &a.Value}, nil
	case *types.AttributeValueMemberSS:
		return value{SS: slices.Sorted(slices.Values(a.Value))}, nil
	case *types.AttributeValueMemberNS:
		return value{NS: slices.Sorted(slices.Values(a.Value))}, nil
	case *types.AttributeValueMemberBS:
		return value{BS: slices.SortedFunc(slices.Values(a.Value), slices.Compare)}, nil
	case *types.AttributeValueMemberL:
		return fromList(a.Value)
	case *types.AttributeValueMemberM:
		return fromMap(a.Value)
	}
	return value{}, fmt.Errorf("%T is no type of attributes", a)
}

func fromList(list []types.AttributeValue) (value, error) {
	values := make([]value, len(list))
	for i, a := range list {
		var err error
		if values[i], err = fromAttribute(a); err != nil {
			return value{}, err
		}
	}
	return value{L: &values}, nil
}

func fromMap(m map[string]types.AttributeValue) (value, error) {
	values := make(map[string]value, len(m))
	for name, a := range m {
		v, err := fromAttribute(a)
		if err != nil {
			return value{}, err
		}
		values[name] = v
	}
	return value{M: &values}, nil
}

func (v value) attribute() (types.AttributeValue, error) {
	switch {
	case v.S != nil:
		return &types.AttributeValueMemberS{Value: *v.S}, nil
	case v.N != nil:
		return &types.AttributeValueMemberN{Value: *v.N}, nil
	case v.B != nil:
		return &types.AttributeValueMemberB{Value: *v.B}, nil
	case v.BOOL != nil:
		return &types.AttributeValueMemberBOOL{Value: *v.BOOL}, nil
	case v.NULL != nil:
		return &types.AttributeValueMemberNULL{Value: *v.NULL}, nil
	case v.SS != nil:
		return &types.AttributeValueMemberSS{Value: v.SS}, nil
	case v.NS != nil:
		return &types.AttributeValueMemberNS{Value: v.NS}, nil
	case v.BS != nil:
		return &types.AttributeValueMemberBS{Value: v.BS}, nil
	case v.L != nil:
		return v.list()
	case v.M != nil:
		return v.object()
	}
	return nil, fmt.Errorf("a value without a type")
}

func (v value) list() (types.AttributeValue, error) {
	list := make([]types.AttributeValue, len(*v.L))
	for i, item := range *v.L {
		var err error
		if list[i], err = item.attribute(); err != nil {
			return nil, err
		}
	}
	return &types.AttributeValueMemberL{Value: list}, nil
}

func (v value) object() (types.AttributeValue, error) {
	m := make(map[string]types.AttributeValue, len(*v.M))
	for name, item := range *v.M {
		a, err := item.attribute()
		if err != nil {
			return nil, err
		}
		m[name] = a
	}
	return &types.AttributeValueMemberM{Value: m}, nil
}
