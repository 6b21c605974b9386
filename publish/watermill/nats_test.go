package watermill_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"ropewalk/faults"
	"ropewalk/feed"
	"ropewalk/publish/watermill"
)

// natsServer is a NATS server in this process, with a JetStream stream of the subject
// orders.
type natsServer struct {
	*server.Server
	options server.Options
	stream  jetstream.Stream
}

var reconnecting = []nats.Option{nats.ReconnectWait(20 * time.Millisecond), nats.MaxReconnects(-1)}

func startNATS(t *testing.T) *natsServer {
	t.Helper()
	s := &natsServer{options: server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true}}
	s.start(t)
	t.Cleanup(s.stop)
	js, err := jetstream.New(s.connect(t))
	require.NoError(t, err)
	s.stream, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}, Duplicates: 2 * time.Minute})
	require.NoError(t, err)
	return s
}

// start starts the server, after a stop at the same address with the same streams.
func (s *natsServer) start(t *testing.T) {
	t.Helper()
	options := s.options // the server modifies them
	var err error
	s.Server, err = server.NewServer(&options)
	require.NoError(t, err)
	s.Start()
	require.True(t, s.ReadyForConnections(20*time.Second))
	s.options.Port = s.Addr().(*net.TCPAddr).Port
}

func (s *natsServer) stop() {
	s.Shutdown()
	s.WaitForShutdown()
}

func (s *natsServer) connect(t *testing.T) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(s.ClientURL(), reconnecting...)
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

// publisher returns Watermill's publisher for JetStream. With track, the UUID of a
// message is the ID by which JetStream leaves out repetitions. It waits so long for an
// answer.
func (s *natsServer) publisher(t *testing.T, track bool, wait time.Duration) message.Publisher {
	t.Helper()
	publisher, err := wmnats.NewPublisher(wmnats.PublisherConfig{
		URL:         s.ClientURL(),
		NatsOptions: reconnecting,
		JetStream:   wmnats.JetStreamConfig{TrackMsgId: track, ConnectOptions: []nats.JSOpt{nats.MaxWait(wait)}},
	}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = publisher.Close() })
	return publisher
}

// read returns all messages of the stream, as Watermill's consumers get them.
func (s *natsServer) read(t *testing.T) (stored []kept) {
	t.Helper()
	info, err := s.stream.Info(t.Context())
	require.NoError(t, err)
	consumer, err := s.stream.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{})
	require.NoError(t, err)
	for range info.State.Msgs {
		got, err := consumer.Next(jetstream.FetchMaxWait(10 * time.Second))
		require.NoError(t, err)
		m, err := (&wmnats.NATSMarshaler{}).Unmarshal(&nats.Msg{Subject: got.Subject(), Header: got.Headers(), Data: got.Data()})
		require.NoError(t, err)
		require.Equal(t, `{"n":1}`, string(m.Payload))
		stored = append(stored, keptOf(got.Subject(), m))
	}
	return stored
}

// From a store through a subscription and JetStream to a consumer, while processes
// die between a publish and the save of the checkpoint, and two of them compete. Each
// message is stored at least once; with the UUID as the message ID, exactly once.
func TestNATS(t *testing.T) {
	for _, track := range []bool{true, false} {
		t.Run(fmt.Sprint("dedupe ", track), func(t *testing.T) {
			jetStream, s := startNATS(t), newShop(t)
			publisher := &counting{Publisher: jetStream.publisher(t, track, time.Minute)}
			for i := range 60 {
				s.write(1+i%3, fmt.Sprint("order-", i%7))
			}
			for i := range 4 {
				s.killed(publisher, 9+i)
			}
			live := []*running{s.live(publisher, 4), s.live(publisher, 4)}
			s.waitForCheckpoint()
			for _, r := range live {
				require.NoError(t, r.stop())
			}
			stored := jetStream.read(t)
			require.Greater(t, publisher.published(), 120, "some messages were published again")
			if track {
				s.requireEachOnceInOrder(stored)
			} else {
				require.Len(t, stored, publisher.published(), "JetStream leaves nothing out")
			}
			s.requireEachOnceInOrder(withoutRepetitions(stored))
		})
	}
}

// While the server is down, publishes fail and nothing is handled. Nothing is lost.
func TestNATSIsDownForAWhile(t *testing.T) {
	jetStream, s := startNATS(t), newShop(t)
	publisher := &counting{Publisher: jetStream.publisher(t, true, 200*time.Millisecond)}
	s.write(1, "a", "b")
	r := s.live(publisher, 1)
	s.waitForCheckpoint()
	reached := statusOf(t, s.feed().Subscription("orders", nil)).Position

	jetStream.stop()
	s.write(1, "a", "b")
	require.Eventually(t, func() bool { return publisher.failures() > 1 }, 30*time.Second, 20*time.Millisecond)
	require.Equal(t, reached, statusOf(t, s.feed().Subscription("orders", nil)).Position)
	jetStream.start(t)
	s.waitForCheckpoint()
	require.NoError(t, r.stop())
	s.requireEachOnceInOrder(jetStream.read(t))
}

// killed runs a process that dies after it has published so many messages.
func (s *shop) killed(publisher *counting, after int) {
	var script faults.Script
	publisher.dieAfter(after, func() {
		script.Every(faults.Swap, faults.Fault{Kind: faults.Refused, Err: errors.New("killed")})
	})
	sub := s.process(&script).Subscription("orders", &feed.SubscriptionOptions{Window: 8, Standby: standby})
	err := sub.Run(s.t.Context(), watermill.New(publisher, orders, nil).Handle)
	require.ErrorContains(s.t, err, "killed")
}

// standby is short, so that a dead process is soon replaced.
const standby = 500 * time.Millisecond

// live runs a process that begins again after it was replaced, as it may be if the
// machine is busy.
func (s *shop) live(publisher message.Publisher, parallel int) *running {
	sub := s.feed().Subscription("orders", &feed.SubscriptionOptions{
		Parallel: parallel, Retries: feed.Forever, RetryPause: time.Second, SaveEvery: 50 * time.Millisecond, Standby: standby,
	})
	sender := watermill.New(publisher, orders, nil)
	return start(s.t, func(ctx context.Context) error {
		for {
			err := sub.Run(ctx, sender.Handle)
			if !errors.Is(err, feed.ErrReplaced) {
				return err
			}
		}
	})
}

// waitForCheckpoint waits until the checkpoint is at the end of the feed.
func (s *shop) waitForCheckpoint() {
	s.t.Helper()
	end, err := s.feed().End(s.t.Context())
	require.NoError(s.t, err)
	sub := s.feed().Subscription("orders", nil)
	require.Eventually(s.t, func() bool {
		status, err := sub.Status(s.t.Context())
		return err == nil && status.Position == end
	}, 30*time.Second, 20*time.Millisecond)
}

// counting is a publisher that counts messages and failed calls. It calls a function
// after some messages.
type counting struct {
	message.Publisher

	mu     sync.Mutex
	count  int
	failed int
	left   int
	die    func()
}

func (c *counting) dieAfter(n int, die func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.die = n, die
}

func (c *counting) Publish(topic string, messages ...*message.Message) error {
	err := c.Publisher.Publish(topic, messages...)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count += len(messages)
	if err != nil {
		c.failed++
	}
	if before := c.left; before > 0 {
		if c.left -= len(messages); c.left <= 0 {
			c.die()
		}
	}
	return err
}

func (c *counting) published() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

func (c *counting) failures() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}
