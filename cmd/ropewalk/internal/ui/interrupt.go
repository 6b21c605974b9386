package ui

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"
	"time"
)

// interruptible reads from r until the context ends, also while a read waits, as
// a read from a terminal does. The waiting read is left running, and must be the
// last use of r.
type interruptible struct {
	ctx   context.Context
	r     io.Reader
	reads chan chunk
	rest  chunk
}

// chunk is the result of one read.
type chunk struct {
	data []byte
	err  error
}

func newInterruptible(ctx context.Context, r io.Reader) *interruptible {
	return &interruptible{ctx: ctx, r: r, reads: make(chan chunk, 1)}
}

func (i *interruptible) Read(p []byte) (int, error) {
	// Input that is ready would win by chance.
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
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

// openFile opens a file for reading. Opening a named pipe waits for a writer,
// until the context ends.
func openFile(ctx context.Context, name string) (*os.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	type opened struct {
		f   *os.File
		err error
	}
	done := make(chan opened)
	go func() {
		f, err := os.Open(name)
		select {
		case done <- opened{f, err}:
		case <-ctx.Done():
			_ = f.Close() // the command no longer needs it; Close of a nil file does no harm
		}
	}()
	select {
	case o := <-done:
		return o.f, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// lastWrite is the time that a write may take once the context has ended. The
// last line of a command needs less if its output is read.
const lastWrite = 200 * time.Millisecond

// interruptibleWriter writes to w until the context ends, also while a write
// waits, as a write to a full pipe does. The waiting write is left running, and
// every later write fails. An interruptibleWriter is safe for concurrent use.
type interruptibleWriter struct {
	ctx  context.Context
	w    io.Writer
	mu   sync.Mutex
	left bool // a write was left running
}

// newInterruptibleWriter returns a writer for a stream of the process.
func newInterruptibleWriter(ctx context.Context, w io.Writer) io.Writer {
	if isRegular(w) {
		return w
	}
	return &interruptibleWriter{ctx: ctx, w: w}
}

func (i *interruptibleWriter) Write(p []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.left {
		return 0, i.ctx.Err()
	}
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	data := bytes.Clone(p) // the caller may reuse p while the write is left running
	go func() {
		n, err := i.w.Write(data)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-i.ctx.Done():
	}
	select {
	case r := <-done:
		return r.n, r.err
	case <-time.After(lastWrite):
		i.left = true
		return 0, i.ctx.Err()
	}
}
