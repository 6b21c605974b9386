package feed

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// ledger is what a run has done: which changes are under way, up to where all
// changes are finished, and which aggregates are parked. One lock guards all of
// it, so that a saved checkpoint and its list of parked aggregates belong together.
type ledger struct {
	options *SubscriptionOptions
	limit   int           // the largest number of changes beyond the position
	urgent  chan struct{} // has an item if a save must not wait
	first   chan struct{} // has an item if there is something to save, first after a save

	mu       sync.Mutex
	news     chan struct{} // closed and replaced when there is room, or less to do
	position Position      // all changes up to here are finished
	tail     Position      // all changes up to here were begun
	steps    []*step       // between position and tail, in the order of the feed
	changes  int           // how many changes the steps have
	bytes    int64         // the size of the contents that are not finished
	parked   map[string]*parking
	replay   bool // parked aggregates are to be replayed
	// interrupt ends the reading of the feed for a replay; nil before it begins.
	interrupt context.CancelCauseFunc
	handed    int // how many changes were handed over since the last save
	touched   time.Time
	saved     time.Time // when the last successful save began
}

// step is a part of the feed that was begun: one change, or a part without changes
// for the handler.
type step struct {
	position Position
	changes  int
	finished bool
}

// parking is a parked aggregate, and how a replay of it goes.
type parking struct {
	Parked
	failed bool // a change was not handled: no later change may be
	erased bool // the erasure was delivered: nothing can follow
}

// job is a change to hand over.
type job struct {
	Change
	before Position
	step   *step
	replay bool
}

func newLedger(options *SubscriptionOptions, limit int, r record, now time.Time) *ledger {
	l := &ledger{
		options: options, limit: limit,
		urgent: make(chan struct{}, 1), first: make(chan struct{}, 1), news: make(chan struct{}),
		position: r.position, tail: r.position, replay: r.replay, saved: now,
		parked: map[string]*parking{},
	}
	for id, parked := range r.parked {
		l.parked[id] = &parking{Parked: parked}
	}
	return l
}

// begin waits for room, and begins a change at a position.
func (l *ledger) begin(ctx context.Context, c Change, at Position, replay bool) (job, error) {
	size := int64(len(c.Content))
	room := func() bool { return l.changes < l.limit && (l.bytes == 0 || l.bytes+size <= maxBytes) }
	if err := l.await(ctx, room, nil); err != nil {
		return job{}, err
	}
	defer l.mu.Unlock()
	j := job{c, l.tail, &step{position: at, changes: 1}, replay}
	l.steps = append(l.steps, j.step)
	l.tail = at
	l.changes++
	l.bytes += size
	return j, nil
}

// await returns, with the lock, when the condition holds. Before each wait it
// calls need.
func (l *ledger) await(ctx context.Context, condition func() bool, need func()) error {
	for {
		l.mu.Lock()
		if ctx.Err() == nil && condition() {
			return nil
		}
		news := l.news
		l.mu.Unlock()
		if need != nil {
			need()
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// publish wakes up everything that waits. It needs the lock.
func (l *ledger) publish() {
	close(l.news)
	l.news = make(chan struct{})
}

// skip passes a part of the feed without changes for the handler.
func (l *ledger) skip(at Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = at
	if n := len(l.steps); n > 0 && l.steps[n-1].finished {
		l.steps[n-1].position = at
		return
	}
	l.steps = append(l.steps, &step{position: at, finished: true})
	l.advance()
}

// finish says that a change needs no more work: it was handled, or its aggregate
// is parked. It needs the lock.
func (l *ledger) finish(j job) {
	j.step.finished = true
	l.bytes -= int64(len(j.Content))
	l.advance()
	l.publish()
}

// advance moves the position up to the lowest position that is not finished. It
// needs the lock.
func (l *ledger) advance() {
	for len(l.steps) > 0 && l.steps[0].finished {
		l.position = l.steps[0].position
		l.changes -= l.steps[0].changes
		l.steps = l.steps[1:]
	}
}

// due returns the jobs that are to be handed over, and finishes the others: changes
// of parked aggregates, except if they are replayed.
func (l *ledger) due(jobs []job) []job {
	l.mu.Lock()
	defer l.mu.Unlock()
	due := make([]job, 0, len(jobs))
	for _, j := range jobs {
		parking, parked := l.parked[j.AggregateID]
		if parked != j.replay || parked && (parking.failed || parking.erased) {
			l.finish(j)
			continue
		}
		due = append(due, j)
	}
	return due
}

// admit waits until changes may be handed over without a save, and returns how
// many of n may. If no save has succeeded for the time of standby, none may:
// another consumer may be the owner by now.
func (l *ledger) admit(ctx context.Context, n int) (int, error) {
	room := func() bool {
		return l.handed < l.options.Window && time.Since(l.saved) < l.options.Standby
	}
	if err := l.await(ctx, room, func() { signal(l.urgent) }); err != nil {
		return 0, err
	}
	defer l.mu.Unlock()
	n = min(n, l.options.Window-l.handed)
	l.handed += n
	l.touch()
	return n, nil
}

// touch says that there is something to save. It needs the lock.
func (l *ledger) touch() {
	if l.touched.IsZero() {
		l.touched = time.Now()
		signal(l.first)
	}
}

// handled says that changes were handled.
func (l *ledger) handled(jobs []job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, j := range jobs {
		if j.replay {
			parking := l.parked[j.AggregateID]
			parking.Position, parking.Version, parking.erased = j.Position, j.Version+1, j.Erased
		}
		l.finish(j)
	}
}

// park parks the aggregate of a change that was not handled. The change counts as
// finished in the same moment.
func (l *ledger) park(j job, reason string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	parked := l.parked[j.AggregateID]
	switch {
	case parked != nil:
		parked.Version, parked.Reason, parked.failed = j.Version, reason, true
	case len(l.parked) >= l.options.MaxParked:
		return fmt.Errorf("%w: %d, and %s was not handled", ErrTooManyParked, len(l.parked), j.Ref)
	default:
		l.parked[j.AggregateID] = &parking{Parked: Parked{j.AggregateID, j.Version, j.before, reason}}
	}
	l.finish(j)
	return nil
}

// isParked reports whether the aggregate is parked.
func (l *ledger) isParked(aggregateID string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parked[aggregateID] != nil
}

// saving returns the state to save, and how many changes were handed over before.
func (l *ledger) saving() (checkpoint, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := checkpoint{position: l.position, replay: l.replay, parked: make(map[string]Parked, len(l.parked))}
	for id, parking := range l.parked {
		c.parked[id] = parking.Parked
	}
	l.touched = time.Time{}
	return c, l.handed
}

// untilSave returns how long the next save can wait.
func (l *ledger) untilSave() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.saved.Add(l.options.Standby / beats)
	if due := l.touched.Add(l.options.SaveEvery); !l.touched.IsZero() && due.Before(at) {
		at = due
	}
	return time.Until(at)
}

// savedAt says that a save has succeeded that began at a time, after so many of the
// changes were handed over.
func (l *ledger) savedAt(began time.Time, handed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.urgent: // this save was the save that was asked for, or a wait asks again
	default:
	}
	l.saved = began
	l.handed -= handed
	l.publish()
}

// signal puts an item into a channel of one item, unless it has one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// maxBytes is the largest size of the contents of the changes that wait for their
// handlers, except for a single larger one.
const maxBytes = 64 << 20
