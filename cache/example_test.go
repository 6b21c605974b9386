package cache_test

import (
	"context"
	"fmt"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/cache"
	"ropewalk/changeset"
)

func ExampleNew() {
	db := memstore.New() // or an s3store.Store, an azurestore.Store
	objects, err := cache.New(db, &cache.Options{Bytes: 256 << 20})
	if err != nil {
		panic(err)
	}
	orders := ropewalk.New(objects, db, nil)

	ctx := context.Background()
	order := orders.Chain("order-4711")
	h, err := order.Create(ctx, changeset.Draft{Content: []byte("placed")}, changeset.Draft{Content: []byte("paid")})
	if err != nil {
		panic(err)
	}
	for range 3 {
		if _, err := ropewalk.Collect(order.ReaderAt(h).All(ctx)); err != nil {
			panic(err)
		}
	}
	fmt.Printf("%+v\n", objects.Stats())
	// Output:
	// {Memory:4 Disk:0 Misses:2}
}
