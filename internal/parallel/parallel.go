// Package parallel works on many items at once, and gives the results in order.
package parallel

import (
	"context"
	"iter"
	"sync"
)

// Map yields what work makes of each item, in the order of the items, with
// about n of them under way. It ends with the first error, be it the items',
// the work's or the context's; when it ends, all work has ended.
func Map[T, R any](ctx context.Context, n int, items func(context.Context) iter.Seq2[T, error], work func(context.Context, T) (R, error)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		inner, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		queue := make(chan chan outcome[R], n)
		running.Go(func() {
			defer close(queue)
			for item, err := range items(inner) {
				done := make(chan outcome[R], 1)
				select {
				case queue <- done:
				case <-inner.Done():
					return
				}
				if err != nil {
					done <- outcome[R]{err: err}
					return
				}
				running.Go(func() {
					v, err := work(inner, item)
					done <- outcome[R]{v, err}
				})
			}
		})
		for done := range queue {
			if o := <-done; !yield(o.value, o.err) || o.err != nil {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			var none R
			yield(none, err)
		}
	}
}

type outcome[R any] struct {
	value R
	err   error
}
