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

// Swap replaces the head by one UpdateItem on condition that revision, version,
// changeset ID, digest and, in a packed chain, the object index are old's and that this
// version may replace the item, or that there is no item. Attributes that this version does not know stay as
// they are. The client's retries are off for the one attempt.
//
// It returns the errors of [head.Store]. A conflict names the winner. A code by
// which DynamoDB refuses the write and a request that was never sent are a
// [*head.NotAppliedError], with a [*SetupError] if one fits. After any other error,
// such as a status of 500 and above, an unknown code, a reply without
// DynamoDB's marks or a lost reply, the outcome is unknown.
func (s *Store) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	if err := head.CheckSwap(old, next); err != nil {
		return head.Head{}, err
	}
	if err := ctx.Err(); err != nil {
		return head.Head{}, &head.NotAppliedError{Err: err}
	}
	next = next.Inherit(old, old)
	_, call, err := awscall.Once(ctx, s.calls, s.client.UpdateItem, s.update(old, next))
	if err == nil {
		return next, nil
	}
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return head.Head{}, s.conflict(old, next, failed.Item)
	}
	return head.Head{}, call.SwapError(fmt.Errorf("swap %s: %w", s.LocateHead(next.AggregateID), err), refusals)
}

// conflict returns the error of a condition that failed on the item. If there
// is no item although the condition failed on one, or the item does not decode,
// the winner is left open: loading the head will show it.
func (s *Store) conflict(old, next head.Head, item map[string]types.AttributeValue) error {
	winner, err := s.decode(next.AggregateID, item)
	if err != nil || winner.IsZero() && old.IsZero() {
		return &head.ConflictError{}
	}
	if !winner.IsZero() && winner.SameRecord(old) {
		if err := head.CheckSwap(winner, next); err != nil {
			return err // only newer versions may replace the item
		}
	}
	return &head.ConflictError{Winner: &winner}
}

// List yields the heads by a consistent Scan, a request for each megabyte of
// the table, in DynamoDB's own order. It returns the errors of [Store.Load].
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
	id, err := changeset.Unescape(escaped) // an accepted name has no "/"
	return id, ok && err == nil && changeset.ValidateAggregateID(id) == nil
}

// TipSize returns 3 KiB: DynamoDB bills a write by the size of the whole item.
func (s *Store) TipSize() int { return 3 << 10 }
