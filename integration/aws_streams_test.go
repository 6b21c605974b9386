//go:build integration

package integration_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"ropewalk/backends/dynamostore"
	"ropewalk/feed/feedtest"
	"ropewalk/gc"
	"ropewalk/head"
)

func TestDynamoDBSource(t *testing.T) {
	t.Parallel()
	a := newLocalStack(t).provisionedTable(t)
	feedtest.TestSource(t, feedtest.Harness{Heads: func(t testing.TB) head.Store { return a.heads(t) }, Patience: time.Minute})
}

// TestDynamoDBStreamOfAnOldTable: init enables the stream of a table that was made
// without one. A stream that is disabled, and another in its place, are losses.
func TestDynamoDBStreamOfAnOldTable(t *testing.T) {
	t.Parallel()
	a := newLocalStack(t).provisionedBucket(t)
	a.createTable(t, nil)
	heads := a.heads(t)
	var setup *dynamostore.SetupError
	for _, err := range heads.Hints(t.Context(), nil) {
		require.ErrorAs(t, err, &setup)
		require.Contains(t, setup.What, "has no stream")
	}
	require.Equal(t, "off, a feed needs it", a.streamDetail(t))
	for range 2 {
		require.NoError(t, heads.Provision(t.Context()))
		require.Equal(t, "on, NEW_IMAGE", a.streamDetail(t))
	}

	chain := roleStore{objects: a.objects(t), heads: heads}.chain("order/1")
	h, err := chain.Create(t.Context(), draft("created"))
	require.NoError(t, err)
	pages := a.caughtUp(t, nil)
	require.True(t, pages[0].Lost)
	var hints []head.Hint
	for _, p := range pages {
		hints = append(hints, p.Hints...)
	}
	require.NotEmpty(t, hints)
	require.Equal(t, "order/1", hints[0].AggregateID)
	require.Equal(t, h, hints[0].Head)
	require.WithinDuration(t, time.Now(), hints[0].Since, 5*time.Minute)

	_, err = gc.New(a.objects(t), heads, nil).Erase(t.Context(), "order/1")
	require.NoError(t, err)
	cursor := pages[len(pages)-1].Cursor
	erased := false
	for _, p := range a.caughtUp(t, cursor) {
		require.False(t, p.Lost)
		for _, hint := range p.Hints {
			erased = erased || hint.Head.State == head.Erased
		}
	}
	require.True(t, erased)

	a.setStream(t, false)
	lost := 0
	for p, err := range heads.Hints(t.Context(), cursor) {
		if err != nil {
			require.ErrorAs(t, err, &setup)
			require.Contains(t, setup.What, "is disabled")
			break
		}
		require.False(t, p.CaughtUp)
		if p.Lost {
			lost++
		}
	}
	require.Equal(t, 1, lost)
	require.NoError(t, heads.Provision(t.Context()))
	require.True(t, a.caughtUp(t, cursor)[0].Lost)
}

// TestDynamoDBStreamOfAnotherKind: a stream without new images is somebody's, and
// stays as it is.
func TestDynamoDBStreamOfAnotherKind(t *testing.T) {
	t.Parallel()
	for view, good := range map[types.StreamViewType]bool{types.StreamViewTypeKeysOnly: false, types.StreamViewTypeNewAndOldImages: true} {
		a := newLocalStack(t)
		a.createTable(t, &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: view})
		err := a.heads(t).Provision(t.Context())
		require.Equal(t, good, err == nil, "%v", err)
		if !good {
			var setup *dynamostore.SetupError
			require.ErrorAs(t, err, &setup)
			require.Contains(t, setup.What, string(view))
		}
	}
}

// TestDynamoDBCheckpoint: an item keeps the largest checkpoint, and gives it back.
func TestDynamoDBCheckpoint(t *testing.T) {
	t.Parallel()
	heads := newLocalStack(t).provisionedTable(t).heads(t)
	_, first := newAWSAppend(t, head.Head{})
	first.Checkpoint = strings.Repeat("x", head.MaxCheckpoint)
	_, err := heads.Swap(t.Context(), head.Head{}, first)
	require.NoError(t, err)
	loaded, err := heads.Load(t.Context(), first.AggregateID)
	require.NoError(t, err)
	require.Equal(t, first.Checkpoint, loaded.Checkpoint)
	next := loaded
	next.Revision, next.Checkpoint = loaded.Revision+1, "c.1"
	_, err = heads.Swap(t.Context(), loaded, next)
	require.NoError(t, err)
	loaded, err = heads.Load(t.Context(), first.AggregateID)
	require.NoError(t, err)
	require.Equal(t, "c.1", loaded.Checkpoint)
}

func (a *awsAccount) createTable(t testing.TB, stream *types.StreamSpecification) {
	t.Helper()
	_, err := a.dynamodb().CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &a.table, BillingMode: types.BillingModePayPerRequest, StreamSpecification: stream,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String(head.FieldAggregateID), AttributeType: "S"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String(head.FieldAggregateID), KeyType: "HASH"}},
	})
	require.NoError(t, err)
}

func (a *awsAccount) setStream(t testing.TB, on bool) {
	t.Helper()
	spec := &types.StreamSpecification{StreamEnabled: &on}
	if on {
		spec.StreamViewType = types.StreamViewTypeNewImage
	}
	_, err := a.dynamodb().UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: &a.table, StreamSpecification: spec})
	require.NoError(t, err)
}

// streamDetail returns what the check finds about the stream.
func (a *awsAccount) streamDetail(t testing.TB) string {
	t.Helper()
	findings, err := a.heads(t).Check(t.Context())
	require.NoError(t, err)
	for _, f := range findings {
		if f.Name == "stream" {
			return f.Detail
		}
	}
	return ""
}

// caughtUp returns the pages from a cursor on until all has come.
func (a *awsAccount) caughtUp(t testing.TB, cursor []byte) (pages []head.Hints) {
	t.Helper()
	for p, err := range a.heads(t).Hints(t.Context(), cursor) {
		require.NoError(t, err)
		if pages = append(pages, p); p.CaughtUp {
			break
		}
	}
	return pages
}
