package watermill_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"

	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/feed"
	"ropewalk/publish/watermill"
)

// publish publishes the changes of a store to JetStream until the context ends.
func publish(ctx context.Context, store *ropewalk.Store, url string) error {
	publisher, err := wmnats.NewPublisher(wmnats.PublisherConfig{
		URL:       url,
		JetStream: wmnats.JetStreamConfig{TrackMsgId: true}, // the UUID is the Nats-Msg-Id
	}, nil)
	if err != nil {
		return err
	}
	defer publisher.Close()
	sender := watermill.New(publisher, watermill.Topic("orders"), nil)
	orders := feed.Open(store, nil).Subscription("orders-to-nats", &feed.SubscriptionOptions{
		Prefix:   "order-",
		Retries:  feed.Forever, // while the broker is down
		Parallel: 16,           // messages of different aggregates at the same time
	})
	return orders.Run(ctx, sender.Handle)
}

// topics has a topic for each type of event. Erasures go to all of them.
func topics(change feed.Change, m *message.Message) []string {
	switch event := m.Metadata.Get(watermill.Type); {
	case change.Erased:
		return []string{"orders.placed", "orders.paid"}
	case event == "placed" || event == "paid":
		return []string{"orders." + event}
	}
	return nil // the other types are not published
}

// mail follows a feed by a router of Watermill, without a broker.
func mail(ctx context.Context, store *ropewalk.Store, send message.NoPublishHandlerFunc) error {
	router, err := message.NewRouter(message.RouterConfig{}, nil)
	if err != nil {
		return err
	}
	subscriber := watermill.NewSubscriber(feed.Open(store, nil), &watermill.SubscriberOptions{
		Subscription: feed.SubscriptionOptions{Retries: 5, Park: true},
		Logger:       slog.Default(),
	})
	router.AddConsumerHandler("mail", "mail", subscriber, send) // the topic is the name of the subscription
	if err := router.Run(ctx); err != nil {
		return err
	}
	return subscriber.Close() // why it has ended, if the context has not
}

var _ = []any{publish, mail}

// Changes of a store become messages of Watermill, here for its Go channel.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	db := memstore.New()
	store := ropewalk.New(db, db, nil)
	_, err := store.Chain("order-1").Create(ctx, ropewalk.Draft{
		ContentType: aggregate.ContentType,
		Content:     []byte(`{"type":"placed","data":{"cents":995}}` + "\n" + `{"type":"audited","data":1}` + "\n" + `{"type":"paid","data":{"cents":995}}` + "\n"),
	})
	if err != nil {
		log.Fatal(err)
	}

	channel := gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true}, nil)
	paid, err := channel.Subscribe(ctx, "orders.paid")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for m := range paid {
			fmt.Printf("%s %s: %s\n", m.Metadata.Get(watermill.Aggregate), m.Metadata.Get(watermill.Type), m.Payload)
			m.Ack()
			stop() // a real program stops when its process does
		}
	}()
	sender := watermill.New(channel, topics, nil)
	err = feed.Open(store, nil).Subscription("orders", nil).Run(ctx, sender.Handle)
	fmt.Println("stopped:", err)
	// Output:
	// order-1 paid: {"cents":995}
	// stopped: <nil>
}
