package feed_test

import (
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/finding"
)

// bare has no optional interface: its feed is a chain, and its source a listing.
type bare struct{ head.Store }

// shards is how many shards a stream has.
const shards = 2

// record is a change in a stream.
type record struct {
	aggregateID string
	head        head.Head
	at          time.Time
}

// streaming is a store of heads with a stream of all swaps, as a service would have
// it: in shards without an order between them, trimmed, and replaced.
type streaming struct {
	*memstore.Store
	mu      sync.Mutex
	number  int // of the stream
	records [shards][]record
	trimmed [shards]int
	pages   *rand.Rand
	reads   atomic.Int64 // of the stream
	lists   atomic.Int64 // of all heads
	broken  atomic.Bool  // the stream is disabled
	hollow  bool         // hints come without a record
}

// forgetRecords lets hints come without a record.
func (s *streaming) forgetRecords() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hollow = true
}

// streams hides what memstore has itself, and has a source.
type streams struct {
	head.Store
	*source
}

type source struct{ of *streaming }

func newStreaming(db *memstore.Store, seed uint64) (*streaming, head.Store) {
	s := &streaming{Store: db, number: int(seed) * 1000, pages: rand.New(rand.NewPCG(seed, 1))}
	return s, streams{recorded{s}, &source{s}}
}

// recorded writes each swap to the stream.
type recorded struct{ *streaming }

func (r recorded) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, err := r.Store.Swap(ctx, old, next)
	if err == nil {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(next.AggregateID))
		shard := hash.Sum32() % shards
		r.records[shard] = append(r.records[shard], record{next.AggregateID, h, time.Now()})
	}
	return h, err
}

func (r recorded) List(ctx context.Context, after string) iter.Seq2[head.Head, error] {
	r.lists.Add(1)
	return r.Store.List(ctx, after)
}

// trim loses the records of a shard that are older than a day, or all if asked.
func (s *streaming) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.records {
		s.trimmed[i] = len(s.records[i])
	}
}

// replace begins another stream.
func (s *streaming) replace() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number++
	s.records, s.trimmed = [shards][]record{}, [shards]int{}
}

// place is the cursor of a stream.
type place struct {
	Stream int
	At     [shards]int
}

func (*source) SourceName() string { return "stream" }

func (s *source) Hints(ctx context.Context, cursor []byte) iter.Seq2[head.Hints, error] {
	return func(yield func(head.Hints, error) bool) {
		at := place{Stream: -1}
		if cursor != nil {
			if err := json.Unmarshal(cursor, &at); err != nil {
				yield(head.Hints{}, err)
				return
			}
		}
		for {
			if s.of.broken.Load() {
				yield(head.Hints{}, &finding.SetupError{What: "the stream is disabled"})
				return
			}
			page, more := s.of.next(&at)
			if !yield(page, ctx.Err()) || ctx.Err() != nil {
				return
			}
			if !more {
				select {
				case <-ctx.Done():
				case <-time.After(250 * time.Millisecond):
				}
			}
		}
	}
}

// next returns a page from a place on, and moves the place.
func (s *streaming) next(at *place) (head.Hints, bool) {
	s.reads.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	lost := at.Stream != s.number
	for i, n := range at.At {
		lost = lost || n < s.trimmed[i]
	}
	var page head.Hints
	if lost {
		*at = place{s.number, s.trimmed}
		page.Lost = true
	} else {
		i := s.pages.IntN(shards)
		n := min(len(s.records[i]), at.At[i]+1+s.pages.IntN(4))
		for _, r := range s.records[i][at.At[i]:n] {
			h := head.Hint{AggregateID: r.aggregateID, Since: r.at}
			if s.pages.IntN(3) > 0 && !s.hollow {
				h.Head = r.head
			}
			page.Hints = append(page.Hints, h)
		}
		at.At[i] = n
	}
	more := false
	for i := range at.At {
		more = more || at.At[i] < len(s.records[i])
	}
	page.CaughtUp = !more
	page.Cursor, _ = json.Marshal(at)
	return page, more
}

