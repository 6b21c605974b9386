package sqlitestore

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"ropewalk/head"
)

// BenchmarkAppend measures appends of 1 KiB, each writer to a chain of its own.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) { benchmarkAppend(b, writers) })
	}
}

func benchmarkAppend(b *testing.B, writers int) {
	s := open(b)
	content := strings.Repeat("x", 1<<10)
	var left atomic.Int64
	left.Store(int64(b.N))
	var all errgroup.Group
	b.ResetTimer()
	for w := range writers {
		all.Go(func() (err error) {
			var h head.Head
			for left.Add(-1) >= 0 && err == nil {
				h, err = tryAppend(s, h, fmt.Sprintf("chain-%d", w), content)
			}
			return err
		})
	}
	require.NoError(b, all.Wait())
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
	b.ReportMetric(float64(b.N)/float64(s.writer.commits.Load()), "appends/commit")
}

// BenchmarkRead measures reads of 1 KiB by all processors.
func BenchmarkRead(b *testing.B) {
	s := open(b)
	h := appendTo(b, s, head.Head{}, "order-1", strings.Repeat("x", 1<<10))
	b.Run("Load", func(b *testing.B) {
		parallel(b, func() error { _, err := s.Load(b.Context(), "order-1"); return err })
	})
	b.Run("Stat", func(b *testing.B) {
		parallel(b, func() error { _, err := s.Stat(b.Context(), h.Ref); return err })
	})
	b.Run("Get", func(b *testing.B) {
		parallel(b, func() error { _, err := s.Get(b.Context(), h.Ref, nil); return err })
	})
}

func parallel(b *testing.B, f func() error) {
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			require.NoError(b, f())
		}
	})
}
