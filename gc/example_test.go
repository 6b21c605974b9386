package gc_test

import (
	"context"
	"fmt"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/gc"
)

// Two writers race; the object of the one that loses is an orphan.
func raced(ctx context.Context) (*memstore.Store, error) {
	db := memstore.New()
	order := ropewalk.New(db, faults.TwoSteps(db), nil).Chain("order-4711")
	if _, err := order.Create(ctx, changeset.Draft{Content: []byte("created by one")}); err != nil {
		return nil, err
	}
	_, conflict := order.Create(ctx, changeset.Draft{Content: []byte("created by the other")})
	fmt.Println(conflict)
	return db, nil
}

// A dry run reports what a collection would delete.
func ExampleCollector_Collect() {
	ctx := context.Background()
	db, err := raced(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, options := range []gc.Options{{Grace: -1}, {Grace: -1, Delete: true}} { // young ones, too
		report, err := gc.New(db, db, &options).Collect(ctx, "order-4711")
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("found:", report.Collectable().Objects, "deleted:", report.Deleted.Objects)
	}
	// Output:
	// conflict: order-4711 exists already, at 0
	// found: 1 deleted: 0
	// found: 1 deleted: 1
}

// A job that is run every night goes through all aggregates. An error of one
// aggregate does not end the rest.
func ExampleCollector_CollectAll() {
	ctx := context.Background()
	db, err := raced(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for report, err := range gc.New(db, db, &gc.Options{Delete: true}).CollectAll(ctx, "") {
		if err != nil {
			fmt.Println("goes on tomorrow:", err)
			return
		}
		if report.Err != nil {
			fmt.Println("left alone:", report.Err)
			continue
		}
		fmt.Println(report.AggregateID, "has", report.Young.Objects, "young orphan")
	}
	// Output:
	// conflict: order-4711 exists already, at 0
	// order-4711 has 1 young orphan
}

// An erased aggregate leaves a tombstone, and nothing else.
func ExampleCollector_Erase() {
	ctx := context.Background()
	db, err := raced(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := gc.New(db, db, nil).Erase(ctx, "order-4711")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("deleted:", report.Deleted.Objects, "state:", report.Head.State)
	_, err = ropewalk.New(db, db, nil).Chain("order-4711").Head(ctx)
	fmt.Println(err)
	// Output:
	// conflict: order-4711 exists already, at 0
	// deleted: 2 state: erased
	// chain "order-4711": erased
}
