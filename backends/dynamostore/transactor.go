package dynamostore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ropewalk/head"
	"ropewalk/internal/awscall"
	"ropewalk/internal/finding"
)

// maxMembers is how many items one TransactWriteItems takes.
const maxMembers = 100

// Members returns 100.
func (s *Store) Members() int { return maxMembers }

// SwapAll swaps several heads by one TransactWriteItems: an update for each head that is
// replaced, with the condition of [Store.Swap], and a check of the condition for each head
// that is to be unchanged. The client's retries are off for the one attempt. If the same
// exchanges are sent again within ten minutes after they were made, DynamoDB reports that
// they were made.
//
// It returns the errors of [head.Transactor]. A conflict names all winners. A step that
// meets another transaction or is throttled is a retryable [*head.NotAppliedError]. In a
// global table with multi-Region strong consistency, which has no transactions, the error
// matches [errors.ErrUnsupported] if the caller may describe the table.
func (s *Store) SwapAll(ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
	if err := head.CheckExchanges(exchanges, maxMembers); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, &head.NotAppliedError{Err: err}
	}
	heads, in, err := s.transaction(exchanges)
	if err != nil {
		return nil, &head.NotAppliedError{Err: err}
	}
	_, call, err := awscall.Once(ctx, s.calls, s.client.TransactWriteItems, in)
	if err == nil {
		return heads, nil
	}
	outcome := s.refused(exchanges, call, fmt.Errorf("swap %d heads in table %s: %w", len(exchanges), s.table, err))
	return nil, s.explainTransaction(ctx, outcome)
}

// transaction returns the request of a step, and the heads that it leaves.
func (s *Store) transaction(exchanges []head.Exchange) ([]head.Head, *dynamodb.TransactWriteItemsInput, error) {
	heads := make([]head.Head, len(exchanges))
	in := &dynamodb.TransactWriteItemsInput{TransactItems: make([]types.TransactWriteItem, len(exchanges))}
	for i, e := range exchanges {
		if e.Next.IsZero() {
			heads[i], in.TransactItems[i].ConditionCheck = e.Old, s.unchanged(e)
			continue
		}
		heads[i] = e.Next.Inherit(e.Old, e.Old)
		in.TransactItems[i].Update = asMember(s.update(e.Old, heads[i]))
	}
	token, err := clientToken(in.TransactItems)
	in.ClientRequestToken = &token
	return heads, in, err
}

// asMember returns a write as a member of a transaction.
func asMember(in *dynamodb.UpdateItemInput) *types.Update {
	return &types.Update{
		TableName: in.TableName, Key: in.Key, UpdateExpression: in.UpdateExpression, ConditionExpression: in.ConditionExpression,
		ExpressionAttributeNames: in.ExpressionAttributeNames, ExpressionAttributeValues: in.ExpressionAttributeValues,
		ReturnValuesOnConditionCheckFailure: in.ReturnValuesOnConditionCheckFailure,
	}
}

// unchanged returns the check that the stored head has the content of the exchange's.
func (s *Store) unchanged(e head.Exchange) *types.ConditionCheck {
	x := newExpressions()
	return &types.ConditionCheck{
		TableName: &s.table, Key: s.itemKey(e.AggregateID), ConditionExpression: aws.String(x.sameContent(e.Old)),
		ExpressionAttributeNames: x.names, ExpressionAttributeValues: x.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
}

// clientToken returns the token of a step. It is the same whenever the step is sent, so
// that DynamoDB completes a transaction that has stalled, and takes a message that arrives
// twice for one. Two steps differ, as they append changesets with different IDs.
func clientToken(items []types.TransactWriteItem) (string, error) {
	text, err := json.Marshal(items) // the keys of maps are sorted
	if err != nil {
		return "", fmt.Errorf("swap heads: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), nil
}

// refused returns the outcome of a step that has failed.
func (s *Store) refused(exchanges []head.Exchange, call *awscall.Call, err error) error {
	canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
	if status, _ := awscall.Response(err); ok && 400 <= status && status < http.StatusInternalServerError {
		return s.canceled(exchanges, canceled.CancellationReasons, err)
	}
	return call.SwapError(err, refusals)
}

// reasonFailed is the reason of a member whose condition failed.
const reasonFailed = "ConditionalCheckFailed"

// reasons are the other reasons for which DynamoDB cancels a transaction before it takes
// effect. The value says whether the same step may succeed a little later.
var reasons = map[string]bool{
	"TransactionConflict": true, "ProvisionedThroughputExceeded": true, "ThrottlingError": true, "RequestLimitExceeded": true,

	"ValidationError": false, "ItemCollectionSizeLimitExceeded": false,
}

// canceled returns what the reasons say: a conflict if any condition failed, or else a
// refusal if DynamoDB gives only reasons that are known. The outcome of any other list
// is unknown.
func (s *Store) canceled(exchanges []head.Exchange, list []types.CancellationReason, err error) error {
	if len(list) != len(exchanges) {
		return err
	}
	winners, known, retryable, refused := map[string]*head.Head{}, true, true, false
	for i, r := range list {
		switch code := aws.ToString(r.Code); code {
		case "":
			return err
		case "None":
		case reasonFailed:
			winner, err := s.winner(exchanges[i], r.Item)
			if err != nil {
				return err
			}
			winners[exchanges[i].AggregateID] = winner
		default:
			later, listed := reasons[code]
			known, retryable, refused = known && listed, retryable && later, true
		}
	}
	switch {
	case len(winners) > 0:
		return &head.ConflictsError{Winners: winners}
	case known && refused:
		return &head.NotAppliedError{Retryable: retryable, Err: err}
	}
	return err
}

// winner returns the head on which the condition of an exchange failed, nil if it is not
// known. It returns an error if only newer versions may replace the head.
func (s *Store) winner(e head.Exchange, item map[string]types.AttributeValue) (*head.Head, error) {
	if !e.Next.IsZero() {
		err := s.conflict(e.Old, e.Next, item)
		if conflict, ok := errors.AsType[*head.ConflictError](err); ok {
			return conflict.Winner, nil
		}
		return nil, err
	}
	h, err := s.decode(e.AggregateID, item)
	if err != nil || e.HoldsFor(h) {
		return nil, nil
	}
	return &h, nil
}

// explainTransaction returns the outcome of a step in a table without transactions as a
// refusal that says so, and any other outcome as it is. The codes of transactions that
// run come from tables with transactions.
func (s *Store) explainTransaction(ctx context.Context, outcome error) error {
	status, _ := awscall.Response(outcome)
	refused, ok := errors.AsType[*head.NotAppliedError](outcome)
	if ok && refused.Retryable || status < 400 || status >= http.StatusInternalServerError {
		return outcome
	}
	switch awscall.Code(outcome) {
	case "", "TransactionCanceledException", "TransactionInProgressException", "IdempotentParameterMismatchException":
		return outcome
	}
	table, err := s.describe(ctx)
	if err != nil || table.MultiRegionConsistency != types.MultiRegionConsistencyStrong {
		return outcome
	}
	return &head.NotAppliedError{Err: &finding.SetupError{
		What: "table " + s.table + " has multi-Region strong consistency, and DynamoDB has no transactions there",
		Hint: "keep the heads that are swapped together in a table of one region", Kind: errors.ErrUnsupported, Err: outcome,
	}}
}
