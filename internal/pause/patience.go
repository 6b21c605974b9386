package pause

import (
	"context"
	"time"
)

// Patience bounds how long something may fail, time after time. It is not safe for
// concurrent use.
type Patience struct {
	// For is how long it may fail.
	For time.Duration
	// Passing reports whether an error may go away with time.
	Passing func(error) bool
	// Warn is called with each error that is followed by another attempt.
	Warn func(ctx context.Context, err error)

	pauses *Pauses
	since  time.Time // of the first failure after the last success
}

// Over says that something has succeeded.
func (p *Patience) Over() { p.since = time.Time{} }

// Wait pauses before another attempt. It returns err if another attempt is of no use or
// the time is up, or the cause of the context's end.
func (p *Patience) Wait(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if p.since.IsZero() {
		p.since, p.pauses = time.Now(), New()
	}
	if !p.Passing(err) || time.Since(p.since) >= p.For {
		return err
	}
	p.Warn(ctx, err)
	if p.pauses.Wait(ctx) != nil {
		return context.Cause(ctx)
	}
	return nil
}
