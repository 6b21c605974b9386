package ropewalk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/pause"
)

// UpdateAll reads several aggregates, decides, and commits as one step: [Chain.Update] for
// 1 to 100 aggregates. It calls decide with a reader for each aggregate, in the order of
// aggregateIDs, and commits the drafts that decide returns for each, also in this order
// ([Store.Commit]). An aggregate without drafts must be unchanged for the commit. So a
// decision can depend on any of the aggregates. If there are no drafts at all, UpdateAll
// commits nothing, and returns the heads that decide saw.
//
// It returns a head for each aggregate, in the order of aggregateIDs; the zero Head for an
// aggregate that does not exist. decide follows the rules of [Chain.Update]. After a
// conflict it is called again, and an uncertain commit is never decided again. The errors
// are the errors of [Store.Commit], except [*ConflictError]. If the heads cannot be swapped
// together, the error matches [errors.ErrUnsupported], and nothing is read.
//
// If the drafts have a command ID, it is looked for among the changesets that decide has read
// of the aggregates with drafts. If one of them was committed with the same command, then so
// were all: UpdateAll commits nothing, and returns the heads that decide saw. If the command
// was appended to one aggregate alone, the error matches [ErrInvalidDraft]: one command ID
// belongs to one commit.
func (s *Store) UpdateAll(ctx context.Context, aggregateIDs []string, decide func(context.Context, []*Reader) ([][]changeset.Draft, error)) (got []head.Head, err error) {
	err = errUnfinished
	ctx, end := s.start(ctx, OperationUpdate, "")
	defer func() { end(Result{0, err}) }()
	return s.updateAll(ctx, aggregateIDs, decide)
}

// updateAll is UpdateAll without the observer.
func (s *Store) updateAll(ctx context.Context, aggregateIDs []string, decide func(context.Context, []*Reader) ([][]changeset.Draft, error)) ([]head.Head, error) {
	u, err := s.newUpdate(aggregateIDs)
	if err != nil {
		return nil, fmt.Errorf("update %d aggregates: %w", len(aggregateIDs), err)
	}
	if err := u.load(ctx); err != nil {
		return nil, err
	}
	pauses := pause.New()
	for first := true; ; first = false {
		drafts, err := decide(ctx, u.readers())
		if err != nil {
			return u.heads, err
		}
		members, err := u.members(drafts)
		if err != nil || members == nil {
			return u.heads, err
		}
		if repeated, err := u.repeats(members); repeated || err != nil {
			return u.heads, err
		}
		got, err := s.Commit(ctx, members...)
		conflict, ok := errors.AsType[*ConflictError](err)
		if !ok {
			return got, err
		}
		if i := slices.Index(aggregateIDs, conflict.Actual.AggregateID); first && i >= 0 {
			u.heads[i] = conflict.Actual
			continue
		}
		if err := pauses.Wait(ctx); err != nil {
			return nil, errors.Join(err, conflict)
		}
		if err := u.load(ctx); err != nil {
			return nil, err
		}
	}
}

// updateAll is what a call of UpdateAll knows of its aggregates.
type updateAll struct {
	chains []*Chain
	known  *readCache
	heads  []head.Head

	mu  sync.Mutex
	met map[met]bool
}

// met is a command ID that was read in a history.
type met struct {
	aggregateID, commandID string
	joint                  bool // a commit of several aggregates has it
}

func (s *Store) newUpdate(ids []string) (*updateAll, error) {
	if len(ids) == 0 {
		return nil, errors.New("there are no aggregates")
	}
	if _, err := s.transactor(len(ids)); err != nil {
		return nil, err
	}
	u := &updateAll{known: s.newReadCache(), heads: make([]head.Head, len(ids)), met: map[met]bool{}}
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			return nil, fmt.Errorf("%q is there twice", id)
		}
		u.chains = append(u.chains, s.Chain(id))
	}
	return u, nil
}

// load loads the heads of all aggregates.
func (u *updateAll) load(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxRequests)
	for i, c := range u.chains {
		group.Go(func() (err error) {
			u.heads[i], err = c.reload(ctx, u.heads[i])
			return err
		})
	}
	return group.Wait()
}

func (u *updateAll) readers() []*Reader {
	all := make([]*Reader, len(u.chains))
	for i, c := range u.chains {
		all[i] = &Reader{store: c.store, changesets: u.known, id: c.id, head: u.heads[i], met: u.meet}
	}
	return all
}

// meet remembers the command of a changeset that was read.
func (u *updateAll) meet(h changeset.Header) {
	if h.CommandID == "" {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.met[met{h.AggregateID, h.CommandID, !h.Commit().IsZero()}] = true
}

// repeats reports whether the command of the members was met in a commit.
func (u *updateAll) repeats(members []Member) (repeated bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	command := commandOf(members)
	for _, m := range members {
		switch {
		case m.unchanged:
		case u.met[met{m.chain.id, command, true}]:
			return true, nil
		case u.met[met{m.chain.id, command, false}]:
			err = fmt.Errorf("%w: the command %q was appended to %q alone", ErrInvalidDraft, command, m.chain.id)
		}
	}
	return false, err
}

// members returns the members of the commit of what was decided; nil without any draft.
func (u *updateAll) members(drafts [][]changeset.Draft) (all []Member, err error) {
	if len(drafts) > len(u.chains) {
		return nil, fmt.Errorf("%w: drafts for %d aggregates, and %d were read", ErrInvalidDraft, len(drafts), len(u.chains))
	}
	appends := false
	for i, c := range u.chains {
		m := c.Unchanged(u.heads[i])
		if i < len(drafts) && len(drafts[i]) > 0 {
			m, appends = c.Appending(u.heads[i], drafts[i]...), true
		}
		all = append(all, m)
	}
	if !appends {
		return nil, nil
	}
	return all, nil
}
