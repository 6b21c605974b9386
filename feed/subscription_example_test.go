package feed_test

import (
	"context"
	"fmt"
	"log"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/feed"
)

// A consumer that follows the store. Several processes may run it: one does the
// work, and the others stand by.
func ExampleSubscription_Run() {
	ctx, stop := context.WithCancel(context.Background())
	db := memstore.New() // it has a log, and needs no relay
	store := ropewalk.New(db, db, nil)
	for _, id := range []string{"order-1", "user-7", "order-2"} {
		if _, err := store.Chain(id).Create(ctx, ropewalk.Draft{Content: []byte("opened")}); err != nil {
			log.Fatal(err)
		}
	}

	mail := feed.Open(store, nil).Subscription("mail", &feed.SubscriptionOptions{
		Prefix:  "order-",
		Retries: 5,    // hand a change over again after an error, with growing pauses
		Park:    true, // then put its aggregate aside, and go on with the others
	})
	err := mail.Run(ctx, func(ctx context.Context, change feed.Change) error {
		if change.Erased {
			fmt.Println("forget", change.AggregateID)
			return nil
		}
		fmt.Printf("%s, version %d: %s\n", change.AggregateID, change.Version, change.Content)
		if change.AggregateID == "order-2" {
			stop() // a real consumer stops when its process does
		}
		return nil
	})
	fmt.Println("stopped:", err)
	// Output:
	// order-1, version 0: opened
	// order-2, version 0: opened
	// stopped: <nil>
}
