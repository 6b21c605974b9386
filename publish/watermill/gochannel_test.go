package watermill_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/stretchr/testify/require"

	"ropewalk/feed"
	"ropewalk/publish/watermill"
)

// From a store through Watermill's Go channel to a consumer that refuses each message
// once.
func TestGoChannel(t *testing.T) {
	s := newShop(t)
	for range 10 {
		s.write(2, "a", "b", "c")
	}
	channel := gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true}, nil)
	messages, err := channel.Subscribe(t.Context(), "orders")
	require.NoError(t, err)
	consumer := newConsumer(60)
	go consumer.consume(messages)

	r := s.start(s.feed().Subscription("orders", nil), watermill.New(channel, orders, nil).Handle)
	consumer.wait(t)
	require.NoError(t, r.stop())
	require.NoError(t, channel.Close())
	s.requireEachOnceInOrder(consumer.all())
}

// A closed publisher is an error, not a publication.
func TestClosedGoChannel(t *testing.T) {
	channel := gochannel.NewGoChannel(gochannel.Config{}, nil)
	require.NoError(t, channel.Close())
	err := watermill.New(channel, orders, nil).Handle(t.Context(), change("", "x"))
	require.ErrorContains(t, err, "closed")
}

// consumer refuses each message once, and then keeps it.
type consumer struct {
	broker
	refused map[string]bool
	want    int
	done    chan struct{}
	once    sync.Once
}

func newConsumer(want int) *consumer {
	return &consumer{refused: map[string]bool{}, want: want, done: make(chan struct{})}
}

func (c *consumer) consume(messages <-chan *message.Message) {
	for m := range messages {
		if !c.refused[m.UUID] {
			c.refused[m.UUID] = true
			m.Nack()
			continue
		}
		c.keep("", m)
		m.Ack()
		if len(c.all()) == c.want {
			c.once.Do(func() { close(c.done) })
		}
	}
}

func (c *consumer) wait(t *testing.T) {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(30 * time.Second):
		require.Fail(t, "not everything came", c.seen())
	}
}

// A consumer that is slow holds up the subscription, and nothing is lost.
func TestSlowConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.write(1, "a", "b")
		channel := gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true}, nil)
		messages, err := channel.Subscribe(t.Context(), "orders")
		require.NoError(t, err)
		sub := s.feed().Subscription("orders", &feed.SubscriptionOptions{Retries: feed.Forever})
		r := s.start(sub, watermill.New(channel, orders, nil).Handle)
		first := <-messages
		time.Sleep(10 * time.Minute) // several timeouts
		require.True(t, statusOf(t, sub).Position.IsZero(), "nothing is handled")
		got := []kept{keptOf("", first)}
		first.Ack()
		for len(withoutRepetitions(got)) < 2 {
			m := <-messages
			got = append(got, keptOf("", m))
			m.Ack()
		}
		time.Sleep(time.Minute)
		s.requireEachOnceInOrder(withoutRepetitions(got))
		require.NoError(t, r.stop())
		require.NoError(t, channel.Close())
	})
}
