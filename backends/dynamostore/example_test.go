package dynamostore_test

import (
	"context"
	"log"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ropewalk"
	"ropewalk/backends/dynamostore"
	"ropewalk/backends/s3store"
	"ropewalk/changeset"
)

// Changesets in S3, heads in DynamoDB.
func ExampleNew() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	changesets, err := s3store.New(s3.NewFromConfig(cfg), "acme-orders", nil)
	if err != nil {
		log.Fatal(err)
	}
	heads, err := dynamostore.New(dynamodb.NewFromConfig(cfg), "acme-heads", nil)
	if err != nil {
		log.Fatal(err)
	}
	orders := ropewalk.New(changesets, heads, nil)
	h, err := orders.Chain("order-4711").Create(ctx, changeset.Draft{Content: []byte(`{"type":"created"}`)})
	if err != nil {
		log.Fatal(err)
	}
	log.Println(h.Ref)
}
