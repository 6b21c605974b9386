package s3store_test

import (
	"context"
	"log"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ropewalk"
	"ropewalk/backends/s3store"
	"ropewalk/changeset"
)

// Changesets and heads in one bucket, with no database beside it. For heads in
// DynamoDB see package dynamostore.
func ExampleNew() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	bucket, err := s3store.New(s3.NewFromConfig(cfg), "acme-orders", nil)
	if err != nil {
		log.Fatal(err)
	}
	orders := ropewalk.New(bucket, bucket, nil)
	h, err := orders.Chain("order-4711").Create(ctx, changeset.Draft{Content: []byte(`{"type":"created"}`)})
	if err != nil {
		log.Fatal(err)
	}
	log.Println(h.Ref)
}

// Provision makes the bucket, or makes it right; Check reports missing and
// dangerous settings.
func ExampleStore_Check() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	bucket, err := s3store.New(s3.NewFromConfig(cfg), "acme-orders", &s3store.Options{Prefix: "prod/", Versioning: true})
	if err != nil {
		log.Fatal(err)
	}
	if err := bucket.Provision(ctx); err != nil {
		log.Fatal(err)
	}
	findings, err := bucket.Check(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range findings {
		log.Println(f, f.Hint)
	}
}
