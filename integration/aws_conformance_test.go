//go:build integration

package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/backendtest"
	"ropewalk/changeset"
	"ropewalk/head"
)

func TestS3ConformanceOnLocalStack(t *testing.T) {
	t.Parallel()
	testS3(t, newLocalStack(t))
}

func TestS3ConformanceOnAnotherServer(t *testing.T) {
	t.Parallel()
	a := newOtherS3(t)
	a.prefix = ""
	testS3(t, a)
}

func testS3(t *testing.T, a *awsAccount) {
	h := a.provisionedBucket(t).s3Harness()
	t.Run("changesets", func(t *testing.T) { backendtest.TestChangesets(t, h) })
	t.Run("heads", func(t *testing.T) { backendtest.TestHeads(t, h) })
}

func TestDynamoDBConformance(t *testing.T) {
	t.Parallel()
	h := newLocalStack(t).provisionedTable(t).dynamoHarness()
	t.Run("heads", func(t *testing.T) { backendtest.TestHeads(t, h) })
	t.Run("transactor", func(t *testing.T) { backendtest.TestTransactor(t, h) })
}

// shortPages is an API option that makes listings short of what the suite
// lists in one page, so that the borders between pages are tested without
// thousands of objects.
func shortPages(stack *middleware.Stack) error {
	shorten := func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		switch list := in.Parameters.(type) {
		case *s3.ListObjectsV2Input:
			list.MaxKeys = aws.Int32(7)
		case *dynamodb.ScanInput:
			list.Limit = aws.Int32(7)
		}
		return next.HandleInitialize(ctx, in)
	}
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("test:short pages", shorten), middleware.Before)
}

func shortS3(o *s3.Options) { o.APIOptions = append(o.APIOptions, shortPages) }

func shortDynamoDB(o *dynamodb.Options) { o.APIOptions = append(o.APIOptions, shortPages) }

func (a *awsAccount) s3Harness() backendtest.Harness {
	return backendtest.Harness{
		Changesets: func(t testing.TB) changeset.Store { return a.objects(t, shortS3) },
		Heads:      func(t testing.TB) head.Store { return a.objects(t, shortS3) },
		InjectUnknownField: func(t testing.TB, aggregateID string) {
			record := a.read(t, head.ObjectName(aggregateID))
			a.write(t, head.ObjectName(aggregateID), append(bytes.TrimSuffix(record, []byte("}")), `,"zone":"north"}`...))
		},
		CorruptHead: func(t testing.TB, aggregateID string) func() {
			record := a.read(t, head.ObjectName(aggregateID))
			a.write(t, head.ObjectName(aggregateID), record[1:])
			return func() { a.write(t, head.ObjectName(aggregateID), record) }
		},
		CorruptObject: func(t testing.TB, ref changeset.Ref) { a.write(t, ref.ObjectName(), []byte("no metadata")) },
		PutForeign:    func(t testing.TB, name string) { a.write(t, name, []byte("foreign")) },
	}
}

// read returns an object's content, bypassing the store.
func (a *awsAccount) read(t testing.TB, name string) []byte {
	t.Helper()
	out, err := a.s3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &a.bucket, Key: aws.String(a.prefix + name)})
	require.NoError(t, err)
	defer out.Body.Close()
	content, err := io.ReadAll(out.Body)
	require.NoError(t, err)
	return content
}

// write overwrites an object, bypassing the store.
func (a *awsAccount) write(t testing.TB, name string, content []byte) {
	t.Helper()
	_, err := a.s3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &a.bucket, Key: aws.String(a.prefix + name), Body: bytes.NewReader(content)})
	require.NoError(t, err)
}

func (a *awsAccount) dynamoHarness() backendtest.Harness {
	return backendtest.Harness{
		Heads: func(t testing.TB) head.Store { return a.heads(t, shortDynamoDB) },
		InjectUnknownField: func(t testing.TB, aggregateID string) {
			a.setAttribute(t, aggregateID, "zone", &dynamotypes.AttributeValueMemberM{Value: map[string]dynamotypes.AttributeValue{
				"names": &dynamotypes.AttributeValueMemberSS{Value: []string{"north", "east"}},
				"size":  &dynamotypes.AttributeValueMemberN{Value: "7"},
			}})
		},
		UnknownField: func(t testing.TB, aggregateID string) string {
			out, err := a.dynamodb().GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &a.table, Key: a.itemKey(aggregateID)})
			require.NoError(t, err)
			zone := out.Item["zone"].(*dynamotypes.AttributeValueMemberM).Value
			names := slices.Sorted(slices.Values(zone["names"].(*dynamotypes.AttributeValueMemberSS).Value))
			return fmt.Sprint(names, zone["size"].(*dynamotypes.AttributeValueMemberN).Value)
		},
		CorruptHead: func(t testing.TB, aggregateID string) func() {
			old := a.setAttribute(t, aggregateID, head.FieldDigest, &dynamotypes.AttributeValueMemberS{Value: "no digest"})
			return func() { a.setAttribute(t, aggregateID, head.FieldDigest, old) }
		},
	}
}

// setAttribute changes one attribute of a head's item, bypassing the store,
// and returns its previous value.
func (a *awsAccount) setAttribute(t testing.TB, aggregateID, name string, value dynamotypes.AttributeValue) dynamotypes.AttributeValue {
	t.Helper()
	out, err := a.dynamodb().UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName:                 &a.table,
		Key:                       a.itemKey(aggregateID),
		UpdateExpression:          aws.String("SET #n = :v"),
		ExpressionAttributeNames:  map[string]string{"#n": name},
		ExpressionAttributeValues: map[string]dynamotypes.AttributeValue{":v": value},
		ReturnValues:              dynamotypes.ReturnValueUpdatedOld,
	})
	require.NoError(t, err)
	return out.Attributes[name]
}

func (a *awsAccount) itemKey(aggregateID string) map[string]dynamotypes.AttributeValue {
	return map[string]dynamotypes.AttributeValue{
		head.FieldAggregateID: &dynamotypes.AttributeValueMemberS{Value: a.prefix + changeset.Escape(aggregateID)},
	}
}
