package ropewalk

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// maxCommitSize is the largest size of all contents of one commit.
const maxCommitSize = 64 << 20

// Member is one aggregate of a commit, see [Store.Commit]. Make it by [Chain.Appending] or
// [Chain.Unchanged].
type Member struct {
	chain     *Chain
	head      head.Head
	drafts    []changeset.Draft
	unchanged bool
}

// Appending returns the member of a commit that appends one changeset for each draft after
// the head that the caller has read. The zero Head means that the chain must not exist yet.
// If the head was made from a header ([head.Head.IsPoint]), the commit loads the record
// first.
func (c *Chain) Appending(after head.Head, drafts ...changeset.Draft) Member {
	return Member{chain: c, head: after, drafts: drafts}
}

// Unchanged returns the member of a commit whose history must still be what the caller has
// read. The zero Head means that the chain must not exist. A fence changes no history.
func (c *Chain) Unchanged(seen head.Head) Member {
	return Member{chain: c, head: seen, unchanged: true}
}

// checkMembers refuses a commit that no storage can make.
func (s *Store) checkMembers(ctx context.Context, members []Member) error {
	changesets, size, seen := 0, int64(0), map[string]bool{}
	for _, m := range members {
		if m.chain == nil || m.chain.store != s {
			return errors.New("a member is not a chain of this store")
		}
		if seen[m.chain.id] {
			return fmt.Errorf("%q is a member twice", m.chain.id)
		}
		seen[m.chain.id] = true
		if err := m.check(ctx); err != nil {
			return err
		}
		changesets += len(m.drafts)
		for _, d := range m.drafts {
			size += int64(len(d.Content))
		}
	}
	command := commandOf(members)
	switch {
	case slices.ContainsFunc(members, func(m Member) bool {
		return len(m.drafts) > 0 && m.drafts[0].CommandID != command && m.drafts[0].CommandID != ""
	}):
		return fmt.Errorf("%w: the members have different command IDs", ErrInvalidDraft)
	case changesets == 0:
		return fmt.Errorf("%w: no member appends", ErrInvalidDraft)
	case changesets > changeset.MaxPerAppend:
		return fmt.Errorf("%w: a commit has 1 to %d changesets, not %d", ErrInvalidDraft, changeset.MaxPerAppend, changesets)
	case size > maxCommitSize:
		return fmt.Errorf("%w: the contents of a commit have %d bytes, more than %d", ErrTooLarge, size, maxCommitSize)
	}
	return nil
}

// commandOf returns the command ID of a commit; empty if it has none.
func commandOf(members []Member) string {
	for _, m := range members {
		if len(m.drafts) > 0 && m.drafts[0].CommandID != "" {
			return m.drafts[0].CommandID
		}
	}
	return ""
}

// withCommand returns the members with the command ID of the commit in each.
func withCommand(members []Member) []Member {
	all, command := slices.Clone(members), commandOf(members)
	for i, m := range all {
		if len(m.drafts) > 0 {
			all[i].drafts = slices.Clone(m.drafts)
			all[i].drafts[0].CommandID = command
		}
	}
	return all
}

func (m Member) check(ctx context.Context) error {
	if err := m.chain.checkDrafts(ctx, m.head, m.drafts); err != nil {
		return err
	}
	if !m.unchanged {
		if err := link.ValidateAppend(m.drafts); err != nil {
			return fmt.Errorf("append to %q: %w", m.chain.id, err)
		}
	}
	switch {
	case !m.head.IsZero() && m.head.AggregateID != m.chain.id:
		return fmt.Errorf("the head belongs to %q, not to %q", m.head.AggregateID, m.chain.id)
	case m.unchanged && m.head.Move != (head.Move{}):
		return m.head.CheckAppendable()
	case m.head.MidAppend():
		return fmt.Errorf("%s is in the middle of an append: a commit needs the head after it", m.head.Ref)
	}
	return changeset.ValidateAggregateID(m.chain.id)
}

// transactor returns the storage that can swap as many heads together.
func (s *Store) transactor(members int) (head.Transactor, error) {
	t, ok := head.As[head.Transactor](s.heads)
	most := 0
	if ok {
		most = t.Members()
	}
	switch {
	case most == 0:
		return nil, fmt.Errorf("the heads of this storage cannot be swapped together; use DynamoDB or SQLite for the heads, or one aggregate: %w", errors.ErrUnsupported)
	case members > most:
		return nil, fmt.Errorf("a commit has 1 to %d aggregates, not %d", most, members)
	}
	return t, nil
}

// refusal returns why the head h of a member that was to be unchanged refuses the commit:
// a final error, or errPending if the history is unchanged.
func (m Member) refusal(h head.Head) error {
	switch {
	case h.State == head.Erased:
		return fmt.Errorf("chain %q: %w", m.chain.id, ErrErased)
	case h.Move != (head.Move{}):
		return h.CheckAppendable() // it may have changed where it moves
	case h.SameContent(m.head):
		return errPending
	case h.Revision < m.head.Revision, m.head.Exists() && (!h.Exists() || h.Version < m.head.Version), diverged(m.head, h):
		return headLost(m.head, h)
	}
	return &ConflictError{Expected: m.head, Actual: h}
}
