package chaintest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
)

// Outcome is the outcome that the caller of an operation got.
type Outcome string

// The three outcomes of an append, and of a Settle; a read is always OK.
const (
	OK      Outcome = "ok"
	Refused Outcome = "refused"
	Unknown Outcome = "unknown"
)

// Kind is what an operation does.
type Kind string

// The kinds of operations.
const (
	Read   Kind = "read"   // of the whole history
	Append Kind = "append" // after one changeset
	Batch  Kind = "batch"  // an append wherever the chain ends
	Settle Kind = "settle" // of one changeset
)

// Operation is one call on a chain, as a client saw it.
type Operation struct {
	Client       int
	Call, Return int64 // by one clock, in nanoseconds
	Kind         Kind
	History      []string // the IDs that a read has seen
	After        string   // the ID of the newest changeset before an append; "" for none
	ID           string   // of the changeset of an append or a Settle
	Outcome      Outcome
}

// Objects is a store of changesets that can list them.
type Objects interface {
	changeset.Store
	changeset.Lister
}

// Client does random operations on a chain and records them. It never guesses:
// what it appends to is a head that it was given.
type Client struct {
	Chain  *ropewalk.Chain
	Number int
	Rand   *rand.Rand
	// Timeout is how long the client waits for one operation.
	Timeout time.Duration
	// Appender, if not nil, makes every other append, in batches with others.
	Appender *ropewalk.Appender
	// Objects, if not nil, make the client a bystander: it settles changesets
	// that a listing shows, and appends nothing.
	Objects Objects

	head      head.Head
	uncertain *ropewalk.UncertainError // of the latest append
	all       []Operation
}

// Run does n operations, and returns those that say anything.
func (c *Client) Run(ctx context.Context, n int) ([]Operation, error) {
	for i := range n {
		if err := c.one(ctx, fmt.Sprintf("%d.%d", c.Number, i)); err != nil {
			return c.all, err
		}
	}
	return c.all, nil
}

func (c *Client) one(ctx context.Context, content string) error {
	do := c.append
	switch {
	case c.Rand.IntN(3) == 0:
		do = c.read
	case c.Objects != nil:
		do = c.settleListed
	case c.Appender != nil && c.Rand.IntN(2) == 0:
		do = c.batch
	}
	err := c.bounded(ctx, content, do)
	if err == nil && c.uncertain != nil && c.Rand.IntN(4) > 0 {
		err = c.bounded(ctx, content, c.settleOwn)
	}
	return err
}

// bounded calls do in the client's own time, and records the operation that it
// made.
func (c *Client) bounded(ctx context.Context, content string, do func(context.Context, *Operation, string) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	op := Operation{Client: c.Number, Call: time.Now().UnixNano()}
	err := do(ctx, &op, content)
	if op.Outcome != "" {
		op.Return = time.Now().UnixNano()
		if op.Outcome == Unknown {
			op.Return = math.MaxInt64
		}
		c.all = append(c.all, op)
	}
	return err
}

// ReadAll reads the whole chain, and returns that as an operation.
func (c *Client) ReadAll(ctx context.Context) (Operation, error) {
	err := c.bounded(ctx, "", c.read)
	if err == nil && len(c.all) == 0 {
		err = errors.New("the chain could not be read")
	}
	if err != nil {
		return Operation{}, err
	}
	return c.all[len(c.all)-1], nil
}

// read leaves the outcome empty where the operation failed, and so said nothing.
func (c *Client) read(ctx context.Context, op *Operation, _ string) error {
	op.Kind = Read
	r, err := c.Chain.Reader(ctx)
	if err != nil && !errors.Is(err, ropewalk.ErrNotFound) {
		return nil
	}
	seen := map[string]bool{}
	for cs, err := range r.All(ctx) {
		if _, corrupt := errors.AsType[*ropewalk.CorruptError](err); corrupt {
			return err
		}
		if err != nil {
			return nil
		}
		if seen[string(cs.Content)] {
			return fmt.Errorf("%s is in the chain twice", cs.Content)
		}
		seen[string(cs.Content)] = true
		op.History = append(op.History, cs.ID.String())
	}
	c.head, op.Outcome = r.Head(), OK
	return nil
}

func (c *Client) append(ctx context.Context, op *Operation, content string) error {
	op.Kind = Append
	if c.head.Exists() {
		op.After = c.head.ID.String()
	}
	h, err := c.Chain.Append(ctx, c.head, Draft(content))
	return c.conclude(op, h, err)
}

func (c *Client) batch(ctx context.Context, op *Operation, content string) error {
	op.Kind = Batch
	made, err := c.Appender.Append(ctx, Draft(content))
	if err != nil && len(made) == 0 {
		return c.conclude(op, head.Head{}, err)
	}
	return c.conclude(op, head.At(made[0]), err)
}

