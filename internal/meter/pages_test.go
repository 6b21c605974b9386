package meter_test

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/head"
	"ropewalk/internal/meter"
)

// pager is a store with a log and a source of two pages each.
type pager struct{ *memstore.Store }

func (pager) Entries(context.Context, head.LogPosition, bool) iter.Seq2[[]head.LogEntry, error] {
	return two[[]head.LogEntry]
}

func (pager) LogEnd(context.Context) (head.LogPosition, error) { return head.LogPosition{}, nil }

func (pager) SourceName() string { return "pager" }

func (pager) Hints(context.Context, []byte) iter.Seq2[head.Hints, error] { return two[head.Hints] }

func two[T any](yield func(T, error) bool) {
	var page T
	for range 2 {
		if !yield(page, nil) {
			return
		}
	}
}

// Each page of a log or a source is a request, and so is the search for one more.
func TestPagesAreRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meter.New(latency)
		s := m.Heads(pager{memstore.New()})
		log, _ := head.As[head.Log](s)
		source, _ := head.As[head.Source](s)
		start := time.Now()
		require.NoError(t, drain(log.Entries(t.Context(), head.LogPosition{}, false)))
		require.Equal(t, meter.Counts{Log: 3}, m.Count())
		_, err := log.LogEnd(t.Context())
		require.NoError(t, err)
		require.NoError(t, drain(source.Hints(t.Context(), nil)))
		require.Equal(t, meter.Counts{Log: 4, Hints: 3}, m.Count())
		require.Equal(t, 7*latency, time.Since(start))

		m.Reset()
		for range source.Hints(t.Context(), nil) {
			break
		}
		require.Equal(t, meter.Counts{Hints: 1}, m.Count(), "no page was asked for")
		ctx, cancel := context.WithTimeout(t.Context(), 3*latency/2)
		defer cancel()
		require.ErrorIs(t, drain(source.Hints(ctx, nil)), context.DeadlineExceeded)
		require.Equal(t, meter.Counts{Hints: 3}, m.Count())
	})
}
