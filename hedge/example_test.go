package hedge_test

import (
	"context"
	"fmt"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/hedge"
)

func ExampleNew() {
	db := memstore.New() // or an s3store.Store, an azurestore.Store
	objects := hedge.New(db, nil)
	orders := ropewalk.New(objects, db, nil)

	ctx := context.Background()
	h, err := orders.Chain("order-4711").Create(ctx, changeset.Draft{Content: []byte("placed")})
	if err != nil {
		panic(err)
	}
	for c, err := range orders.Chain("order-4711").ReaderAt(h).All(ctx) {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s\n", c.Content)
	}
	stats := objects.Stats()
	fmt.Println(stats.Requests, "request,", stats.Hedged, "of them sent a second time")
	// Output:
	// placed
	// 1 request, 0 of them sent a second time
}
