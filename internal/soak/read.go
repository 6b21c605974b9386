package soak

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
)

// readAgain does n operations of a reader.
func (c *client) readAgain(ctx context.Context, n int) {
	for range n {
		c.pause(1.2)
		c.read(ctx)
	}
}

// read reads the chain or a part of it, and records everything that it has read,
// even if an error ends the read.
func (c *client) read(ctx context.Context) {
	op, ctx, cancel := c.begin(ctx, Read)
	defer cancel()
	r, err := c.chain.Reader(ctx)
	op.Return, op.Outcome = time.Now().UnixNano(), Done
	switch {
	case errors.Is(err, ropewalk.ErrNotFound):
		c.head, c.newest = head.Head{}, ""
	case errors.Is(err, ropewalk.ErrErased):
		op.Outcome = Gone
	case err != nil:
		c.unexpected(ctx, "read", err)
		return
	default:
		op.Length = int(r.Head().Len())
		c.walk(ctx, r, op)
	}
	c.record(op)
}

// walk reads in one of several ways what the reader is pinned at.
func (c *client) walk(ctx context.Context, r *ropewalk.Reader, op *Operation) {
	seq, backward := c.way(ctx, r, op)
	for got, err := range seq {
		if err != nil {
			op.Err = err
			c.unexpected(ctx, "read", err)
			break
		}
		op.Seen = append(op.Seen, string(got.Content))
	}
	if backward {
		slices.Reverse(op.Seen)
		op.From = op.Length - len(op.Seen)
	}
	if op.From+len(op.Seen) == op.Length && len(op.Seen) > 0 {
		c.head, c.newest = r.Head(), op.Seen[len(op.Seen)-1]
	}
}

func (c *client) way(ctx context.Context, r *ropewalk.Reader, op *Operation) (seq iter.Seq2[changeset.Changeset, error], backward bool) {
	switch c.rand.IntN(5) {
	case 0:
		return r.Backward(ctx), true
	case 1:
		op.From = c.rand.IntN(op.Length)
		return r.Changesets(ctx, ropewalk.Range{First: uint64(op.From), Last: uint64(op.From + c.rand.IntN(op.Length-op.From))}), false
	case 2:
		if c.head.Exists() {
			op.From = int(c.head.Version) + 1
			return c.since(ctx, r), false
		}
	}
	return r.All(ctx), false
}

// since reads what came after the client's own head, through which the chain
// must pass.
func (c *client) since(ctx context.Context, r *ropewalk.Reader) iter.Seq2[changeset.Changeset, error] {
	return func(yield func(changeset.Changeset, error) bool) {
		for got, err := range r.Since(ctx, c.head) {
			if errors.Is(err, ropewalk.ErrNotFound) {
				c.violated("the chain at %s does not pass through %s, which it had: %v", r.Head().Ref, c.head.Ref, err)
			}
			if !yield(got, err) {
				return
			}
		}
	}
}
