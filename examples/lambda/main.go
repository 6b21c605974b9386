// Command lambda is an AWS Lambda function that feeds the changes of a store: one
// [feed.Relay.Once] for each invocation, which a schedule triggers. It needs no
// library of Lambda: the runtime is an HTTP interface of three requests.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ropewalk"
	"ropewalk/backends/dynamostore"
	"ropewalk/backends/s3store"
	"ropewalk/feed"
)

func main() {
	ctx := context.Background()
	store, err := open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	relay := feed.Open(store, &feed.Options{Logger: slog.Default()}).Relay(nil)
	l := lambda{api: "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime", work: relay.Once}
	log.Fatal(l.serve(ctx))
}

// open returns the store that the function's variables name.
func open(ctx context.Context) (*ropewalk.Store, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	prefix := os.Getenv("ROPEWALK_PREFIX")
	changesets, err := s3store.New(s3.NewFromConfig(cfg), os.Getenv("ROPEWALK_BUCKET"), &s3store.Options{Prefix: prefix})
	if err != nil {
		return nil, fmt.Errorf("ROPEWALK_BUCKET: %w", err)
	}
	heads, err := dynamostore.New(dynamodb.NewFromConfig(cfg), os.Getenv("ROPEWALK_TABLE"), &dynamostore.Options{Prefix: prefix})
	if err != nil {
		return nil, fmt.Errorf("ROPEWALK_TABLE: %w", err)
	}
	return ropewalk.New(changesets, heads, nil), nil
}
