package dynamostore

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ropewalk/changeset"
	"ropewalk/head"
)

// checkTransactions commits two items on condition that they do not exist, and tries it
// again, with a mere check of one of them.
func (s *Store) checkTransactions(ctx context.Context, table *types.TableDescription) Finding {
	const name = "several aggregates in one commit"
	if table.MultiRegionConsistency == types.MultiRegionConsistencyStrong {
		return Finding{Name: name, OK: true, Detail: "not in a table with multi-Region strong consistency"}
	}
	one, two := s.probe(), s.probe()
	first := s.try(ctx, s.probeWrite(one), s.probeWrite(two))
	second := s.try(ctx, s.probeCheck(one), s.probeWrite(two))
	removed := errors.Join(s.removeProbe(ctx, one), s.removeProbe(ctx, two))
	switch {
	case first != nil:
		return failed(name, first)
	case second == nil:
		return Finding{Name: name, Detail: "conditions are not honoured", Hint: "do not use this server: it would lose appends"}
	case !canceledBy(second, reasonFailed, reasonFailed):
		return failed(name, second)
	case removed != nil:
		return Finding{Name: name, OK: true, Detail: "ok, but the probes could not be removed"}
	}
	return Finding{Name: name, OK: true, Detail: "ok"}
}

// try sends a transaction. The SDK may repeat it: it has a token of its own.
func (s *Store) try(ctx context.Context, items ...types.TransactWriteItem) error {
	_, err := do(ctx, s, s.client.TransactWriteItems, &dynamodb.TransactWriteItemsInput{
		ClientRequestToken: aws.String(changeset.NewID().String()), TransactItems: items,
	})
	return err
}

func (s *Store) probeWrite(key map[string]types.AttributeValue) types.TransactWriteItem {
	return types.TransactWriteItem{Update: &types.Update{
		TableName: &s.table, Key: key, ConditionExpression: aws.String(probeAbsent), UpdateExpression: aws.String("SET #probe = :probe"),
		ExpressionAttributeNames:  map[string]string{"#id": head.FieldAggregateID, "#probe": "probe"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":probe": &types.AttributeValueMemberBOOL{Value: true}},
	}}
}

func (s *Store) probeCheck(key map[string]types.AttributeValue) types.TransactWriteItem {
	return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName: &s.table, Key: key, ConditionExpression: aws.String(probeAbsent),
		ExpressionAttributeNames: map[string]string{"#id": head.FieldAggregateID},
	}}
}

// canceledBy reports whether a transaction was canceled for the given reasons.
func canceledBy(err error, codes ...string) bool {
	canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok || len(canceled.CancellationReasons) != len(codes) {
		return false
	}
	for i, r := range canceled.CancellationReasons {
		if aws.ToString(r.Code) != codes[i] {
			return false
		}
	}
	return true
}
