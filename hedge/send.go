package hedge

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"ropewalk/changeset"
)

// answer is what came of one of two requests.
type answer[T any] struct {
	value  T
	err    error
	second bool
}

// send makes a request, and a second one if the first takes too long. It
// returns the first good answer, cancels the other request and waits for its end.
func send[T any](ctx context.Context, s *Store, l *latencies, refused func() bool, request func(context.Context) (T, error)) (T, error) {
	s.requests.Add(1)
	s.allowance.earn()
	began := time.Now()
	patience, ok := l.patience()
	if !ok || ctx.Err() != nil {
		v, err := request(ctx)
		l.add(time.Since(began), err)
		return v, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer[T], 2)
	attempt := func(second bool) {
		v, err := request(ctx)
		answers <- answer[T]{v, err, second}
	}
	go attempt(false)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case a := <-answers:
		l.add(time.Since(began), a.err)
		return a.value, a.err
	case <-timer.C:
	}
	if ctx.Err() != nil || !s.allowance.spend() {
		a := <-answers
		l.add(time.Since(began), a.err)
		return a.value, a.err
	}
	s.hedged.Add(1)
	go attempt(true)
	best := <-answers
	// However long the first would have taken, it has taken this long. Without
	// it the sample would seem to have no tail.
	l.add(time.Since(began), nil)
	if good(best.err) || refused() {
		cancel()
		<-answers
	} else if other := <-answers; good(other.err) || best.second {
		best = other // of two errors, the first request's
	}
	if best.second && best.err == nil {
		s.won.Add(1)
	}
	return best.value, best.err
}

// good reports whether an answer is conclusive: a second request would have the
// same answer.
func good(err error) bool {
	_, corrupt := errors.AsType[*changeset.CorruptError](err)
	return err == nil || corrupt || errors.Is(err, changeset.ErrNotFound) || errors.Is(err, changeset.ErrUnsupportedFormat)
}

const (
	window = 512 // of the latest latencies
	renew  = 32  // after so many the percentile is computed again
	saved  = 10  // hedges at most
)

// latencies holds the latencies of one kind of request.
type latencies struct {
	floor time.Duration
	least int

	mu      sync.Mutex
	samples []time.Duration // a ring
	next    int
	p95     time.Duration
}

// add keeps the latency of a request that was answered.
func (l *latencies) add(took time.Duration, err error) {
	if !good(err) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.samples) < window {
		l.samples = append(l.samples, took)
	} else {
		l.samples[l.next%window] = took
	}
	if l.next++; l.p95 == 0 && len(l.samples) >= l.least || l.next%renew == 0 {
		sorted := slices.Sorted(slices.Values(l.samples))
		l.p95 = max(1, sorted[len(sorted)*95/100])
	}
}

// patience returns how long to wait before a second request, false where too
// little is known.
func (l *latencies) patience() (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.p95, l.floor), len(l.samples) >= l.least
}

// allowance bounds the second requests to a share of all.
type allowance struct {
	share float64

	mu     sync.Mutex
	tokens float64
}

func (a *allowance) earn() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokens = min(a.tokens+a.share, saved)
}

func (a *allowance) spend() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tokens < 1 {
		return false
	}
	a.tokens--
	return true
}
