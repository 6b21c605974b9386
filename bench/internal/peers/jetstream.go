package peers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// JetStream is an event store in a NATS server within the process: one stream,
// a subject for each aggregate, synced to the disk at every message.
type JetStream struct {
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream

	mu     sync.Mutex
	newest map[string]uint64 // sequence number of each subject's newest message
}

// OpenJetStream starts the server over the folder. Only this process reaches it.
func OpenJetStream(ctx context.Context, folder string) (*JetStream, error) {
	s, err := server.NewServer(&server.Options{JetStream: true, StoreDir: folder, SyncAlways: true, DontListen: true, NoLog: true, NoSigs: true})
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		s.Shutdown()
		return nil, errors.New("the NATS server does not start")
	}
	j := &JetStream{server: s, newest: map[string]uint64{}}
	if err := j.connect(ctx); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return j, nil
}

func (j *JetStream) connect(ctx context.Context) (err error) {
	if j.conn, err = nats.Connect("", nats.InProcessServer(j.server)); err != nil {
		return err
	}
	if j.js, err = jetstream.New(j.conn); err != nil {
		return err
	}
	j.stream, err = j.js.CreateStream(ctx, jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.*"}, Storage: jetstream.FileStorage})
	return err
}

// Append publishes an event, if the aggregate's newest one is still that which
// was appended before, and waits for the server's word that it is stored. The
// version is the caller's count; JetStream's own condition is its sequence number.
func (j *JetStream) Append(ctx context.Context, aggregateID string, _ uint64, event []byte) error {
	j.mu.Lock()
	last := j.newest[aggregateID]
	j.mu.Unlock()
	ack, err := j.js.Publish(ctx, "events."+aggregateID, event, jetstream.WithExpectLastSequencePerSubject(last))
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.newest[aggregateID] = ack.Sequence
	return nil
}

// Read reads all events of an aggregate by an ordered consumer.
func (j *JetStream) Read(ctx context.Context, aggregateID string) (n int, err error) {
	info, err := j.stream.Info(ctx, jetstream.WithSubjectFilter("events."+aggregateID))
	if err != nil {
		return 0, err
	}
	total := int(info.State.Subjects["events."+aggregateID])
	consumer, err := j.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"events." + aggregateID}})
	if err != nil {
		return 0, err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(1000))
	if err != nil {
		return 0, err
	}
	defer messages.Stop()
	for ; n < total; n++ {
		if _, err := messages.Next(); err != nil {
			return n, fmt.Errorf("message %d of %d: %w", n, total, err)
		}
	}
	return n, nil
}

// Close ends the server.
func (j *JetStream) Close() error {
	if j.conn != nil {
		j.conn.Close()
	}
	j.server.Shutdown()
	j.server.WaitForShutdown()
	return nil
}
