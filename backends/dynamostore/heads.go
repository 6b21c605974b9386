package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/awscall"
	"ropewalk/internal/transport"
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
	_, call, err := awscall.Once(ctx, s.calls, s.client.PutItem, in)
	if err == nil {
		return next.WithToken(token), nil
	}
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return head.Head{}, s.conflict(old, next.AggregateID, failed.Item)
	}
	return head.Head{}, call.SwapError(fmt.Errorf("swap %s: %w", s.LocateHead(next.AggregateID), err), refusals)
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
	in := &dynamodb.ScanInput{TableName: &s.table, ConsistentRead: aws.Bool(true)}
	if cursor != "" {
		in.ExclusiveStartKey = s.itemKey(cursor)
	}
	return func(yield func(head.Head, error) bool) {
		for page, err := range s.pages(ctx, in) {
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
		}
	}
}

// pages yields the pages of a scan; at most one error ends it.
func (s *Store) pages(ctx context.Context, in *dynamodb.ScanInput) iter.Seq2[*dynamodb.ScanOutput, error] {
	return func(yield func(*dynamodb.ScanOutput, error) bool) {
		next := *in // a second iteration begins at the first page again
		for {
			page, err := do(transport.WithLimit(ctx, transport.ListingLimit), s, s.client.Scan, &next)
			if err == nil {
				err = checkPage(page, next.ExclusiveStartKey)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(page, nil) || len(page.LastEvaluatedKey) == 0 {
				return
			}
			next.ExclusiveStartKey = page.LastEvaluatedKey
		}
	}
}

// checkPage returns the error of a page that leaves out what DynamoDB always
// says, or that would make the listing never end.
func checkPage(page *dynamodb.ScanOutput, start map[string]types.AttributeValue) error {
	broken := func(format string, args ...any) error { return awscall.Foreign(service, fmt.Errorf(format, args...)) }
	switch {
	case page.Items == nil:
		return broken("a page of the scan has no list of items")
	case int(page.Count) > len(page.Items):
		return broken("a page of the scan has %d of its %d items", len(page.Items), page.Count)
	case page.LastEvaluatedKey != nil && page.LastEvaluatedKey[head.FieldAggregateID] == nil:
		return broken("a page of the scan does not name the key that it ends with")
	case len(start) > 0 && reflect.DeepEqual(page.LastEvaluatedKey, start):
		return broken("a page of the scan names its own beginning as the next page")
	}
	for _, item := range page.Items {
		if item[head.FieldAggregateID] == nil {
			return broken("the scan has an item without its key")
		}
	}
	return nil
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
