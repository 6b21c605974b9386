package chaintest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/head"
)

// Outcome is what the caller of an operation was told.
type Outcome string

// The three outcomes of an append; a read is always OK.
const (
	OK      Outcome = "ok"
	Refused Outcome = "refused"
	Unknown Outcome = "unknown"
)

// Operation is one call on a chain, as a client saw it. Contents are unique
// and stand for changesets.
type Operation struct {
	Client       int
	Call, Return int64    // by one clock, in nanoseconds
	Read         bool     // a read of the whole history, or else an append
	History      []string // that a read has seen
	After        string   // the newest content before the append; "" for none
	Content      string
	Outcome      Outcome
}

// Client does random operations on a chain and records them. It never guesses:
// what it appends to is a head that it was given.
type Client struct {
	Chain  *ropewalk.Chain
	Number int
	Rand   *rand.Rand
	// Timeout is how long the client waits for one operation.
	Timeout time.Duration

	head      head.Head
	newest    string
	uncertain *ropewalk.UncertainError // of the latest append
}

// Run does n operations, and returns those that tell anything.
func (c *Client) Run(ctx context.Context, n int) (all []Operation, err error) {
	for i := range n {
		op := Operation{Client: c.Number, Call: time.Now().UnixNano(), Content: fmt.Sprintf("%d.%d", c.Number, i)}
		var known bool
		if op.Read = c.Rand.IntN(3) == 0; op.Read {
			known, err = c.bounded(ctx, &op, c.read)
		} else if known, err = c.bounded(ctx, &op, c.append); c.uncertain != nil && c.Rand.IntN(2) == 0 {
			known, err = c.bounded(ctx, &op, c.settle)
		}
		if err != nil {
			return all, err
		}
		if known {
			all = append(all, op)
		}
	}
	return all, nil
}

// bounded calls do in the client's own time.
func (c *Client) bounded(ctx context.Context, op *Operation, do func(context.Context, *Operation) (bool, error)) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return do(ctx, op)
}

// read reports false where the operation failed, and so told nothing.
func (c *Client) read(ctx context.Context, op *Operation) (bool, error) {
	r, err := c.Chain.Reader(ctx)
	op.Return = time.Now().UnixNano()
	if errors.Is(err, ropewalk.ErrNotFound) {
		c.head, c.newest = head.Head{}, ""
		op.Outcome = OK
		return true, nil
	}
	if err != nil {
		return false, nil
	}
	for cs, err := range r.All(ctx) {
		var corrupt *ropewalk.CorruptError
		if errors.As(err, &corrupt) {
			return false, err
		}
		if err != nil {
			return false, nil
		}
		op.History = append(op.History, string(cs.Content))
	}
	op.Outcome = OK
	c.head, c.newest = r.Head(), op.History[len(op.History)-1]
	return true, nil
}

func (c *Client) append(ctx context.Context, op *Operation) (bool, error) {
	op.After = c.newest
	h, err := c.Chain.Append(ctx, c.head, Draft(op.Content))
	return c.told(op, h, err)
}

// settle ends the append that was uncertain a moment ago, if it can.
func (c *Client) settle(ctx context.Context, op *Operation) (bool, error) {
	uncertain := c.uncertain
	h, err := c.Chain.Settle(ctx, uncertain.Ref)
	if err != nil && !IsConflict(err) {
		err = uncertain // still, or its objects are not to be had
	}
	return c.told(op, h, err)
}

// told records the outcome of an append; false where nothing was committed
// and nothing can be learnt.
func (c *Client) told(op *Operation, h head.Head, err error) (bool, error) {
	op.Return, c.uncertain = time.Now().UnixNano(), nil
	switch {
	case err == nil:
		op.Outcome, c.head, c.newest = OK, h, op.Content
	case IsConflict(err):
		op.Outcome = Refused
	case errors.As(err, &c.uncertain):
		op.Outcome, op.Return = Unknown, math.MaxInt64
	case errors.Is(err, ropewalk.ErrHeadLost):
		return false, err
	default:
		return false, nil
	}
	return true, nil
}

// Race lets clients race on the chain, and returns what they saw.
func Race(t testing.TB, clients []*Client, n int) (all []Operation) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, c := range clients {
		group.Go(func() {
			ops, err := c.Run(t.Context(), n)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			all = append(all, ops...)
		})
	}
	group.Wait()
	return all
}

// RequireLinearizable requires that the operations are [Linearizable].
func RequireLinearizable(t testing.TB, operations []Operation) {
	t.Helper()
	told := map[Outcome]int{}
	for _, op := range operations {
		told[op.Outcome]++
	}
	t.Logf("%d operations: %v", len(operations), told)
	require.Equal(t, porcupine.Ok, Linearizable(operations))
}

// Linearizable checks that one order of all operations, each at some moment
// between its call and its return, explains all that was told. An append of
// unknown outcome may have happened, at any later time, or not.
func Linearizable(operations []Operation) porcupine.CheckResult {
	history := make([]porcupine.Operation, 0, len(operations))
	for _, op := range operations {
		history = append(history, porcupine.Operation{ClientId: op.Client, Input: op, Call: op.Call, Output: op, Return: op.Return})
	}
	return porcupine.CheckOperationsTimeout(chainModel.ToModel(), history, time.Minute)
}

// chainModel is a chain as a list of contents, joined by spaces.
var chainModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{""} },
	Step: func(state, _, output any) []any {
		history, op := state.(string), output.(Operation)
		extended := strings.TrimPrefix(history+" "+op.Content, " ")
		matches := history[strings.LastIndexByte(history, ' ')+1:] == op.After
		switch {
		case op.Read && history != strings.Join(op.History, " "),
			!op.Read && op.Outcome == OK && !matches,
			!op.Read && op.Outcome == Refused && matches:
			return nil
		case op.Read || op.Outcome == Refused || op.Outcome == Unknown && !matches:
			return []any{history}
		case op.Outcome == OK:
			return []any{extended}
		default:
			return []any{history, extended}
		}
	},
}
