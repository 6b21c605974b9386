package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"ropewalk"
	"ropewalk/head"
)

// Client does random operations on the accounts of a ledger, and records them. It never
// guesses: what it appends to is a head that it was given.
type Client struct {
	Store  *ropewalk.Store
	Ledger string
	Number int
	Rand   *rand.Rand
	// Pause is how long the client waits between two operations at most.
	Pause time.Duration
	// Timeout is how long the client waits for one operation.
	Timeout time.Duration
	// History receives the operations.
	History *History

	known [Accounts]known
	made  int
}

// known is the latest that a client knows of an account.
type known struct {
	head    head.Head
	entries []string
}

// Do does n operations, and reads between them.
func (c *Client) Do(ctx context.Context, n int) {
	for range n {
		time.Sleep(time.Duration(c.Rand.Float64() * float64(c.Pause)))
		switch c.Rand.IntN(10) {
		case 0:
			c.note(ctx)
		case 1:
			c.batch(ctx)
		case 2:
			c.audit(ctx)
		case 3:
			c.settle(ctx)
		case 4, 5:
			c.update(ctx)
		default:
			c.move(ctx)
		}
		if c.Rand.IntN(2) == 0 {
			c.settle(ctx)
		}
	}
}

func (c *Client) chain(account int) *ropewalk.Chain { return c.Store.Chain(chainID(c.Ledger, account)) }

func (c *Client) begin(ctx context.Context, kind Kind) (*Operation, context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	return &Operation{Client: c.Number, Kind: kind, Call: time.Now().UnixNano()}, ctx, cancel
}

// write begins a move or a note, with a name of its own.
func (c *Client) write(ctx context.Context, kind Kind) (*Operation, context.Context, context.CancelFunc) {
	op, ctx, cancel := c.begin(ctx, kind)
	c.made++
	op.Name = fmt.Sprintf("%d.%d", c.Number, c.made)
	return op, ctx, cancel
}

func (c *Client) end(op *Operation, outcome Outcome, err error) {
	op.Outcome, op.Return = outcome, time.Now().UnixNano()
	if outcome == Unknown {
		op.Return = forever
	}
	if err != nil {
		op.Err = err.Error()
	}
	c.History.record(op)
}

// read reads an account, and reports whether it could.
func (c *Client) read(ctx context.Context, account int) bool {
	op, ctx, cancel := c.begin(ctx, Read)
	defer cancel()
	op.Account = account
	r, err := c.chain(account).Reader(ctx)
	if errors.Is(err, ropewalk.ErrNotFound) {
		err = nil
	}
	if err == nil {
		op.Seen, err = entriesOf(ctx, r)
	}
	if err != nil {
		if _, corrupt := errors.AsType[*ropewalk.CorruptError](err); corrupt || errors.Is(err, ropewalk.ErrHeadLost) {
			c.History.violated("a read of account %d: %v", account, err)
		}
		c.end(op, Failed, err)
		return false
	}
	c.known[account] = known{r.Head(), op.Seen}
	c.end(op, Done, nil)
	return true
}

// look reads some of the accounts again.
func (c *Client) look(ctx context.Context, accounts []int) {
	for _, account := range accounts {
		if c.Rand.IntN(2) == 0 {
			c.read(ctx, account)
		}
	}
}

// move takes money from one account for another; a third one may have to be unchanged.
func (c *Client) move(ctx context.Context) {
	accounts := c.Rand.Perm(Accounts)[:2+c.Rand.IntN(2)]
	c.look(ctx, accounts)
	amount := 1 + c.Rand.IntN(9)
	op, ctx, cancel := c.write(ctx, Move)
	defer cancel()
	op.Parts = []Part{c.part(accounts[0], entry(op.Name, -amount)), c.part(accounts[1], entry(op.Name, amount))}
	if len(accounts) == 3 {
		op.Parts = append(op.Parts, c.part(accounts[2], ""))
		c.Rand.Shuffle(len(op.Parts), func(i, j int) { op.Parts[i], op.Parts[j] = op.Parts[j], op.Parts[i] })
	}
	c.commit(ctx, op)
}

// update moves money as far as an account has it, by an update of two or three accounts: it
// decides again after each conflict. The move has the parts of the last decision.
func (c *Client) update(ctx context.Context) {
	accounts := c.Rand.Perm(Accounts)[:2+c.Rand.IntN(2)]
	amount := 1 + c.Rand.IntN(9)
	op, ctx, cancel := c.write(ctx, Move)
	defer cancel()
	var ids []string
	for _, account := range accounts {
		ids = append(ids, chainID(c.Ledger, account))
	}
	heads, err := c.Store.UpdateAll(ctx, ids, func(ctx context.Context, readers []*ropewalk.Reader) ([][]ropewalk.Draft, error) {
		for i, r := range readers {
			entries, err := entriesOf(ctx, r)
			if err != nil {
				return nil, err
			}
			c.known[accounts[i]] = known{r.Head(), entries}
		}
		most, err := sum(c.known[accounts[0]].entries)
		if err != nil {
			return nil, err
		}
		move := max(0, min(amount, most))
		op.Parts = []Part{c.part(accounts[0], entry(op.Name, -move)), c.part(accounts[1], entry(op.Name, move))}
		if len(accounts) == 3 {
			op.Parts = append(op.Parts, c.part(accounts[2], ""))
		}
		return [][]ropewalk.Draft{{draft(op.Parts[0].Entry)}, {draft(op.Parts[1].Entry)}}, nil
	})
	c.conclude(op, heads, err)
}

