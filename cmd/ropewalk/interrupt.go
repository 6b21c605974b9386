package main

import (
	"context"
	"io"
)

// interruptible reads from r until the context ends, even while a read waits,
// as one from a terminal does. That read is left behind, and must be the last
// use of r.
type interruptible struct {
	ctx   context.Context
	r     io.Reader
	reads chan chunk
	rest  chunk
}

// chunk is what one read has given.
type chunk struct {
	data []byte
	err  error
}

func newInterruptible(ctx context.Context, r io.Reader) *interruptible {
	return &interruptible{ctx: ctx, r: r, reads: make(chan chunk, 1)}
}

func (i *interruptible) Read(p []byte) (int, error) {
	if len(i.rest.data) == 0 && i.rest.err == nil {
		go func() {
			data := make([]byte, 64<<10)
			n, err := i.r.Read(data)
			i.reads <- chunk{data[:n], err}
		}()
		select {
		case i.rest = <-i.reads:
		case <-i.ctx.Done():
			return 0, i.ctx.Err()
		}
	}
	n := copy(p, i.rest.data)
	i.rest.data = i.rest.data[n:]
	if len(i.rest.data) > 0 {
		return n, nil
	}
	return n, i.rest.err
}
