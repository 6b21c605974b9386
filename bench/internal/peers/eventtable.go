package peers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// EventTable is the event store that most people make of DynamoDB: one item
// for each event, partition key the aggregate, sort key the version.
type EventTable struct {
	client *dynamodb.Client
	name   *string
}

// NewEventTable makes the table, billed by request, and waits until it exists.
func NewEventTable(ctx context.Context, client *dynamodb.Client, name string) (*EventTable, error) {
	_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:   &name,
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("aggregateId"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("version"), AttributeType: types.ScalarAttributeTypeN},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("aggregateId"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("version"), KeyType: types.KeyTypeRange},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("create table %s: %w", name, err)
	}
	return TableAt(client, name), dynamodb.NewTableExistsWaiter(client).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, time.Minute)
}

// TableAt returns a table that exists.
func TableAt(client *dynamodb.Client, name string) *EventTable { return &EventTable{client, &name} }

// Append stores the event at a version that must not be there yet.
func (t *EventTable) Append(ctx context.Context, aggregateID string, version int, event []byte) error {
	_, err := t.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: t.name,
		Item: map[string]types.AttributeValue{
			"aggregateId": &types.AttributeValueMemberS{Value: aggregateID},
			"version":     &types.AttributeValueMemberN{Value: strconv.Itoa(version)},
			"recorded":    &types.AttributeValueMemberS{Value: time.Now().UTC().Format(time.RFC3339Nano)},
			"event":       &types.AttributeValueMemberB{Value: event},
		},
		ConditionExpression: aws.String("attribute_not_exists(aggregateId)"),
	})
	return err
}

// Read reads all events of an aggregate in order, consistently, page by page,
// and returns how many there are.
func (t *EventTable) Read(ctx context.Context, aggregateID string) (n int, err error) {
	pages := dynamodb.NewQueryPaginator(t.client, &dynamodb.QueryInput{
		TableName:                 t.name,
		ConsistentRead:            aws.Bool(true),
		KeyConditionExpression:    aws.String("aggregateId = :a"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":a": &types.AttributeValueMemberS{Value: aggregateID}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return n, err
		}
		n += len(page.Items)
	}
	return n, nil
}

// Over returns the same table reached by another client.
func (t *EventTable) Over(client *dynamodb.Client) *EventTable { return &EventTable{client, t.name} }

// Reason returns what the service says about a request that it has refused.
func Reason(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode() + ": " + api.ErrorMessage()
	}
	return err.Error()
}
