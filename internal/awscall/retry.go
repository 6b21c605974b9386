package awscall

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// MaxRetryTime is how long a throttled call is repeated at most; its context
// may end it earlier.
const MaxRetryTime = time.Minute

// Retry calls op, which must be one that may be repeated, until it returns nil
// or an error whose code is not in again, with exponential backoff and jitter.
// These repetitions are around the SDK's own. It returns op's last error, and
// the context's with it where that has ended the wait. It calls op never where
// the context has already ended.
func Retry(ctx context.Context, log *slog.Logger, again map[string]bool, op func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var last error
	attempt := func() (struct{}, error) {
		if last = op(); last != nil && !again[Code(last)] {
			return struct{}{}, backoff.Permanent(last)
		}
		return struct{}{}, last
	}
	notify := func(err error, wait time.Duration) {
		log.DebugContext(ctx, "repeating a request", "code", Code(err), "wait", wait)
	}
	wait := &backoff.ExponentialBackOff{InitialInterval: 100 * time.Millisecond, Multiplier: 2, RandomizationFactor: 0.5, MaxInterval: 5 * time.Second}
	_, err := backoff.Retry(ctx, attempt, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(MaxRetryTime), backoff.WithNotify(notify))
	if ended := ctx.Err(); err != nil && ended != nil && !errors.Is(last, ended) {
		return fmt.Errorf("%w: %w", ended, last)
	}
	return last
}
