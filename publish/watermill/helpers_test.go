package watermill_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/faults"
	"ropewalk/feed"
	"ropewalk/gc"
	"ropewalk/publish/watermill"
)

// shop is a store whose changes are published.
type shop struct {
	t     *testing.T
	db    *memstore.Store
	store *ropewalk.Store
	heads map[string]ropewalk.Head
	wrote map[string]int // of each aggregate, the messages that its changesets make
}

func newShop(t *testing.T) *shop {
	db := memstore.New()
	return &shop{t: t, db: db, store: ropewalk.New(db, db, nil), heads: map[string]ropewalk.Head{}, wrote: map[string]int{}}
}

// writer returns the store that an aggregate is written to: every second aggregate is
// packed, so that its changesets are in the head, or share objects.
func (s *shop) writer(id string) *ropewalk.Store {
	if id[len(id)-1]%2 == 0 {
		return s.store
	}
	return ropewalk.New(s.db, faults.TwoSteps(s.db), &ropewalk.Options{Packed: true, TipSize: 600})
}

// write appends a changeset of so many events to each of the aggregates.
func (s *shop) write(events int, ids ...string) {
	s.t.Helper()
	for _, id := range ids {
		s.append(id, aggregate.ContentType, strings.Repeat(`{"type":"added","data":{"n":1}}`+"\n", events))
		s.wrote[id] += events
	}
}

func (s *shop) append(id, contentType, content string) {
	s.t.Helper()
	h, err := s.writer(id).Chain(id).Append(s.t.Context(), s.heads[id], ropewalk.Draft{ContentType: contentType, Content: []byte(content)})
	require.NoError(s.t, err)
	s.heads[id] = h
}

func (s *shop) erase(id string) {
	s.t.Helper()
	_, err := gc.New(s.db, s.db, &gc.Options{Delete: true}).Erase(s.t.Context(), id)
	require.NoError(s.t, err)
}

func (s *shop) feed() *feed.Feed { return feed.Open(s.store, nil) }

// process returns the feed as another process sees it, whose requests fail by a
// script.
func (s *shop) process(script *faults.Script) *feed.Feed {
	return feed.Open(ropewalk.New(script.Changesets(s.db), script.Heads(s.db), nil), nil)
}

// running is a run of a subscription.
type running struct {
	cancel context.CancelFunc
	done   chan error
}

func start(t *testing.T, run func(context.Context) error) *running {
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{cancel, make(chan error, 1)}
	go func() { r.done <- run(ctx) }()
	t.Cleanup(cancel)
	return r
}

func (s *shop) start(sub *feed.Subscription, handler feed.Handler) *running {
	return start(s.t, func(ctx context.Context) error { return sub.Run(ctx, handler) })
}

// stop ends the run gracefully and returns its error.
func (r *running) stop() error {
	r.cancel()
	return <-r.done
}

func statusOf(t *testing.T, s *feed.Subscription) feed.SubscriptionStatus {
	t.Helper()
	status, err := s.Status(t.Context())
	require.NoError(t, err)
	return status
}

// broker is a publisher that keeps the messages it accepts.
type broker struct {
	// misbehave, if not nil, is called instead of keeping the messages. Calls are
	// numbered from 1.
	misbehave func(call int, topic string, messages []*message.Message) error

	mu    sync.Mutex
	calls int
	kept  []kept
}

// kept is a message that a broker has kept.
type kept struct {
	topic, uuid, aggregate string
	version, index         int
	erased                 bool
}

func (b *broker) Publish(topic string, messages ...*message.Message) error {
	b.mu.Lock()
	b.calls++
	call := b.calls
	b.mu.Unlock()
	if b.misbehave != nil {
		return b.misbehave(call, topic, messages)
	}
	b.keep(topic, messages...)
	return nil
}

func (*broker) Close() error { panic("a sender does not close its publisher") }

func (b *broker) keep(topic string, messages ...*message.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range messages {
		b.kept = append(b.kept, keptOf(topic, m))
	}
}

func keptOf(topic string, m *message.Message) kept {
	k := kept{topic: topic, uuid: m.UUID, aggregate: m.Metadata.Get(watermill.Aggregate), erased: m.Metadata.Get(watermill.Erased) == "true"}
	_, _ = fmt.Sscan(m.Metadata.Get(watermill.Version), &k.version)
	_, _ = fmt.Sscan(m.Metadata.Get(watermill.Index), &k.index)
	return k
}

// called returns how often the broker was called.
func (b *broker) called() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

func (b *broker) all() []kept {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]kept(nil), b.kept...)
}

// seen returns what was kept, in order: "a0.1" is event 1 of version 0, "a!" an
// erasure.
func (b *broker) seen() string { return strings.Join(names(b.all()), " ") }

func names(all []kept) (out []string) {
	for _, k := range all {
		out = append(out, k.String())
	}
	return out
}

func (k kept) String() string {
	if k.erased {
		return k.aggregate + "!"
	}
	return fmt.Sprintf("%s%d.%d", k.aggregate, k.version, k.index)
}

// requireEachOnceInOrder requires that all messages that the shop has written were
// kept, without repetitions, and the messages of each aggregate in order.
func (s *shop) requireEachOnceInOrder(all []kept) {
	s.t.Helper()
	last, count := map[string]kept{}, map[string]int{}
	for _, k := range all {
		before, known := last[k.aggregate]
		inOrder := !known || before.version < k.version && k.index == 0 || before.version == k.version && before.index+1 == k.index
		require.True(s.t, inOrder, "%s after %s", k, before)
		last[k.aggregate] = k
		count[k.aggregate]++
	}
	require.Equal(s.t, s.wrote, count)
}

// withoutRepetitions returns the first message of each UUID, as a consumer sees them
// that leaves out the UUIDs that it has seen.
func withoutRepetitions(all []kept) (first []kept) {
	seen := map[string]bool{}
	for _, k := range all {
		if !seen[k.uuid] {
			first = append(first, k)
		}
		seen[k.uuid] = true
	}
	return first
}

var recordedAt = time.Date(2026, 11, 28, 10, 2, 11, 123456789, time.UTC)

// change is version 7 of an order.
func change(contentType, content string) feed.Change {
	ref, err := ropewalk.ParseRef("order-1@7.0199a0b2-0000-7000-8000-000000000001")
	if err != nil {
		panic(err)
	}
	position, err := feed.ParsePosition("l.0123456789abcdef.42.0011223344556677.7")
	if err != nil {
		panic(err)
	}
	return feed.Change{Position: position, Changeset: ropewalk.Changeset{
		Header:  ropewalk.Header{Ref: ref, ContentType: contentType, RecordedAt: recordedAt},
		Content: []byte(content),
	}}
}
