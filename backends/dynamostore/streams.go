package dynamostore

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"ropewalk/head"
	"ropewalk/internal/awscall"
	"ropewalk/internal/transport"
)

// streams makes the calls to DynamoDB Streams.
type streams struct {
	client *dynamodbstreams.Client
	calls  *awscall.Client[dynamodbstreams.Options]
}

const streamsService = "DynamoDB Streams"

func (s *Store) newStreams() streams {
	client := s.options.Streams
	if client == nil {
		client = dynamodbstreams.New(streamsOptions(s.client.Options()))
	}
	o := client.Options()
	return streams{client, &awscall.Client[dynamodbstreams.Options]{
		Service: streamsService, Region: o.Region, HTTP: awscall.HTTP(o.HTTPClient), Log: s.log,
		Guard:   func(any) error { return nil },
		Foreign: foreign,
		Explain: func(call *awscall.Call, err error) error { return call.Setup(err) },
		Set: func(o *dynamodbstreams.Options, settings awscall.Settings) {
			o.HTTPClient = settings.HTTP
			o.APIOptions = append(o.APIOptions, settings.Watch)
		},
	}}
}

// streamsOptions returns the options of a client for DynamoDB Streams that has
// all that the table's client was configured with.
func streamsOptions(o dynamodb.Options) dynamodbstreams.Options {
	out := dynamodbstreams.Options{
		APIOptions: o.APIOptions, AppID: o.AppID, AuthSchemePreference: o.AuthSchemePreference, BaseEndpoint: o.BaseEndpoint,
		ClientLogMode: o.ClientLogMode, Credentials: o.Credentials, DefaultsMode: o.DefaultsMode,
		DisableClockSkewCorrection: o.DisableClockSkewCorrection, HTTPClient: o.HTTPClient, Interceptors: o.Interceptors,
		Logger: o.Logger, MeterProvider: o.MeterProvider, Region: o.Region, Retryer: o.Retryer,
		RuntimeEnvironment: o.RuntimeEnvironment, TracerProvider: o.TracerProvider,
	}
	out.EndpointOptions.UseDualStackEndpoint = o.EndpointOptions.UseDualStackEndpoint
	out.EndpointOptions.UseFIPSEndpoint = o.EndpointOptions.UseFIPSEndpoint
	return out
}

// listing is what DescribeStream says of a stream.
type listing struct {
	at     time.Time // by the service's clock, before the first page was made
	status types.StreamStatus
	shards map[string]bool // by ID, true if the shard takes no more records
}

func (l listing) disabled() bool {
	return l.status == types.StreamStatusDisabling || l.status == types.StreamStatusDisabled
}

// list returns the stream's shards, a request for each hundred of them.
func (c streams) list(ctx context.Context, stream string) (listing, error) {
	l := listing{shards: map[string]bool{}}
	in := &dynamodbstreams.DescribeStreamInput{StreamArn: &stream}
	for seen := map[string]bool{}; ; {
		page, err := c.describe(ctx, in)
		if err != nil {
			return l, err
		}
		for _, shard := range page.Shards {
			l.shards[*shard.ShardId] = shard.SequenceNumberRange.EndingSequenceNumber != nil
		}
		l.status = page.StreamStatus
		if l.at.IsZero() {
			l.at = page.at
		}
		next := aws.ToString(page.LastEvaluatedShardId)
		if next == "" {
			return l, nil
		}
		if seen[next] {
			return l, broken("the list of shards does not end: %q comes again", next)
		}
		seen[next], in.ExclusiveStartShardId = true, &next
	}
}

// description is a page of a stream's shards, and when it was made by the service's
// clock.
type description struct {
	*types.StreamDescription
	at time.Time
}

func (c streams) describe(ctx context.Context, in *dynamodbstreams.DescribeStreamInput) (description, error) {
	var out *dynamodbstreams.DescribeStreamOutput
	err := awscall.Retry(ctx, c.calls.Log, slower, func() (err error) {
		out, err = awscall.Do(transport.WithLimit(ctx, transport.ListingLimit), c.calls, c.client.DescribeStream, in)
		return err
	})
	if err != nil {
		return description{}, err
	}
	at, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
	if !ok {
		at = time.Now()
	}
	return description{out.StreamDescription, at}, checkDescription(out.StreamDescription, *in.StreamArn)
}

// checkDescription returns the error of a page that leaves out what DynamoDB Streams
// always says.
func checkDescription(d *types.StreamDescription, stream string) error {
	switch {
	case d == nil || d.StreamStatus == "" || d.Shards == nil:
		return broken("the reply does not describe the stream")
	case aws.ToString(d.StreamArn) != stream:
		return broken("the reply describes another stream: %q", aws.ToString(d.StreamArn))
	}
	for _, shard := range d.Shards {
		if aws.ToString(shard.ShardId) == "" || shard.SequenceNumberRange == nil || shard.SequenceNumberRange.StartingSequenceNumber == nil {
			return broken("the reply has a shard without an ID or without sequence numbers")
		}
	}
	return nil
}

func broken(format string, args ...any) error {
	return awscall.Foreign(streamsService, fmt.Errorf(format, args...))
}

// iterator returns an iterator of a shard from a place on.
func (c streams) iterator(ctx context.Context, stream, shard, place string) (string, error) {
	in := &dynamodbstreams.GetShardIteratorInput{StreamArn: &stream, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon}
	if place != horizon {
		in.ShardIteratorType, in.SequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, &place
	}
	out, err := awscall.Do(ctx, c.calls, c.client.GetShardIterator, in)
	if err == nil && aws.ToString(out.ShardIterator) == "" {
		err = broken("the reply has no iterator")
	}
	if err != nil {
		return "", err
	}
	return *out.ShardIterator, nil
}

func (c streams) records(ctx context.Context, iterator string) (*dynamodbstreams.GetRecordsOutput, error) {
	in := &dynamodbstreams.GetRecordsInput{ShardIterator: &iterator}
	out, err := awscall.Do(transport.WithLimit(ctx, transport.ListingLimit), c.calls, c.client.GetRecords, in)
	if err == nil {
		err = checkRecords(out, iterator)
	}
	return out, err
}

// checkRecords returns the error of a page that leaves out what DynamoDB Streams
// always says, or that would make the reading of the shard never end.
func checkRecords(out *dynamodbstreams.GetRecordsOutput, iterator string) error {
	switch {
	case out.Records == nil:
		return broken("the reply has no list of records")
	case len(out.Records) > 0 && aws.ToString(out.NextShardIterator) == iterator:
		return broken("a page of a shard names its own beginning as the next page")
	}
	for _, r := range out.Records {
		if r.Dynamodb == nil || aws.ToString(r.Dynamodb.SequenceNumber) == "" || !isText(r.Dynamodb.Keys[head.FieldAggregateID]) {
			return broken("the reply has a record without a key or without a sequence number")
		}
	}
	return nil
}

func isText(value types.AttributeValue) bool {
	_, ok := value.(*types.AttributeValueMemberS)
	return ok
}
