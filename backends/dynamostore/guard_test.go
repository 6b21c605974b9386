package dynamostore

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"
)

func TestWritesWithoutConditionsAreNotSent(t *testing.T) {
	some, none := aws.String("x"), aws.String("")
	step := func(token *string, items ...types.TransactWriteItem) *dynamodb.TransactWriteItemsInput {
		return &dynamodb.TransactWriteItemsInput{ClientRequestToken: token, TransactItems: items}
	}
	update := types.TransactWriteItem{Update: &types.Update{ConditionExpression: some}}
	check := types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{ConditionExpression: some}}
	for _, in := range []any{
		&dynamodb.GetItemInput{}, &dynamodb.UpdateItemInput{ConditionExpression: some}, step(some, update, check),
	} {
		require.NoError(t, guard(in))
	}
	for _, in := range []any{
		&dynamodb.UpdateItemInput{}, &dynamodb.UpdateItemInput{ConditionExpression: none},
		step(nil, update), step(none, update), step(some, update, types.TransactWriteItem{}),
		step(some, check, types.TransactWriteItem{Update: &types.Update{}}),
		step(some, update, types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{ConditionExpression: none}}),
		step(some, types.TransactWriteItem{Put: &types.Put{ConditionExpression: some}}),
	} {
		require.Error(t, guard(in))
	}
}
