package inspect_test

import (
	"context"
	"fmt"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/inspect"
)

func Example() {
	ctx := context.Background()
	db := memstore.New()
	order := ropewalk.New(db, db, nil).Chain("order-4711")
	h, err := order.Create(ctx, changeset.Draft{Content: []byte("created")})
	if err != nil {
		panic(err)
	}
	db.Tamper(func(all *memstore.Contents) { all.Objects[h.ObjectName()].Body[0] ^= 1 })

	report, err := inspect.New(db, db, nil).Verify(ctx, "order-4711")
	if err != nil {
		panic(err)
	}
	for _, p := range report.Problems {
		fmt.Println(p.Ref.AggregateID, p.Ref.Version, p.Reason)
	}
	// Output: order-4711 0 content does not match its sha256
}
