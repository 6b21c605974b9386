package ledger

import (
	"context"

	"ropewalk"
)

// commit makes a move.
func (c *Client) commit(ctx context.Context, op *Operation) {
	var members []ropewalk.Member
	for _, p := range op.Parts {
		chain, h := c.chain(p.Account), c.known[p.Account].head
		if p.Entry == "" {
			members = append(members, chain.Unchanged(h))
		} else {
			members = append(members, chain.Appending(h, draft(p.Entry)))
		}
	}
	heads, err := c.Store.Commit(ctx, members...)
	c.conclude(op, heads, err)
}
