package aggregate

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// maxRequests is how many aggregates of one commit are read at once.
const maxRequests = 64

// Commit saves the changes of several aggregates, all or none, if all of them are as they
// were loaded. Their types may differ; they are of one store, whose heads can be swapped
// together: in DynamoDB, SQLite or memory. It is one attempt of two round trips, whatever
// the number of aggregates, or of one if all events fit into the heads of packed chains.
// It has the limits of [ropewalk.Store.Commit]. Without any events it sends nothing.
//
//	order := orders.Change(o, []OrderEvent{Placed{…}}, aggregate.Once(requestID))
//	stock := stocks.Change(s, []StockEvent{Reserved{…}})
//	err := aggregate.Commit(ctx, order, stock, customers.Unchanged(c))
//	… order.Loaded(), stock.Loaded()
//
// After a conflict, a caller loads the aggregates again, decides, and commits new changes.
//
// The options of a change are for its events, except [Once]: the key is the command of the
// whole commit, whichever change has it. One key belongs to one commit. A repeated commit
// is recognised if one aggregate that is appended to shows the command, as [Once] says. It
// stores nothing, and [Loaded.Repeated] is set in each change. The error matches
// [ErrInvalidKey] if two changes have different keys, or if an aggregate shows that the
// command was processed by a save of that aggregate alone.
//
// Its errors are the errors of [Repository.Save]. A *ropewalk.ConflictError names in Actual
// the aggregate that has changed. A *ropewalk.UncertainError is settled by the chain of Ref,
// or of one of Others, for all aggregates. If the heads cannot be swapped together, the error
// matches errors.ErrUnsupported, and nothing was sent. With any error the changes have the
// aggregates as given.
func Commit(ctx context.Context, changes ...Change) error {
	c := &commit{changes: changes}
	repeated, err := c.run(ctx)
	for _, change := range changes {
		change.end(repeated && err == nil, err)
	}
	return err
}

// commit is a commit of several aggregates under way.
type commit struct {
	changes []Change
	appends []int  // the changes with events
	key     string // empty: none
}

// run carries the commit out. It reports whether the command was processed before.
func (c *commit) run(ctx context.Context) (repeated bool, _ error) {
	if err := c.begin(ctx); err != nil {
		return false, err
	}
	if repeated, err := c.met(); err != nil {
		return false, err
	} else if repeated {
		return true, c.catchUp(ctx)
	}
	members, err := c.members()
	if err != nil || len(c.appends) == 0 {
		return false, err
	}
	var mark changeset.Commit
	heads, err := c.changes[0].store().Commit(link.NoteMark(ctx, &mark), members...)
	if err != nil {
		return c.refused(ctx, err)
	}
	return c.committed(ctx, heads, mark)
}

// begin gathers the options of the changes. All calls then have the key of the commit.
func (c *commit) begin(ctx context.Context) error {
	var calls []*call
	for i, change := range c.changes {
		options, err := change.begin(ctx)
		if err != nil {
			return err
		}
		if options.key != "" && c.key != "" && options.key != c.key {
			return fmt.Errorf("%w: a commit has one, not %q and %q", ErrInvalidKey, c.key, options.key)
		}
		c.key = cmp.Or(c.key, options.key)
		calls = append(calls, options)
		if change.appends() {
			c.appends = append(c.appends, i)
		}
	}
	for _, options := range calls {
		options.key = c.key
	}
	return nil
}

// met reports whether an aggregate that is appended to shows the command of a commit: one
// is enough. A command that was processed for one aggregate alone says nothing of the
// others, and to process it again could be once too often.
func (c *commit) met() (repeated bool, err error) {
	for _, i := range c.appends {
		met := c.changes[i].met()
		if met.hasJoint(c.key) {
			return true, nil
		}
		if c.key != "" && met.has(c.key) {
			err = fmt.Errorf("%w: %q was processed by a save of one aggregate alone", ErrInvalidKey, c.key)
		}
	}
	return false, err
}

func (c *commit) members() (all []ropewalk.Member, _ error) {
	for _, change := range c.changes {
		m, err := change.member()
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// refused returns the outcome of a commit that failed. After a conflict the command may
// have been processed in the meantime: the new changesets show it.
func (c *commit) refused(ctx context.Context, cause error) (repeated bool, _ error) {
	if c.key == "" || !errors.Is(cause, ropewalk.ErrConflict) {
		return false, cause
	}
	if err := c.catchUp(ctx); err != nil {
		// No *ConflictError: the command itself may be what came first.
		return false, fmt.Errorf("%v; whether the command %q was processed before could not be read: %w", cause, c.key, err)
	}
	if repeated, _ := c.met(); repeated {
		return true, nil
	}
	return false, cause
}

// committed takes in the heads that the commit returned. An earlier commit with the same
// command may have made them.
func (c *commit) committed(ctx context.Context, heads []head.Head, mark changeset.Commit) (repeated bool, _ error) {
	first := c.appends[0]
	if c.key == "" || c.changes[first].made(heads[first], mark) {
		for _, i := range c.appends {
			c.changes[i].adopt(ctx, heads[i])
		}
		return false, nil
	}
	repeats := make([]bool, len(c.changes))
	err := c.each(func(i int) (err error) {
		repeats[i], err = c.changes[i].recognise(ctx, heads[i])
		return err
	})
	return repeats[first], err
}

// catchUp reads what is new of the aggregates that do not show the command.
func (c *commit) catchUp(ctx context.Context) error {
	return c.each(func(i int) error {
		if c.changes[i].met().hasJoint(c.key) {
			return nil
		}
		return c.changes[i].catchUp(ctx)
	})
}

// each does something with all changes that append, at the same time.
func (c *commit) each(do func(i int) error) error {
	var group errgroup.Group
	group.SetLimit(maxRequests)
	for _, i := range c.appends {
		group.Go(func() error { return do(i) })
	}
	return group.Wait()
}
