package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/awscall"
)

// Load returns the aggregate's head by one consistent GetItem. Its errors are
// [head.DecodeError]'s, the context's, a [*SetupError] and DynamoDB's own.
func (s *Store) Load(ctx context.Context, aggregateID string) (head.Head, error) {
	out, err := do(ctx, s, s.client.GetItem, &dynamodb.GetItemInput{
		TableName:      &s.table,
		Key:            s.itemKey(aggregateID),
		ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return head.Head{}, fmt.Errorf("load %s: %w", s.LocateHead(aggregateID), err)
	}
	return s.decode(aggregateID, out.Item)
}

// Swap replaces the head by one PutItem under the condition that revision,
// version, changeset ID and digest are old's, or that there is no item. Where
// old has no token it loads the item first, for the sake of attributes that
// this version does not know. The one attempt has the client's retries switched
// off.
//
// Its errors are those of [head.Store]. A conflict names the winner. Whatever
// is refused by a code of DynamoDB, or was never sent, is a [*head.NotApplied],
// with a [*SetupError] where one fits. Every answer of 500 and above, every
// code that is not known, and every lost reply is an error that tells neither.
func (s *Store) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	old, next, err := awscall.Current(ctx, s, old, next)
	if err != nil {
		return head.Head{}, err
	}
	item, err := s.encode(next)
	if err != nil {
		return head.Head{}, &head.NotApplied{Err: err}
	}
	in := &dynamodb.PutItemInput{
		TableName:                           &s.table,
		Item:                                item,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	s.condition(in, old)
	var call awscall.Call
	once := func(o *dynamodb.Options) { o.Retryer = awscall.OneAttempt }
	if _, err = s.client.PutItem(ctx, in, watch(&call), once); err == nil {
		return next.WithToken(token), nil
	}
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return head.Head{}, s.conflict(old, next.AggregateID, failed.Item)
	}
	text := fmt.Errorf("swap %s: %w", s.LocateHead(next.AggregateID), s.explain(&call, err))
	return head.Head{}, call.SwapError(err, text, refusals)
}

// condition makes the put one that replaces old. Attribute names with hyphens
// need aliases.
func (s *Store) condition(in *dynamodb.PutItemInput, old head.Head) {
	if !old.Exists() {
		in.ConditionExpression = aws.String("attribute_not_exists(#id)")
		in.ExpressionAttributeNames = map[string]string{"#id": head.FieldAggregateID}
		return
	}
	is := attributes(old)
	in.ConditionExpression = aws.String("#r = :r AND #v = :v AND #c = :c AND #d = :d")
	in.ExpressionAttributeNames = map[string]string{
		"#r": head.FieldRevision, "#v": head.FieldVersion, "#c": head.FieldChangesetID, "#d": head.FieldDigest,
	}
	in.ExpressionAttributeValues = map[string]types.AttributeValue{
		":r": is[head.FieldRevision], ":v": is[head.FieldVersion], ":c": is[head.FieldChangesetID], ":d": is[head.FieldDigest],
	}
}

// conflict returns the error of a condition that failed on the item. No item,
// where there must have been one for the condition to fail, and an item that
// does not decode leave the winner open: who loads the head will see.
func (s *Store) conflict(old head.Head, aggregateID string, item map[string]types.AttributeValue) error {
	winner, err := s.decode(aggregateID, item)
	if err != nil || !winner.Exists() && !old.Exists() {
		return &head.SwapConflict{}
	}
	return &head.SwapConflict{Winner: &winner}
}

// List yields the heads by a consistent Scan, a request for each megabyte of
// the table, in DynamoDB's own order. Its errors are those of [Store.Load].
func (s *Store) List(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
	return func(yield func(head.Head, error) bool) {
		in := &dynamodb.ScanInput{TableName: &s.table, ConsistentRead: aws.Bool(true)}
		if cursor != "" {
			in.ExclusiveStartKey = s.itemKey(cursor)
		}
		for {
			page, err := do(ctx, s, s.client.Scan, in)
			if err != nil {
				yield(head.Head{}, fmt.Errorf("list heads in table %s: %w", s.table, err))
				return
			}
			for _, item := range page.Items {
				id, ours := s.aggregateOf(item)
				if !ours {
					continue
				}
				if h, err := s.decode(id, item); !yield(h, err) || err != nil {
					return
				}
			}
			if in.ExclusiveStartKey = page.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
				return
			}
		}
	}
}

func (s *Store) itemKey(aggregateID string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{head.FieldAggregateID: &types.AttributeValueMemberS{Value: s.key(aggregateID)}}
}

// aggregateOf returns the aggregate whose head the item is, by its key; false
// for items of other prefixes.
func (s *Store) aggregateOf(item map[string]types.AttributeValue) (string, bool) {
	key, ok := item[head.FieldAggregateID].(*types.AttributeValueMemberS)
	if !ok {
		return "", false
	}
	escaped, ok := strings.CutPrefix(key.Value, s.options.Prefix)
	id, err := changeset.Unescape(escaped) // no "/" is left in what it accepts
	return id, ok && err == nil && changeset.ValidateAggregateID(id) == nil
}
