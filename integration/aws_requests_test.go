//go:build integration

package integration_test

import (
	"context"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/dynamostore"
	"ropewalk/backends/s3store"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// TestAWSRequests counts at the HTTP layer what each operation sends.
func TestAWSRequests(t *testing.T) {
	wire := &awsWire{}
	a := newLocalStack(t).provisionedBucket(t).provisionedTable(t).with(wire)
	objects, heads := a.objects(t), a.heads(t)
	c, first := newAWSAppend(t, head.Head{})
	absent, other := newAWSAppend(t, head.Head{})

	var inS3, inTable, seen head.Head
	steps := []struct {
		name string
		call func() error
		want []string
	}{
		{"put", func() error { return objects.Put(t.Context(), c) }, []string{"PUT"}},
		{"put again", func() error { return objects.Put(t.Context(), c) }, []string{"PUT"}},
		{"get", func() error { _, err := objects.Get(t.Context(), c.Ref, nil); return err }, []string{"GET"}},
		{"stat", func() error { _, err := objects.Stat(t.Context(), c.Ref); return err }, []string{"HEAD"}},
		{"swap in S3", func() (err error) { inS3, err = objects.Swap(t.Context(), head.Head{}, first); return err }, []string{"PUT"}},
		{"next swap in S3", func() error { _, err := objects.Swap(t.Context(), inS3, link.Fence(inS3)); return err }, []string{"PUT"}},
		{"load from S3", func() (err error) { seen, err = objects.Load(t.Context(), first.AggregateID); return err }, []string{"GET"}},
		{"refresh unchanged from S3", func() error { return refreshed(t, objects, seen, true) }, []string{"GET"}},
		{"refresh changed from S3", func() error { return refreshed(t, objects, inS3, false) }, []string{"GET"}},
		{"load none from S3", func() error { _, err := objects.Load(t.Context(), other.AggregateID); return err }, []string{"GET"}},
		{"swap in DynamoDB", func() (err error) { inTable, err = heads.Swap(t.Context(), head.Head{}, first); return err }, []string{"UpdateItem"}},
		{"next swap in DynamoDB", func() error { _, err := heads.Swap(t.Context(), inTable, link.Fence(inTable)); return err }, []string{"UpdateItem"}},
		{"swap of two heads", func() error { return swapTwo(t, heads, first, other) }, []string{"TransactWriteItems"}},
		{"load from DynamoDB", func() error { _, err := heads.Load(t.Context(), first.AggregateID); return err }, []string{"GetItem"}},
		{"list objects", func() error { return drainAWS(objects.Objects(t.Context(), c.AggregateID)) }, []string{"LIST"}},
		{"list aggregates", func() error { return drainAWS(objects.Aggregates(t.Context(), "")) }, []string{"LIST"}},
		{"list heads in S3", func() error { return drainAWS(objects.List(t.Context(), "")) }, []string{"LIST", "GET"}},
		{"tags of heads in S3", func() error { return drainAWS(objects.Tags(t.Context(), "")) }, []string{"LIST"}},
		{"list heads in DynamoDB", func() error { return drainAWS(heads.List(t.Context(), "")) }, []string{"Scan"}},
		{"delete", func() error { return objects.Delete(t.Context(), c.Ref) }, []string{"DELETE"}},
	}
	for _, step := range steps {
		wire.sent()
		require.NoError(t, step.call(), step.name)
		require.Equal(t, step.want, wire.sent(), step.name)
	}

	_, err := objects.Get(t.Context(), absent.Ref, nil)
	require.ErrorIs(t, err, changeset.ErrNotFound)
	require.Equal(t, []string{"GET"}, wire.sent())

	var conflict *head.ConflictError
	_, err = objects.Swap(t.Context(), inS3, link.Fence(inS3))
	require.ErrorAs(t, err, &conflict)
	require.True(t, conflict.Winner.SameRecord(link.Fence(inS3)))
	require.Equal(t, []string{"PUT", "GET"}, wire.sent(), "the winner is read")
	_, err = heads.Swap(t.Context(), inTable, link.Fence(inTable))
	require.ErrorAs(t, err, &conflict)
	require.True(t, conflict.Winner.SameRecord(link.Fence(inTable)))
	require.Equal(t, []string{"UpdateItem"}, wire.sent(), "the winner comes with the conflict")
	var conflicts *head.ConflictsError
	_, late, err := link.Extend(head.Head{}, other.AggregateID, make([]changeset.Draft, 1), time.Now())
	require.NoError(t, err)
	require.ErrorAs(t, swapTwo(t, heads, inTable, late), &conflicts)
	require.True(t, conflicts.Winners[other.AggregateID].SameRecord(other))
	require.Equal(t, []string{"TransactWriteItems"}, wire.sent(), "the winners come with the conflict")
}

// swapTwo creates a head if the one that was fenced is unchanged.
func swapTwo(t *testing.T, heads head.Transactor, fenced, created head.Head) error {
	_, err := heads.SwapAll(t.Context(), []head.Exchange{{AggregateID: fenced.AggregateID, Old: fenced}, {AggregateID: created.AggregateID, Next: created}})
	return err
}

// refreshed refreshes a head, and holds the result to being the same or another.
func refreshed(t *testing.T, heads head.Refresher, seen head.Head, same bool) error {
	h, err := heads.Refresh(t.Context(), seen)
	require.Equal(t, same, h == seen)
	return err
}

// drainAWS reads a listing to its end.
func drainAWS[T any](listing iter.Seq2[T, error]) error {
	for _, err := range listing {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestAWSBareConfiguration: clients that were built without the SDK's defaults
// send checksums all the same, and S3 keeps them.
func TestAWSBareConfiguration(t *testing.T) {
	a := newLocalStack(t).provisionedBucket(t).provisionedTable(t)
	bare := aws.Config{Region: a.config.Region, BaseEndpoint: a.base(), Credentials: a.config.Credentials}
	client := s3.NewFromConfig(bare, func(o *s3.Options) { o.UsePathStyle = true })
	objects, err := s3store.New(client, a.bucket, nil)
	require.NoError(t, err)
	heads, err := dynamostore.New(dynamodb.NewFromConfig(bare), a.table, nil)
	require.NoError(t, err)

	c, first := newAWSAppend(t, head.Head{})
	require.NoError(t, objects.Put(t.Context(), c))
	for _, store := range []head.Store{objects, heads} {
		_, err = store.Swap(t.Context(), head.Head{}, first)
		require.NoError(t, err)
	}
	for _, name := range []string{c.ObjectName(), head.ObjectName(c.AggregateID)} {
		stat, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &a.bucket, Key: &name, ChecksumMode: "ENABLED"})
		require.NoError(t, err)
		require.NotEmpty(t, aws.ToString(stat.ChecksumSHA256), name)
	}

	c, _ = newAWSAppend(t, head.Head{})
	c.Body = []byte("hollo")
	require.ErrorContains(t, objects.Put(t.Context(), c), "BadDigest")
	_, err = objects.Stat(t.Context(), c.Ref)
	require.ErrorIs(t, err, changeset.ErrNotFound)
}

// TestDynamoDBWriteUnits: a swap consumes one write unit, however often the head
// was swapped before, and each head that a step replaces consumes two.
func TestDynamoDBWriteUnits(t *testing.T) {
	a := newLocalStack(t).provisionedTable(t)
	var consumed []float64
	ask := func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		switch in := in.Parameters.(type) {
		case *dynamodb.UpdateItemInput:
			in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
		case *dynamodb.TransactWriteItemsInput:
			in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
		}
		out, metadata, err := next.HandleInitialize(ctx, in)
		switch reply := out.Result.(type) {
		case *dynamodb.UpdateItemOutput:
			consumed = append(consumed, *reply.ConsumedCapacity.CapacityUnits)
		case *dynamodb.TransactWriteItemsOutput:
			consumed = append(consumed, *reply.ConsumedCapacity[0].CapacityUnits)
		}
		return out, metadata, err
	}
	heads := a.heads(t, func(o *dynamodb.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("test:capacity", ask), middleware.Before)
		})
	})
	var h head.Head
	for range 100 {
		_, next := newAWSAppend(t, h)
		var err error
		h, err = heads.Swap(t.Context(), h, next)
		require.NoError(t, err)
	}
	require.Equal(t, slices.Repeat([]float64{1}, 100), consumed)

	_, first := newAWSAppend(t, head.Head{})
	consumed = nil
	_, err := heads.SwapAll(t.Context(), []head.Exchange{{AggregateID: h.AggregateID, Old: h, Next: link.Fence(h)}, {AggregateID: first.AggregateID, Next: first}})
	require.NoError(t, err)
	require.Equal(t, []float64{4}, consumed)
}
