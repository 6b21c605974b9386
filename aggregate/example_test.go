package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/feed"
)

func Example() {
	ctx := context.Background()
	db := memstore.New() // or any other backend
	repo := aggregate.New(ropewalk.New(db, db, nil), orders, nil)

	order, err := repo.Create(ctx, "order-4711", []Event{Created{"ann"}, LineAdded{"rope", 2}})
	if err != nil {
		log.Fatal(err)
	}
	order, err = repo.Save(ctx, order, []Event{LineAdded{"hook", 1}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(order.State.Customer, order.State.Quantity, "at version", order.Head.Version)

	order, err = repo.Update(ctx, "order-4711", Order.Ship)
	fmt.Println(order.State.Shipped, err)
	_, err = repo.Update(ctx, "order-4711", Order.Ship)
	fmt.Println(err)
	// Output:
	// ann map[hook:1 rope:2] at version 1
	// true <nil>
	// the order is shipped already
}

// A command that is sent again happens once, also where others have saved meanwhile.
func ExampleOnce() {
	ctx := context.Background()
	db := memstore.New()
	repo := aggregate.New(ropewalk.New(db, db, nil), orders, nil)
	addRope := func(Order) ([]Event, error) { return []Event{LineAdded{"rope", 1}}, nil }

	for _, key := range []string{"request-1", "request-2", "request-1"} {
		order, err := repo.Upsert(ctx, "order-4711", addRope, aggregate.Once(key))
		fmt.Println(order.State.Quantity["rope"], order.Repeated, err)
	}
	// Output:
	// 1 false <nil>
	// 2 false <nil>
	// 2 true <nil>
}

func ExampleRepository_Save() {
	ctx := context.Background()
	db := memstore.New()
	repo := aggregate.New(ropewalk.New(db, db, nil), orders, nil)
	read, _ := repo.Create(ctx, "order-4711", []Event{Created{"ann"}})

	for _, item := range []string{"rope", "hook"} { // both decide on the same state
		_, err := repo.Save(ctx, read, []Event{LineAdded{item, 1}})
		var conflict *ropewalk.ConflictError
		var uncertain *ropewalk.UncertainError
		switch {
		case err == nil:
			fmt.Println(item, "is added")
		case errors.As(err, &conflict):
			fmt.Println(item, "is refused: the order is at version", conflict.Actual.Version)
		case errors.As(err, &uncertain):
			fmt.Println("keep both, and settle it later:", uncertain.Ref, uncertain.AfterRevision)
		default:
			fmt.Println("nothing was saved:", err)
		}
	}
	// Output:
	// rope is added
	// hook is refused: the order is at version 1
}

// An order is shipped and its items leave the stock in one commit. The types differ.
func ExampleCommit() {
	ctx := context.Background()
	db := memstore.New() // or sqlitestore, or s3store with dynamostore
	store := ropewalk.New(db, db, nil)
	orderRepo, stockRepo := aggregate.New(store, orders, nil), aggregate.New(store, stocks, nil)
	placed, err := orderRepo.Create(ctx, "order-4711", []Event{LineAdded{"rope", 2}})
	if err != nil {
		log.Fatal(err)
	}
	ropes, err := stockRepo.Create(ctx, "stock-rope", []Movement{{5}})
	if err != nil {
		log.Fatal(err)
	}

	for range 2 { // sent twice, it happens once
		order := orderRepo.Change(placed, []Event{Shipped{}}, aggregate.Once("request-7"))
		stock := stockRepo.Change(ropes, []Movement{{-placed.State.Quantity["rope"]}})
		if err := aggregate.Commit(ctx, order, stock); err != nil {
			log.Fatal(err) // after a *ropewalk.ConflictError: load both, decide and commit again
		}
		fmt.Println(order.Loaded().State.Shipped, stock.Loaded().State.Left, order.Loaded().Repeated)
	}
	// Output:
	// true 3 false
	// true 3 true
}

// Stock is how much of an item is left.
type Stock struct{ Left int }

// Movement says how much has come into a stock, or has left it.
type Movement struct{ Quantity int }

var stocks = aggregate.Type[Stock, Movement]{
	Name:   "stock",
	Events: aggregate.Events[Movement]{"movement": Movement{}},
	Evolve: func(s Stock, m Movement) Stock { return Stock{s.Left + m.Quantity} },
}

// The stored content is NDJSON, one event a line.
func ExampleRepository_Events() {
	ctx := aggregate.WithMetadata(context.Background(), aggregate.Correlation, "91c2")
	db := memstore.New()
	store := ropewalk.New(db, db, nil)
	repo := aggregate.New(store, orders, nil)
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	order, err := repo.Create(ctx, "order-4711", []Event{Created{"ann"}, LineAdded{"rope", 2}},
		aggregate.At(noon), aggregate.With("user", "ann"))
	if err != nil {
		log.Fatal(err)
	}

	for e, err := range repo.Events(ctx, order.Head, 0, order.Head.Version) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Version, e.Index, e.Type, e.Time.Format(time.DateOnly), e.Event, e.Metadata)
	}

	c, _ := store.Chain("order-4711").ReaderAt(order.Head).At(ctx, 0)
	first, _, _ := strings.Cut(string(c.Content), "\n")
	id := first[strings.Index(first, `"id":"`)+6:][:36]
	fmt.Println(c.ContentType)
	fmt.Println(strings.Replace(first, id, "…", 1))
	// Output:
	// 0 0 created 2026-05-04 {ann} map[correlation:91c2 user:ann]
	// 0 1 line-added 2026-05-04 {rope 2} map[correlation:91c2 user:ann]
	// application/x-ndjson
	// {"type":"created","id":"…","time":"2026-05-04T12:00:00.000000000Z","data":{"Customer":"ann"},"meta":{"correlation":"91c2","user":"ann"}}
}

