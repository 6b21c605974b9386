//go:build integration

package integration_test

import (
	"bytes"
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// TestAWSRetriesWouldLie shows what the SDK's default retries make of a lost
// reply to a conditional write: a conflict with their own first attempt. This
// is why a swap switches them off.
func TestAWSRetriesWouldLie(t *testing.T) {
	account := newLocalStack(t).provisionedBucket(t).provisionedTable(t)
	for name, lose := range awsLosses {
		t.Run("S3 "+name, func(t *testing.T) {
			t.Parallel()
			a, wire := account.losingOne(lose)
			key := uuid.NewString()
			_, err := a.s3().PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: &a.bucket, Key: &key, Body: bytes.NewReader([]byte("mine")), IfNoneMatch: aws.String("*"),
			})
			var lie smithy.APIError
			require.ErrorAs(t, err, &lie)
			require.Equal(t, "PreconditionFailed", lie.ErrorCode())
			require.Equal(t, []string{"PUT", "PUT"}, wire.sent())

			out, err := a.s3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &a.bucket, Key: &key})
			require.NoError(t, err)
			require.NoError(t, out.Body.Close())
			require.EqualValues(t, len("mine"), *out.ContentLength, "the write that failed has succeeded")
		})
		t.Run("DynamoDB "+name, func(t *testing.T) {
			t.Parallel()
			a, wire := account.losingOne(lose)
			item := map[string]dynamotypes.AttributeValue{head.FieldAggregateID: &dynamotypes.AttributeValueMemberS{Value: uuid.NewString()}}
			_, err := a.dynamodb().PutItem(t.Context(), &dynamodb.PutItemInput{
				TableName: &a.table, Item: item, ConditionExpression: aws.String("attribute_not_exists(#id)"),
				ExpressionAttributeNames: map[string]string{"#id": head.FieldAggregateID},
			})
			var lie *dynamotypes.ConditionalCheckFailedException
			require.ErrorAs(t, err, &lie)
			require.Equal(t, []string{"PutItem", "PutItem"}, wire.sent())

			out, err := a.dynamodb().GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &a.table, Key: item})
			require.NoError(t, err)
			require.NotEmpty(t, out.Item, "the write that failed has succeeded")
		})
	}
}

// TestAWSSwapsDoNotLie: with any loss of the reply, a swap is one request, and
// its error says that the outcome is unknown.
func TestAWSSwapsDoNotLie(t *testing.T) {
	wire := &awsWire{}
	a := newLocalStack(t).provisionedBucket(t).provisionedTable(t).with(wire)
	stores := map[string]struct {
		heads   head.Store
		request string
	}{
		"S3":       {a.objects(t), "PUT"},
		"DynamoDB": {a.heads(t), "UpdateItem"},
	}
	for service, s := range stores {
		for name, lose := range awsLosses {
			t.Run(service+" "+name, func(t *testing.T) {
				_, first := newAWSAppend(t, head.Head{})
				wire.losing(1, lose)
				_, err := s.heads.Swap(t.Context(), head.Head{}, first)
				requireUnknown(t, err)
				require.Equal(t, []string{s.request}, wire.sent())
				stored, err := s.heads.Load(t.Context(), first.AggregateID)
				require.NoError(t, err)
				require.True(t, stored.SameRecord(first), "the server has acted")

				wire.losing(1, lose)
				_, err = s.heads.Swap(t.Context(), stored, link.Fence(stored))
				requireUnknown(t, err)
				require.Equal(t, []string{s.request}, wire.sent())

				wire.losing(1, lose) // a conflict whose reply is lost is as unknown
				_, err = s.heads.Swap(t.Context(), stored, link.Fence(stored))
				requireUnknown(t, err)
				require.Equal(t, []string{s.request}, wire.sent())
			})
		}
		t.Run(service+" context", func(t *testing.T) {
			_, first := newAWSAppend(t, head.Head{})
			ctx, cancel := context.WithCancel(t.Context())
			wire.losing(1, func(r *http.Request) (*http.Response, error) {
				cancel() // after the server has acted, however slow it was
				return awsHanging(r)
			})
			_, err := s.heads.Swap(ctx, head.Head{}, first)
			requireUnknown(t, err)
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, []string{s.request}, wire.sent())
		})
	}
}

