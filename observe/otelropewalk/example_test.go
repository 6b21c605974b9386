package otelropewalk_test

import (
	"context"
	"fmt"
	"log"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/observe/otelropewalk"
)

// observed returns a store whose operations and requests are seen by OpenTelemetry's global
// providers.
func observed(changesets changeset.Store, heads head.Store) (*ropewalk.Store, error) {
	telemetry, err := otelropewalk.New(&otelropewalk.Options{ChangesetSystem: "aws.s3", HeadSystem: "aws.dynamodb"})
	if err != nil {
		return nil, err
	}
	return telemetry.Store(changesets, heads, nil), nil
}

func Example() {
	ctx, db := context.Background(), memstore.New()
	store, err := observed(db, db)
	if err != nil {
		log.Fatal(err)
	}
	h, err := store.Chain("order-4711").Create(ctx, ropewalk.Draft{Content: []byte("created"), Metadata: otelropewalk.Metadata(ctx)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(h.Version)
	// Output: 0
}
