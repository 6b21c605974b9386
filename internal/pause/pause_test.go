package pause_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/internal/pause"
)

// waits returns how long each of n pauses takes.
func waits(t *testing.T, p *pause.Pauses, n int) []time.Duration {
	t.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		start := time.Now()
		require.NoError(t, p.Wait(t.Context()))
		took[i] = time.Since(start)
	}
	return took
}

func requireBetween(t *testing.T, low, high, d time.Duration) {
	t.Helper()
	require.GreaterOrEqual(t, d, low)
	require.LessOrEqual(t, d, high)
}

func TestPausesGrowToTheirMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := waits(t, pause.New(), 40)
		requireBetween(t, 10*time.Millisecond, 30*time.Millisecond, took[0])
		requireBetween(t, 15*time.Millisecond, 45*time.Millisecond, took[1])
		for _, d := range took[20:] {
			requireBetween(t, time.Second, 3*time.Second, d)
		}
		for _, d := range waits(t, pause.New(pause.Max(100*time.Millisecond)), 40)[20:] {
			requireBetween(t, 50*time.Millisecond, 150*time.Millisecond, d)
		}
		for _, d := range waits(t, pause.New(pause.Max(4*time.Millisecond)), 5) {
			requireBetween(t, 2*time.Millisecond, 6*time.Millisecond, d)
		}
	})
}

func TestPausesAreJittered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.NotEqual(t, waits(t, pause.New(), 10), waits(t, pause.New(), 10))
	})
}

func TestPausesEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, pause.New().Wait(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Millisecond, time.Since(start))
		require.ErrorIs(t, pause.New().Wait(ctx), context.DeadlineExceeded)
	})
}
