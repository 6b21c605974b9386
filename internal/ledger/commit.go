package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
)

// commit makes a move by one step of the storage. It has one attempt: what it cannot learn
// is for Settle.
func (c *Client) commit(ctx context.Context, op *Operation) {
	exchanges, err := c.exchanges(ctx, op)
	if err != nil {
		c.end(op, Failed, err)
		return
	}
	transactor, ok := head.As[head.Transactor](c.Store.HeadStore())
	if !ok {
		c.end(op, Failed, errors.ErrUnsupported)
		return
	}
	heads, err := transactor.SwapAll(ctx, exchanges)
	conflicts, refused := errors.AsType[*head.ConflictsError](err)
	_, failed := errors.AsType[*head.NotAppliedError](err)
	switch {
	case err == nil:
		c.learn(op, heads)
		c.end(op, Done, nil)
	case failed || refused && fenced(exchanges, conflicts):
		c.end(op, Failed, err)
	case refused:
		c.end(op, Refused, err)
	default:
		c.end(op, Unknown, err)
		c.History.leaveOpen(op, doubts(exchanges)...)
	}
}

// exchanges builds the changesets of a move, and puts their objects.
func (c *Client) exchanges(ctx context.Context, op *Operation) (all []head.Exchange, err error) {
	o := c.Store.Options()
	for _, p := range op.Parts {
		e := head.Exchange{AggregateID: chainID(c.Ledger, p.Account), Old: c.known[p.Account].head}
		if p.Entry != "" {
			drafts := body.Drafts([]changeset.Draft{draft(p.Entry)}, false)
			a, err := link.Build(e.Old, e.AggregateID, [][]body.Draft{drafts}, time.Now(), link.Layout{Packed: o.Packed, Tip: o.TipSize})
			if err != nil {
				return nil, err
			}
			e.Next, e.Changesets = a.Next, a.Objects
		}
		for _, object := range e.Changesets {
			if err := c.Store.Changesets().Put(ctx, object); err != nil {
				return nil, fmt.Errorf("put %s: %w", object.Ref, err)
			}
		}
		all = append(all, e)
	}
	return all, nil
}

// fenced reports whether the conflicts may be with fences alone, so that nothing that was
// read has changed.
func fenced(exchanges []head.Exchange, conflicts *head.ConflictsError) bool {
	for _, e := range exchanges {
		if winner := conflicts.Winners[e.AggregateID]; winner != nil && !winner.SameContent(e.Old) {
			return false
		}
	}
	return true
}

// doubts returns what settles a step, for each head that it replaces.
func doubts(exchanges []head.Exchange) (all []*ropewalk.UncertainError) {
	for _, e := range exchanges {
		if !e.Next.IsZero() {
			all = append(all, &ropewalk.UncertainError{Ref: e.Next.Ref, AfterRevision: e.Old.Revision})
		}
	}
	return all
}