// entriesOf reads the entries of an account.
func entriesOf(ctx context.Context, r *ropewalk.Reader) (all []string, err error) {
	for c, err := range r.All(ctx) {
		if err != nil {
			return all, err
		}
		all = append(all, string(c.Content))
	}
	return all, nil
}

// audit reads all accounts and appends to one of them if all others are unchanged: then
// all accounts were read at one moment.
func (c *Client) audit(ctx context.Context) {
	for account := range Accounts {
		c.read(ctx, account)
	}
	op, ctx, cancel := c.write(ctx, Move)
	defer cancel()
	noted := c.Rand.IntN(Accounts)
	var all []string
	for account := range Accounts {
		text := ""
		if account == noted {
			text = entry(op.Name, 0)
		}
		op.Parts = append(op.Parts, c.part(account, text))
		all = append(all, c.known[account].entries...)
	}
	if c.commit(ctx, op); op.Outcome != Done {
		return
	}
	if n, err := sum(all); err != nil || n != total {
		c.History.violated("audit %s finds the sum %d, and it was %d: %v", op.Name, n, total, err)
	}
}

// note appends nothing to one account.
func (c *Client) note(ctx context.Context) {
	account := c.Rand.IntN(Accounts)
	c.look(ctx, []int{account})
	op, ctx, cancel := c.write(ctx, Note)
	defer cancel()
	op.Parts = []Part{c.part(account, entry(op.Name, 0))}
	h, err := c.chain(account).Append(ctx, c.known[account].head, draft(op.Parts[0].Entry))
	c.conclude(op, []head.Head{h}, err)
}

// batch is a note that an appender makes, wherever the account ends.
func (c *Client) batch(ctx context.Context) {
	op, ctx, cancel := c.write(ctx, Batch)
	defer cancel()
	account := c.Rand.IntN(Accounts)
	op.Parts = []Part{{Account: account, Entry: entry(op.Name, 0)}}
	_, err := c.chain(account).NewAppender(nil).Append(ctx, draft(op.Parts[0].Entry))
	c.conclude(op, nil, err)
}

func (c *Client) part(account int, entry string) Part {
	return Part{Account: account, Base: newest(c.known[account].entries), Entry: entry}
}

// conclude records the outcome that was reported to the caller of a move or a note. The heads are the
// new heads of its parts, if they are known.
func (c *Client) conclude(op *Operation, heads []head.Head, err error) {
	_, refused := errors.AsType[*ropewalk.ConflictError](err)
	doubt, unknown := errors.AsType[*ropewalk.UncertainError](err)
	switch {
	case err == nil:
		c.learn(op, heads)
		c.end(op, Done, nil)
	case unknown:
		c.end(op, Unknown, err)
		c.History.leaveOpen(op, doubt)
	case refused:
		c.end(op, Refused, err)
	default:
		if errors.Is(err, ropewalk.ErrHeadLost) {
			c.History.violated("%s %s: %v", op.Kind, op.Name, err)
		}
		c.end(op, Failed, err)
	}
}

func (c *Client) learn(op *Operation, heads []head.Head) {
	for i, h := range heads {
		if p := op.Parts[i]; p.Entry != "" {
			before := c.known[p.Account].entries
			c.known[p.Account] = known{h, append(before[:len(before):len(before)], p.Entry)}
		}
	}
}

// leaveOpen keeps what can settle an operation.
func (h *History) leaveOpen(op *Operation, doubt *ropewalk.UncertainError) {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := ropewalk.Unsettled{Ref: doubt.Ref, AfterRevision: doubt.AfterRevision}
	h.open = append(h.open, &uncertain{op, append(slices.Clone(doubt.Others), own)})
}

// settle settles an uncertain move of any client, through any of its accounts.
func (c *Client) settle(ctx context.Context) {
	u := c.History.someOpen(c.Rand)
	if u == nil {
		return
	}
	by := u.doubts[c.Rand.IntN(len(u.doubts))]
	op, ctx, cancel := c.begin(ctx, Settle)
	defer cancel()
	op.Name, op.Parts, op.Account = u.op.Name, u.op.Parts, c.account(by.Ref.AggregateID)
	_, err := c.Store.Chain(by.Ref.AggregateID).Settle(ctx, by.Ref, by.AfterRevision)
	_, refused := errors.AsType[*ropewalk.ConflictError](err)
	switch {
	case err == nil:
		c.end(op, Done, nil)
	case refused:
		c.end(op, Refused, err)
	default:
		c.end(op, Failed, err)
	}
}

// account returns the account of an aggregate.
func (c *Client) account(aggregateID string) int {
	for account := range Accounts {
		if chainID(c.Ledger, account) == aggregateID {
			return account
		}
	}
	return lastReader
}

func (h *History) someOpen(r *rand.Rand) *uncertain {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.open) == 0 {
		return nil
	}
	return h.open[r.IntN(len(h.open))]
}
