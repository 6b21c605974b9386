// Package pause spaces out the tries of one operation: exponentially, with
// jitter, so that many callers who failed together do not try again together.
package pause

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	first   = 20 * time.Millisecond
	longest = 2 * time.Second
)

// Pauses are the pauses between the tries of one operation. They are not safe
// for concurrent use.
type Pauses struct{ backoff backoff.ExponentialBackOff }

// Option is a setting of [New].
type Option func(*Pauses)

// Max sets the longest pause before jitter, 2 seconds by default. Jitter makes
// a pause up to half as long again.
func Max(d time.Duration) Option {
	return func(p *Pauses) { p.backoff.MaxInterval = d }
}

// First sets the first pause before jitter, 20 milliseconds by default.
func First(d time.Duration) Option {
	return func(p *Pauses) { p.backoff.InitialInterval = d }
}

// New returns pauses that begin at 20 milliseconds and grow by half each time.
func New(options ...Option) *Pauses {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = first, longest
	p := &Pauses{*b}
	for _, option := range options {
		option(p)
	}
	p.backoff.InitialInterval = min(p.backoff.InitialInterval, p.backoff.MaxInterval)
	p.backoff.Reset()
	return p
}

// Wait sleeps until the next try. It returns the context's error if the
// context ends first.
func (p *Pauses) Wait(ctx context.Context) error {
	return Sleep(ctx, p.backoff.NextBackOff())
}

// Sleep waits for a time. It returns the context's error if the context ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// Reset makes the next pause the first again.
func (p *Pauses) Reset() { p.backoff.Reset() }
