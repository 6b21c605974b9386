package dynamostore

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ropewalk/internal/awscall"
)

// newClient returns what makes the store's calls.
func (s *Store) newClient() *awscall.Client[dynamodb.Options] {
	o := s.client.Options()
	return &awscall.Client[dynamodb.Options]{
		Service: service, Region: o.Region, HTTP: awscall.HTTP(o.HTTPClient), Log: s.log, Again: again,
		Guard: guard, Foreign: foreign, Explain: s.explain, Set: set,
	}
}

const service = "DynamoDB"

func set(o *dynamodb.Options, settings awscall.Settings) {
	o.HTTPClient = settings.HTTP
	o.APIOptions = append(o.APIOptions, settings.Watch)
	if settings.Retryer != nil {
		o.Retryer = settings.Retryer
	}
}

// guard refuses a write without its condition, and a transaction without its token.
func guard(in any) error {
	var conditions []*string
	switch in := in.(type) {
	case *dynamodb.UpdateItemInput:
		conditions = append(conditions, in.ConditionExpression)
	case *dynamodb.TransactWriteItemsInput:
		conditions = append(conditions, in.ClientRequestToken)
		for _, item := range in.TransactItems {
			conditions = append(conditions, conditionOf(item))
		}
	}
	for _, condition := range conditions {
		if aws.ToString(condition) == "" {
			return errors.New("dynamostore: a write without a condition is never sent")
		}
	}
	return nil
}

// conditionOf returns the condition of a member of a transaction.
func conditionOf(item types.TransactWriteItem) *string {
	switch {
	case item.Update != nil:
		return item.Update.ConditionExpression
	case item.ConditionCheck != nil:
		return item.ConditionCheck.ConditionExpression
	}
	return nil
}

// foreign names the part that a reply from elsewhere lacks: DynamoDB sends
// a request ID or its own type of JSON, and in a success an object.
func foreign(_ string, reply *http.Response) string {
	h := reply.Header
	own := h.Get("X-Amzn-Requestid") != "" || h.Get("X-Amz-Crc32") != "" || strings.HasPrefix(h.Get("Content-Type"), "application/x-amz-json-")
	switch {
	case !own:
		return awscall.Describe(reply) + ", no request ID"
	case reply.StatusCode < http.StatusMultipleChoices && !awscall.IsObject(reply):
		return awscall.Describe(reply) + ", no JSON object"
	}
	return ""
}

// do calls an operation that may be repeated.
func do[In, Out any](ctx context.Context, s *Store, op awscall.Operation[In, Out, dynamodb.Options], in *In) (*Out, error) {
	return awscall.Do(ctx, s.calls, op, in)
}