// TestS3PutsSurviveLostReplies: the SDK's retries stay on, and meeting its own
// first attempt is success.
func TestS3PutsSurviveLostReplies(t *testing.T) {
	account := newLocalStack(t).provisionedBucket(t)
	for name, lose := range awsLosses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, wire := account.losingOne(lose)
			s := a.objects(t)
			c, _ := newAWSAppend(t, head.Head{})
			require.NoError(t, s.Put(t.Context(), c))
			require.Equal(t, []string{"PUT", "PUT"}, wire.sent())
			got, err := s.Get(t.Context(), c.Ref, nil)
			require.NoError(t, err)
			require.Equal(t, c, got)
		})
	}
}

// newAWSAppend builds an append of one changeset; after the zero Head, to a new
// chain.
func newAWSAppend(t testing.TB, after head.Head) (changeset.Changeset, head.Head) {
	t.Helper()
	id := after.AggregateID
	if id == "" {
		id = "order-" + uuid.NewString()
	}
	cs, next, err := link.Extend(after, id, []changeset.Draft{{Content: []byte("hello")}}, time.Now())
	require.NoError(t, err)
	cs[0].Content = nil // as a store returns it
	return cs[0], next
}

// requireUnknown demands the error of a swap whose outcome is unknown.
func requireUnknown(t testing.TB, err error) {
	t.Helper()
	var conflict *head.ConflictError
	var conflicts *head.ConflictsError
	var refused *head.NotAppliedError
	require.Error(t, err)
	require.NotErrorAs(t, err, &conflict)
	require.NotErrorAs(t, err, &conflicts)
	require.NotErrorAs(t, err, &refused)
}

// TestDynamoDBStepsDoNotLie: with any loss of the reply, a step is one request, and its
// error says that the outcome is unknown. The same step again is made once: its token is
// the same.
func TestDynamoDBStepsDoNotLie(t *testing.T) {
	wire := &awsWire{}
	heads := newLocalStack(t).provisionedTable(t).with(wire).heads(t)
	for name, lose := range awsLosses {
		t.Run(name, func(t *testing.T) {
			_, first := newAWSAppend(t, head.Head{})
			_, other := newAWSAppend(t, head.Head{})
			guard, err := heads.Swap(t.Context(), head.Head{}, other)
			require.NoError(t, err)
			_, third := newAWSAppend(t, head.Head{})
			step := []head.Exchange{{AggregateID: first.AggregateID, Next: first}, {AggregateID: guard.AggregateID, Old: guard}, {AggregateID: third.AggregateID, Next: third}}
			wire.sent()

			wire.losing(1, lose)
			_, err = heads.SwapAll(t.Context(), step)
			requireUnknown(t, err)
			require.Equal(t, []string{"TransactWriteItems"}, wire.sent())
			for _, e := range step {
				stored, err := heads.Load(t.Context(), e.AggregateID)
				require.NoError(t, err)
				require.True(t, stored.SameRecord(e.Next) || stored.SameRecord(guard), "the server has acted")
			}

			_, err = heads.SwapAll(t.Context(), step)
			require.NoError(t, err)
			_, err = heads.Swap(t.Context(), third, link.Fence(third))
			require.NoError(t, err, "the step was made once")
			_, err = heads.SwapAll(t.Context(), step)
			require.NoError(t, err, "it was made, whatever came after it")
			stored, err := heads.Load(t.Context(), third.AggregateID)
			require.NoError(t, err)
			require.True(t, stored.SameRecord(link.Fence(third)))

			conflicting := []head.Exchange{{AggregateID: third.AggregateID, Old: third, Next: link.Fence(third)}, {AggregateID: first.AggregateID, Old: first, Next: link.Fence(first)}}
			wire.losing(1, lose) // a conflict whose reply is lost is as unknown
			_, err = heads.SwapAll(t.Context(), conflicting)
			requireUnknown(t, err)
			_, err = heads.SwapAll(t.Context(), conflicting)
			var conflicts *head.ConflictsError
			require.ErrorAs(t, err, &conflicts, "a step that was refused is tested again")
			require.Len(t, conflicts.Winners, 1)
			require.True(t, conflicts.Winners[third.AggregateID].SameRecord(stored))
		})
	}
}