// chaos makes requests fail: before they take effect, after that, or so that they
// take effect later.
type chaos struct {
	mu     sync.Mutex
	random *rand.Rand
	rate   float64 // of requests that fail
	black  bool    // all fail
	late   sync.WaitGroup
}

var errChaos = errors.New("no answer")

type fate int

const (
	fine fate = iota
	dropped
	lost
	late
	refused
)

func (c *chaos) fate() (fate, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pause := time.Duration(c.random.IntN(20)) * time.Millisecond
	if c.random.Float64() >= c.rate && !c.black {
		return fine, pause
	}
	return dropped + fate(c.random.IntN(4)), pause
}

func (c *chaos) set(rate float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rate, c.black = rate, false
}

// blackouts lets all requests fail from time to time, for longer than an append
// waits for its outcome.
func (c *chaos) blackouts(ctx context.Context) {
	for ctx.Err() == nil {
		c.mu.Lock()
		c.black = !c.black && c.rate > 0
		pause := time.Duration(c.random.IntN(5_000)) * time.Millisecond
		c.mu.Unlock()
		_ = sleep(ctx, pause)
	}
}

// chaoticHeads are heads whose requests fail.
type chaoticHeads struct {
	head.PassThrough
	*chaos
}

func (h chaoticHeads) Load(ctx context.Context, aggregateID string) (head.Head, error) {
	f, pause := h.fate()
	time.Sleep(pause)
	if f != fine {
		return head.Head{}, errChaos
	}
	return h.PassThrough.Load(ctx, aggregateID)
}

func (h chaoticHeads) Refresh(ctx context.Context, seen head.Head) (head.Head, error) {
	return h.Load(ctx, seen.AggregateID)
}

func (h chaoticHeads) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	f, pause := h.fate()
	time.Sleep(pause)
	switch f {
	case dropped:
		return head.Head{}, errChaos
	case lost:
		_, err := h.PassThrough.Swap(ctx, old, next)
		return head.Head{}, errors.Join(errChaos, err)
	case late:
		h.late.Go(func() {
			time.Sleep(100 * pause)
			_, _ = h.PassThrough.Swap(context.WithoutCancel(ctx), old, next)
		})
		return head.Head{}, errChaos
	case refused:
		return head.Head{}, &head.NotAppliedError{Retryable: true, Err: errChaos}
	}
	return h.PassThrough.Swap(ctx, old, next)
}

// List is slow, so that batches are appended while a sweep is under way.
func (h chaoticHeads) List(ctx context.Context, after string) iter.Seq2[head.Head, error] {
	return func(yield func(head.Head, error) bool) {
		for at, err := range h.PassThrough.List(ctx, after) {
			f, pause := h.fate()
			time.Sleep(10 * pause)
			if f == dropped && err == nil {
				at, err = head.Head{}, errChaos
			}
			if !yield(at, err) || err != nil {
				return
			}
		}
	}
}

func (h chaoticHeads) Hints(ctx context.Context, cursor []byte) iter.Seq2[head.Hints, error] {
	return func(yield func(head.Hints, error) bool) {
		for p, err := range h.PassThrough.Hints(ctx, cursor) {
			if f, _ := h.fate(); f == dropped && err == nil {
				p, err = head.Hints{}, errChaos
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// chaoticObjects are changesets whose requests fail.
type chaoticObjects struct {
	changeset.PassThrough
	*chaos
}

func (o chaoticObjects) Put(ctx context.Context, c changeset.Changeset) error {
	f, pause := o.fate()
	time.Sleep(pause)
	switch f {
	case dropped, refused:
		return errChaos
	case lost, late:
		return errors.Join(errChaos, o.PassThrough.Put(ctx, c))
	}
	return o.PassThrough.Put(ctx, c)
}

func (o chaoticObjects) Get(ctx context.Context, ref changeset.Ref, admit changeset.Admission) (changeset.Changeset, error) {
	if f, _ := o.fate(); f != fine {
		return changeset.Changeset{}, errChaos
	}
	return o.PassThrough.Get(ctx, ref, admit)
}
