package ropewalk_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"time"

	"ropewalk"
	"ropewalk/backends/memstore"
)

func Example() {
	ctx := context.Background()
	db := memstore.New() // or sqlitestore, s3store with dynamostore, azurestore
	order := ropewalk.New(db, db, nil).Chain("order-4711")

	h, err := order.Create(ctx, ropewalk.Draft{Content: []byte("created")})
	if err != nil {
		log.Fatal(err)
	}
	if _, err = order.Append(ctx, h, ropewalk.Draft{Content: []byte("paid")}, ropewalk.Draft{Content: []byte("shipped")}); err != nil {
		log.Fatal(err)
	}

	r, err := order.Reader(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for c, err := range r.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(c.Version, string(c.Content))
	}
	// Output:
	// 0 created
	// 1 paid
	// 2 shipped
}

// The outcome of an append is one of three. Its callers wait for 2 seconds; when
// a swap gets no answer, the append may take 3 seconds more to learn the outcome.
func ExampleChain_Append() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	db := memstore.New()
	order := ropewalk.New(db, db, &ropewalk.Options{SettleTimeout: 3 * time.Second}).Chain("order-4711")

	for _, content := range []string{"created by ann", "created by ben"} {
		// Both have read that there is no such order yet.
		h, err := order.Append(ctx, ropewalk.Head{}, ropewalk.Draft{Content: []byte(content)})
		var conflict *ropewalk.ConflictError
		var uncertain *ropewalk.UncertainError
		switch {
		case err == nil:
			fmt.Println("committed at version", h.Version)
		case errors.As(err, &conflict):
			fmt.Println("refused for good: the order is at version", conflict.Actual.Version)
		case errors.As(err, &uncertain):
			fmt.Println("keep both, and settle it later:", uncertain.Ref, uncertain.AfterRevision)
		default:
			fmt.Println("nothing was committed:", err)
		}
	}
	// Output:
	// committed at version 0
	// refused for good: the order is at version 0
}

// A command that is sent again, because its answer was lost on the way to its
// sender, happens once.
func ExampleChain_Append_command() {
	ctx := context.Background()
	db := memstore.New()
	account := ropewalk.New(db, db, nil).Chain("account-7")
	opened, _ := account.Create(ctx, ropewalk.Draft{Content: []byte("opened")})

	withdraw := ropewalk.Draft{CommandID: "withdrawal-91c2", Content: []byte("withdrew 100")}
	for range 2 {
		h, err := account.Append(ctx, opened, withdraw)
		fmt.Println(h.Version, err)
	}
	// Output:
	// 1 <nil>
	// 1 <nil>
}

func ExampleChain_Update() {
	ctx := context.Background()
	db := memstore.New()
	stock := ropewalk.New(db, db, nil).Chain("stock-42")

	take := func(ctx context.Context, r *ropewalk.Reader) ([]ropewalk.Draft, error) {
		taken, err := ropewalk.Collect(r.All(ctx))
		if err != nil {
			return nil, err
		}
		if len(taken) == 2 {
			return nil, errors.New("sold out")
		}
		return []ropewalk.Draft{{Content: []byte("took one")}}, nil
	}
	for range 3 {
		h, err := stock.Update(ctx, take)
		fmt.Println(h.Version, err)
	}
	// Output:
	// 0 <nil>
	// 1 <nil>
	// 1 sold out
}

// Many goroutines append to one aggregate: those that wait share a swap.
func ExampleAppender() {
	ctx := context.Background()
	db := memstore.New()
	turbine := ropewalk.New(db, db, nil).Chain("turbine-7")
	readings := turbine.NewAppender(nil) // one for all goroutines of the process

	var group sync.WaitGroup
	for sensor := range 100 {
		group.Go(func() {
			made, err := readings.Append(ctx, ropewalk.Draft{Content: fmt.Appendf(nil, `{"sensor":%d}`, sensor)})
			var uncertain *ropewalk.UncertainError
			if errors.As(err, &uncertain) {
				_, err = turbine.Settle(ctx, uncertain.Ref, uncertain.AfterRevision) // committed after all, or refused for good
			}
			if err != nil {
				log.Fatal(err)
			}
			_ = made[0].Ref // turbine-7@…, wherever it came to stand
		})
	}
	group.Wait()
	h, err := turbine.Head(ctx)
	fmt.Println(h.Version+1, "readings", err)
	// Output:
	// 100 readings <nil>
}

func ExampleReader_Since() {
	ctx := context.Background()
	db := memstore.New()
	order := ropewalk.New(db, db, nil).Chain("order-4711")
	seen, _ := order.Create(ctx, ropewalk.Draft{Content: []byte("created")})
	newest, _ := order.Append(ctx, seen, ropewalk.Draft{Content: []byte("paid")})

	// A program that has kept its head reads what is new, and has it proved.
	for c, err := range order.ReaderAt(newest).Since(ctx, seen) {
		fmt.Println(string(c.Content), err)
	}
	// Output:
	// paid <nil>
}

// An order is placed and its stock reserved in one commit, if the customer may still order.
func ExampleStore_Commit() {
	ctx := context.Background()
	db := memstore.New() // or sqlitestore, or s3store with dynamostore
	store := ropewalk.New(db, db, nil)
	order, stock, customer := store.Chain("order-4711"), store.Chain("stock-7"), store.Chain("customer-9")
	inStock, err := stock.Create(ctx, ropewalk.Draft{Content: []byte("5 received")})
	if err != nil {
		log.Fatal(err)
	}
	known, err := customer.Create(ctx, ropewalk.Draft{Content: []byte("registered")})
	if err != nil {
		log.Fatal(err)
	}

	place := func() error {
		_, err := store.Commit(ctx,
			order.Appending(ropewalk.Head{}, ropewalk.Draft{Content: []byte("placed")}), // must not exist yet
			stock.Appending(inStock, ropewalk.Draft{Content: []byte("2 reserved")}),
			customer.Unchanged(known)) // must be what was read
		return err
	}
	if _, err := customer.Append(ctx, known, ropewalk.Draft{Content: []byte("blocked")}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(place())
	_, err = order.Head(ctx)
	fmt.Println("no order:", errors.Is(err, ropewalk.ErrNotFound))
	// Output:
	// conflict: customer-9 is at 1, not at 0
	// no order: true
}
