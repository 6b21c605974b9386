package dynamostore

import (
	"encoding/json"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// attribute generates values of all types, in the order that encodeExtra gives
// to sets.
func attribute() *rapid.Generator[types.AttributeValue] {
	return rapid.Deferred(func() *rapid.Generator[types.AttributeValue] {
		return rapid.OneOf(
			of(rapid.String(), func(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }),
			of(rapid.StringMatching(`[1-9][0-9]{0,37}`), func(v string) types.AttributeValue { return &types.AttributeValueMemberN{Value: v} }),
			of(rapid.SliceOf(rapid.Byte()), func(v []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: v} }),
			of(rapid.Bool(), func(v bool) types.AttributeValue { return &types.AttributeValueMemberBOOL{Value: v} }),
			rapid.Just[types.AttributeValue](&types.AttributeValueMemberNULL{Value: true}),
			of(rapid.Just([]string{"", "a", "b"}), func(v []string) types.AttributeValue { return &types.AttributeValueMemberSS{Value: v} }),
			of(rapid.Just([]string{"1", "10", "2"}), func(v []string) types.AttributeValue { return &types.AttributeValueMemberNS{Value: v} }),
			of(rapid.Just([][]byte{{}, {0}, {0, 1}, {255}}), func(v [][]byte) types.AttributeValue { return &types.AttributeValueMemberBS{Value: v} }),
			of(rapid.SliceOfN(attribute(), 0, 3), func(v []types.AttributeValue) types.AttributeValue { return &types.AttributeValueMemberL{Value: v} }),
			of(rapid.MapOfN(rapid.String(), attribute(), 0, 3), func(v map[string]types.AttributeValue) types.AttributeValue {
				return &types.AttributeValueMemberM{Value: v}
			}),
		)
	})
}

func of[T any](g *rapid.Generator[T], make func(T) types.AttributeValue) *rapid.Generator[types.AttributeValue] {
	return rapid.Map(g, make)
}

func TestExtraKeepsEveryAttribute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		attributes := rapid.MapOfN(rapid.String(), attribute(), 1, 4).Draw(t, "attributes")
		text, err := encodeExtra(attributes)
		require.NoError(t, err)
		require.True(t, json.Valid([]byte(text)))
		again, err := decodeExtra(text)
		require.NoError(t, err)
		require.Equal(t, attributes, again)
	})
}

func TestExtraIsStable(t *testing.T) {
	one, err := encodeExtra(map[string]types.AttributeValue{"s": &types.AttributeValueMemberSS{Value: []string{"b", "a"}}})
	require.NoError(t, err)
	require.JSONEq(t, `{"s":{"SS":["a","b"]}}`, one)
	none, err := encodeExtra(nil)
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestExtraRefuses(t *testing.T) {
	for _, text := range []string{"x", "[]", `{"a":{}}`, `{"a":{"X":1}}`, `{"a":{"L":[{}]}}`, `{"a":{"M":{"b":{}}}}`} {
		_, err := decodeExtra(text)
		require.Error(t, err, text)
	}
	for _, a := range []types.AttributeValue{
		&types.UnknownUnionMember{},
		&types.AttributeValueMemberL{Value: []types.AttributeValue{nil}},
		&types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"a": nil}},
	} {
		_, err := encodeExtra(map[string]types.AttributeValue{"a": a})
		require.Error(t, err)
	}
}
