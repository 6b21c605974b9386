package feed

import "context"

// shared is a result that one goroutine makes, and that others wait for.
type shared[T any] struct {
	done  chan struct{}
	value T
	err   error
}

func newShared[T any]() *shared[T] { return &shared[T]{done: make(chan struct{})} }

// set ends the waiting.
func (s *shared[T]) set(value T, err error) {
	s.value, s.err = value, err
	close(s.done)
}

// wait returns the result once it is made, or the error of the context.
func (s *shared[T]) wait(ctx context.Context) (T, error) {
	select {
	case <-s.done:
		return s.value, s.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