// With snapshots a load reads the newest one and what came after it.
func ExampleSnapshots() {
	ctx := context.Background()
	db := memstore.New()
	counted := orders
	counted.Snapshots = aggregate.Snapshots[Order]{Every: 16, Schema: "1"}
	repo := aggregate.New(ropewalk.New(db, db, nil), counted, nil)
	for range 20 {
		if _, err := repo.Upsert(ctx, "order-4711", func(Order) ([]Event, error) {
			return []Event{LineAdded{"rope", 1}}, nil
		}); err != nil {
			log.Fatal(err)
		}
	}
	_ = repo.Wait(ctx) // for what is being written in the background

	order, err := repo.Load(ctx, "order-4711")
	fmt.Println(order.State.Quantity, err, repo.Stats().Written > 0)
	// Output:
	// map[rope:20] <nil> true
}

// A consumer of all orders: it follows the feed, and goes on where it was when it
// runs again.
func ExampleHandle() {
	ctx, stop := context.WithCancel(context.Background())
	db := memstore.New()
	store := ropewalk.New(db, db, nil)
	repo := aggregate.New(store, orders, nil)
	if _, err := repo.Create(ctx, "order-4711", []Event{Created{"ann"}, LineAdded{"rope", 2}}); err != nil {
		log.Fatal(err)
	}

	handler := aggregate.Handle(orders, func(_ context.Context, e aggregate.Delivered[Event]) error {
		switch event := e.Event.(type) {
		case Created:
			fmt.Println(e.AggregateID, "is an order of", event.Customer)
		case LineAdded:
			fmt.Println(e.AggregateID, "has", event.Quantity, event.Item)
			stop() // a real consumer stops when its process does
		}
		return nil
	}, func(_ context.Context, aggregateID string) error {
		fmt.Println("forget", aggregateID)
		return nil
	})
	lines := feed.Open(store, nil).Subscription("order-lines", &feed.SubscriptionOptions{Prefix: "order-"})
	fmt.Println(lines.Run(ctx, handler))
	// Output:
	// order-4711 is an order of ann
	// order-4711 has 2 rope
	// <nil>
}
