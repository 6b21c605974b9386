package sqlitestore

import (
	"bytes"
	"context"

	"ropewalk/changeset"
	"ropewalk/head"
)

// maxMembers is how many heads one step swaps at most, as many as in DynamoDB. SQLite
// has no limit of its own.
const maxMembers = 100

// Members returns 100.
func (s *Store) Members() int { return maxMembers }

// SwapAll swaps several heads and puts their changesets in one transaction, which other
// calls may share. It returns the errors of [head.Transactor]; a database that stays busy
// is a retryable [*head.NotAppliedError] that matches [ErrBusy].
func (s *Store) SwapAll(ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
	if err := head.CheckExchanges(exchanges, maxMembers); err != nil {
		return nil, err
	}
	members, size, err := newMembers(exchanges)
	if err != nil {
		return nil, swapFailure(s.name, s.closed.Load(), &head.NotAppliedError{Err: err})
	}
	var heads []head.Head
	err = s.writer.do(ctx, size, func() (err error) {
		heads, err = s.exchangeAll(members)
		return err
	})
	if err != nil {
		return nil, swapFailure(s.name, s.closed.Load(), err)
	}
	s.bell.Ring()
	return heads, nil
}

// member is an exchange with the rows that it writes.
type member struct {
	head.Exchange
	swap *replacement // nil if the head is to be unchanged
	rows []row
}

func newMembers(exchanges []head.Exchange) (members []member, size int, err error) {
	for _, e := range exchanges {
		m := member{Exchange: e}
		if !e.Next.IsZero() {
			if m.swap, err = newReplacement(e.Old, e.Next); err != nil {
				return nil, 0, err
			}
			n := 0
			if m.rows, n, err = newRows(e.Changesets); err != nil {
				return nil, 0, err
			}
			size += n
		}
		members = append(members, m)
	}
	return members, size, nil
}

// exchangeAll makes a step within the writer's transaction. The conditions of all members
// come first: after a conflict it must have written nothing, as the transaction goes on.
func (s *Store) exchangeAll(members []member) ([]head.Head, error) {
	if err := s.checkAll(members); err != nil {
		return nil, err
	}
	return s.replaceAll(members)
}

// checkAll tests the conditions of all members. It finds all winners.
func (s *Store) checkAll(members []member) error {
	heads, err := s.headsOf(members)
	if err != nil {
		return err
	}
	winners := map[string]*head.Head{}
	for _, m := range members {
		if current := heads[m.AggregateID]; !m.HoldsFor(current) {
			winners[m.AggregateID] = &current
		}
	}
	if len(winners) > 0 {
		return &head.ConflictsError{Winners: winners}
	}
	return nil
}

// headsOf reads the heads of all members by one statement.
func (s *Store) headsOf(members []member) (map[string]head.Head, error) {
	ids := make([]string, len(members))
	for i, m := range members {
		ids[i] = m.AggregateID
	}
	keys, err := escapedIDs(ids)
	if err != nil {
		return nil, err
	}
	rows, err := s.session.loadAll.Query(keys)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	heads := map[string]head.Head{}
	for rows.Next() {
		var place int
		var r head.Row
		if err := rows.Scan(&place, &r.Record, &r.Ancestors, &r.Digest); err != nil {
			return nil, err
		}
		m := members[place]
		if heads[m.AggregateID], err = s.headIn(r, m); err != nil {
			return nil, err
		}
	}
	return heads, rows.Err()
}

// headIn returns the head in the row of a member. A row that is the expected one, as nearly
// all are, need not be decoded.
func (s *Store) headIn(r head.Row, m member) (head.Head, error) {
	if m.swap != nil && r.Record == m.swap.expected && bytes.Equal(r.Digest, m.Old.Digest[:]) {
		return m.Old, nil
	}
	return decodeHead(s.name, changeset.Escape(m.AggregateID), r)
}

// replaceAll replaces the heads and puts the changesets of members whose conditions hold.
func (s *Store) replaceAll(members []member) (heads []head.Head, err error) {
	for _, m := range members {
		h := m.Old
		if m.swap != nil {
			if h, err = s.swap(m.swap); err != nil {
				return nil, err
			}
		}
		if err := s.session.insertAll(m.rows); err != nil {
			return nil, err
		}
		heads = append(heads, h)
	}
	return heads, nil
}