// settleOwn settles the append that was uncertain a moment ago.
func (c *Client) settleOwn(ctx context.Context, op *Operation, _ string) error {
	uncertain := c.uncertain
	c.uncertain = nil
	return c.settle(ctx, op, uncertain.Ref, uncertain.AfterRevision)
}

// settleListed settles one of the latest changesets that are stored as objects.
func (c *Client) settleListed(ctx context.Context, op *Operation, _ string) error {
	var refs []changeset.Ref
	for o, err := range c.Objects.Objects(ctx, c.Chain.AggregateID()) {
		if err != nil {
			return err
		}
		refs = append(refs, o.Ref)
	}
	if len(refs) == 0 {
		return nil
	}
	newest := refs[max(0, len(refs)-5):]
	info, err := c.Objects.Stat(ctx, newest[c.Rand.IntN(len(newest))])
	if err != nil {
		return err
	}
	info.Count = 0 // the newest changeset of an object, or no changeset of that ID
	return c.settle(ctx, op, info.Ref, info.AfterRevision)
}

func (c *Client) settle(ctx context.Context, op *Operation, ref changeset.Ref, afterRevision uint64) error {
	op.Kind, op.ID = Settle, ref.ID.String()
	_, err := c.Chain.Settle(ctx, ref, afterRevision)
	_, uncertain := errors.AsType[*ropewalk.UncertainError](err)
	switch {
	case err == nil:
		op.Outcome = OK
	case IsConflict(err):
		op.Outcome = Refused
	case !uncertain:
		return err
	}
	return nil
}

// conclude records the outcome of an append, unless it failed.
func (c *Client) conclude(op *Operation, h head.Head, err error) error {
	c.uncertain, _ = errors.AsType[*ropewalk.UncertainError](err)
	switch {
	case err == nil:
		op.Outcome, op.ID, c.head = OK, h.ID.String(), h
	case c.uncertain != nil && op.Kind == Batch:
		op.Outcome, op.ID = Unknown, h.ID.String()
	case c.uncertain != nil:
		op.Outcome, op.ID = Unknown, c.uncertain.Ref.ID.String()
	case IsConflict(err):
		op.Outcome = Refused
	case errors.Is(err, ropewalk.ErrHeadLost):
		return err
	}
	return nil
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
	outcomes := map[string]int{}
	for _, op := range operations {
		outcomes[string(op.Kind)+" "+string(op.Outcome)]++
	}
	t.Logf("%d operations: %v", len(operations), outcomes)
	require.Equal(t, porcupine.Ok, Linearizable(operations))
}

// Linearizable checks that one order of all operations, each at some moment
// between its call and its return, explains all reported outcomes. An append of
// unknown outcome may have happened, at any later time, or not; but never after
// a Settle has refused it.
func Linearizable(operations []Operation) porcupine.CheckResult {
	history := make([]porcupine.Operation, 0, len(operations))
	for _, op := range operations {
		history = append(history, porcupine.Operation{ClientId: op.Client, Input: op, Call: op.Call, Output: op, Return: op.Return})
	}
	return porcupine.CheckOperationsTimeout(chainModel.ToModel(), history, time.Minute)
}

// chainState is a chain as a list of IDs, each followed by a space, and those
// that Settle has refused, which can never be in it.
type chainState struct{ history, refused string }

var chainModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{chainState{}} },
	Step: func(state, _, output any) []any {
		s, op := state.(chainState), output.(Operation)
		switch op.Kind {
		case Read:
			return s.when(slices.Equal(strings.Fields(s.history), op.History))
		case Settle:
			return s.settle(op)
		default:
			return s.append(op)
		}
	},
}

func (s chainState) append(op Operation) []any {
	ids := strings.Fields(s.history)
	newest := ""
	if len(ids) > 0 {
		newest = ids[len(ids)-1]
	}
	fits := op.Kind == Batch || newest == op.After
	can := fits && !strings.Contains(s.refused, op.ID+" ")
	extended := chainState{s.history + op.ID + " ", s.refused}
	switch {
	case op.Outcome == Refused:
		return s.when(!fits)
	case op.Outcome == Unknown && can:
		return []any{s, extended}
	case op.Outcome == Unknown:
		return []any{s}
	case can:
		return []any{extended}
	default:
		return nil
	}
}

func (s chainState) settle(op Operation) []any {
	committed := strings.Contains(s.history, op.ID+" ")
	if op.Outcome == OK || committed {
		return s.when(op.Outcome == OK && committed)
	}
	if strings.Contains(s.refused, op.ID+" ") {
		return []any{s}
	}
	return []any{chainState{s.history, s.refused + op.ID + " "}}
}

// when returns the unchanged state if that explains the operation.
func (s chainState) when(explained bool) []any {
	if explained {
		return []any{s}
	}
	return nil
}
