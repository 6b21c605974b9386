// Package watermill connects a feed to the Publishers and Subscribers of Watermill
// (github.com/ThreeDotsLabs/watermill), and by them to Kafka, NATS, SNS, SQS, AMQP and
// other brokers.
//
//	sender := watermill.New(publisher, watermill.Topic("orders"), nil)
//	err := f.Subscription("orders-to-kafka", nil).Run(ctx, sender.Handle)
//
// A [Sender] makes messages of the changes, see [Form.Messages], and publishes them.
// Its subscription decides what happens if a publisher fails. A change is handled when
// the publisher has accepted all of its messages. So the publisher must be set up to
// return only after the broker has stored them.
//
// Delivery is at least once, and in order for each aggregate. The messages of a change
// have the same UUIDs however often they are published, so that a broker or a consumer
// can leave out those that it has. The order reaches the consumer if all messages of
// an aggregate have the same key, see [Key] and [FIFO].
//
// A [Subscriber] is the other way to use Watermill: it hands the changes of a feed to
// a router without a broker between them.
package watermill

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"ropewalk/feed"
)

// Topics returns the topics that a message of a change is published to. Without
// topics the message is not published. It is called again if the change is handed
// over again, and must return the same topics.
//
// Erasures should go to every topic that messages of the aggregate may have gone to.
type Topics func(change feed.Change, m *message.Message) []string

// Topic returns the Topics of a sender that publishes all messages to one topic.
func Topic(name string) Topics {
	return func(feed.Change, *message.Message) []string { return []string{name} }
}

// Options are the settings of a [Sender]. Zero values stand for the defaults.
type Options struct {
	// Form decides which messages are made of a change.
	Form Form
	// Timeout is how long a call of [Sender.Handle] or [Sender.HandleBatch] may take;
	// 1 minute by default. The contexts of the messages end then, too.
	Timeout time.Duration
}

func (o *Options) withDefaults() Options {
	out := *cmp.Or(o, &Options{})
	out.Timeout = cmp.Or(max(out.Timeout, 0), time.Minute)
	return out
}

// Sender publishes the changes of a feed. Several subscriptions may share it. It is
// safe for concurrent use, and needs no closing.
type Sender struct {
	publisher message.Publisher
	topics    Topics
	options   Options
	turns     turns
}

// New returns a sender. It does no I/O, and never closes the publisher. Nil options
// stand for the defaults.
func New(publisher message.Publisher, topics Topics, options *Options) *Sender {
	return &Sender{publisher: publisher, topics: topics, options: options.withDefaults()}
}

// Handle publishes the messages of a change, and returns nil after the publisher has
// accepted all of them. It is a [feed.Handler].
//
// Its error is the error of the publisher, a [*feed.PanicError] if the publisher
// panicked, or says which event cannot be published. It matches
// [context.DeadlineExceeded] if the publisher has not returned within
// [Options.Timeout]. A publisher that ignores the contexts of messages may still be at
// work then; until it returns, all calls for the same aggregate wait, so that nothing
// is published out of order.
//
// If the change is handed over again, all of its messages are published again.
func (s *Sender) Handle(ctx context.Context, change feed.Change) error {
	return s.HandleBatch(ctx, []feed.Change{change})
}

// HandleBatch is [Sender.Handle] for several changes: all messages for one topic are
// published by one call of the publisher. It is a [feed.BatchHandler]. It helps
// with a publisher that sends the messages of a call together. Watermill's publishers
// for Kafka, NATS, SNS and SQS send them one after another.
func (s *Sender) HandleBatch(ctx context.Context, changes []feed.Change) error {
	parcels, err := s.parcels(changes)
	if err != nil || len(parcels) == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	release, err := s.turns.take(ctx, aggregates(changes))
	if err != nil {
		return fmt.Errorf("the publisher is still at work on earlier messages of the aggregate: %w", err)
	}
	published := make(chan error, 1)
	go s.publish(ctx, parcels, func(err error) {
		release()
		published <- err
	})
	select {
	case err := <-published:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the publisher has not returned in time: %w", ctx.Err())
	}
}

// aggregates returns the IDs of the aggregates of changes, each once.
func aggregates(changes []feed.Change) (ids []string) {
	for _, c := range changes {
		ids = append(ids, c.AggregateID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
