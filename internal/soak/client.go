package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
)

// client does operations on a chain and records them. It never guesses: what
// it appends to is a head that it was given.
type client struct {
	*world
	chain  *ropewalk.Chain // with the options of this client
	number int
	rand   *rand.Rand
	made   int

	head   head.Head
	newest string // content
}

// pause lets others work for a moment.
func (c *client) pause(units float64) {
	time.Sleep(time.Duration(c.rand.Float64() * units * float64(c.place.Unit)))
}

// begin returns a new operation, and the context that it has time in.
func (c *client) begin(ctx context.Context, kind Kind) (*Operation, context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(1+c.rand.IntN(3))*c.place.Unit)
	return &Operation{Client: c.number, Kind: kind, Call: time.Now().UnixNano()}, ctx, cancel
}

// write does n operations of a writer.
func (c *client) write(ctx context.Context, n int) {
	for range n {
		c.pause(0.4)
		switch c.rand.IntN(10) {
		case 0, 1, 2, 3:
			c.append(ctx)
		case 4, 5:
			c.update(ctx)
		case 6:
			c.repeat(ctx)
		default:
			c.read(ctx)
		}
	}
}

// contents returns the contents of a new append.
func (c *client) contents(command string) (contents []string) {
	c.made++
	size := max(1, c.rand.IntN(5)-1)
	for part := range size {
		content := fmt.Sprintf("%d.%d.%d", c.number, c.made, part)
		if command != "" {
			content += "#" + command
		}
		contents = append(contents, content)
	}
	return contents
}

func drafts(contents []string, command string) (all []changeset.Draft) {
	for _, content := range contents {
		all = append(all, changeset.Draft{Content: []byte(content), CommandID: command})
	}
	return all
}

// append appends after the head that the client was given last.
func (c *client) append(ctx context.Context) {
	op, ctx, cancel := c.begin(ctx, Append)
	defer cancel()
	if c.rand.IntN(2) == 0 {
		op.Command = fmt.Sprintf("c%d-%d", c.number, c.made)
	}
	op.Base, op.Contents = c.newest, c.contents(op.Command)
	sent := &command{id: op.Command, after: c.head, base: op.Base, contents: op.Contents}
	if op.Command != "" {
		c.mu.Lock()
		c.commands = append(c.commands, sent)
		c.mu.Unlock()
	}
	got, err := c.chain.Append(ctx, c.head, drafts(op.Contents, op.Command)...)
	c.told(ctx, op, got, err)
	c.processed(sent, got, err)
}

// repeat sends a command again, after the same head, as one does who has not
// seen the reply.
func (c *client) repeat(ctx context.Context) {
	c.mu.Lock()
	known := len(c.commands)
	if known == 0 {
		c.mu.Unlock()
		c.read(ctx)
		return
	}
	sent := c.commands[c.rand.IntN(known)]
	c.mu.Unlock()
	op, ctx, cancel := c.begin(ctx, Repeat)
	defer cancel()
	op.Base, op.Command, op.Contents = sent.base, sent.id, sent.contents
	got, err := c.chain.Append(ctx, sent.after, drafts(op.Contents, op.Command)...)
	c.told(ctx, op, got, err)
	c.processed(sent, got, err)
}

// processed sees that a command has the same result every time.
func (c *client) processed(sent *command, got head.Head, err error) {
	if err != nil || sent.id == "" {
		return
	}
	c.mu.Lock()
	first := sent.got
	sent.got = got.Ref
	c.mu.Unlock()
	if first != (changeset.Ref{}) && first != got.Ref {
		c.violated("command %s was processed as %s and as %s", sent.id, first, got.Ref)
	}
}

// update appends to what it finds.
func (c *client) update(ctx context.Context) {
	op, ctx, cancel := c.begin(ctx, Update)
	defer cancel()
	got, err := c.chain.Update(ctx, func(ctx context.Context, r *ropewalk.Reader) ([]changeset.Draft, error) {
		op.Base = ""
		if r.Head().Exists() {
			newest, err := r.At(ctx, r.Head().Version)
			if err != nil {
				return nil, err
			}
			op.Base = string(newest.Content)
		}
		op.Contents = c.contents("")
		return drafts(op.Contents, ""), nil
	})
	c.told(ctx, op, got, err)
}

// told records the outcome that the caller of an append got.
func (c *client) told(ctx context.Context, op *Operation, got head.Head, err error) {
	op.Return, op.Err = time.Now().UnixNano(), err
	uncertain, unknown := errors.AsType[*ropewalk.UncertainError](err)
	_, refused := errors.AsType[*ropewalk.ConflictError](err)
	switch {
	case err == nil:
		op.Outcome, op.Ref = Done, got.Ref
		c.head, c.newest = got, op.last()
	case unknown:
		op.Outcome, op.Uncertain, op.Return = Unknown, true, forever
		op.Settles = Settles{uncertain.Ref, uncertain.AfterRevision}
		if op.Kind != Batch {
			op.Ref = uncertain.Ref
		}
	case refused:
		op.Outcome = Refused
	case errors.Is(err, ropewalk.ErrErased) && len(op.Contents) > 0:
		op.Outcome = Gone
	default:
		op.Outcome = Failed
		c.unexpected(ctx, string(op.Kind), err)
	}
	c.record(op)
	if unknown && c.rand.IntN(2) == 0 {
		c.settleOwn(ctx, op)
	}
}

// settleOwn ends an append of the client's own that is uncertain.
func (c *client) settleOwn(ctx context.Context, op *Operation) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*c.place.Unit)
	defer cancel()
	if got, err := c.settle(ctx, c.chain, op.Settles); err == nil && op.Kind != Batch {
		c.head, c.newest = got, op.last()
	}
}

// settleAgain n times settles some uncertain append of any client, or any
// changeset that is stored.
func (c *client) settleAgain(ctx context.Context, n int) {
	for range n {
		c.pause(1.5)
		all := c.uncertain()
		if len(all) == 0 || c.rand.IntN(3) == 0 {
			all = c.listed(ctx)
		}
		if len(all) > 0 {
			c.settleOne(ctx, all[c.rand.IntN(len(all))])
		}
	}
}

// listed returns what is stored of the aggregate's latest versions, in the
// chain or not.
func (c *client) listed(ctx context.Context) (all []Settles) {
	for o, err := range c.place.Changesets.Objects(ctx, c.chain.AggregateID()) {
		if err != nil {
			return nil
		}
		if info, err := c.place.Changesets.Stat(ctx, o.Ref); err == nil {
			info.Count = 0 // the newest changeset of an object
			all = append(all, Settles{info.Ref, info.AfterRevision})
		}
	}
	return all[max(0, len(all)-6):]
}

func (c *client) settleOne(ctx context.Context, what Settles) {
	ctx, cancel := context.WithTimeout(ctx, 3*c.place.Unit)
	defer cancel()
	_, _ = c.settle(ctx, c.chain, what)
}

// batchAgain n times appends through an appender that others use, too.
func (c *client) batchAgain(ctx context.Context, appender *ropewalk.Appender, n int) {
	for range n {
		c.pause(0.5)
		c.batch(ctx, appender)
	}
}

func (c *client) batch(ctx context.Context, appender *ropewalk.Appender) {
	op, ctx, cancel := c.begin(ctx, Batch)
	defer cancel()
	op.Contents = c.contents("")
	headers, err := appender.Append(ctx, drafts(op.Contents, "")...)
	var got head.Head
	if n := len(headers); n > 0 {
		op.Ref = headers[n-1].Ref
		got = head.At(headers[n-1])
	}
	c.told(ctx, op, got, err)
}
