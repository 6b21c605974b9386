package gc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/internal/body"
	"ropewalk/internal/parallel"
)

// An orphan with the mark of a commit of several aggregates is a part of that commit. If
// the chain of another aggregate has the commit, the head of this aggregate was restored,
// and the part is what it can be rolled forward to: so the part must stay. The mark does not name the
// other aggregates, but it says how many there are. If an orphan with the mark was met in
// each of them, no chain has the commit. Otherwise that is unknown, and the part is kept.

// parted reports whether a suspect may be a part of a commit that another chain has.
func (a *collection) parted(s *suspect) bool {
	return !a.parts && slices.ContainsFunc(s.marks, func(m changeset.Commit) bool {
		return m.Members > 1 && !a.refused[m.ID]
	})
}

// readMarks learns the marks of the suspects that have to go otherwise.
func (a *collection) readMarks(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(a.options.Parallel)
	for i := range a.suspects {
		s := &a.suspects[i]
		f := a.rule(s.after, a.head.Revision)
		if s.open() && s.read && !s.opened && (f == lost || f == pending) && a.pastGrace(s.age) && !a.parts {
			group.Go(func() error { return a.readMarksOf(ctx, s) })
		}
	}
	return group.Wait()
}

// readMarksOf learns the marks of a suspect. Its metadata has them, unless it has lines.
func (a *collection) readMarksOf(ctx context.Context, s *suspect) error {
	if !s.lines {
		s.opened = true
		return nil
	}
	all, err := a.unpack(ctx, s.Ref)
	switch {
	case errors.Is(err, changeset.ErrNotFound):
		s.fate = gone
		return nil
	case damaged(err), errors.Is(err, changeset.ErrTooLarge):
		s.fate = unreadable
		a.options.Logger.WarnContext(ctx, "object does not decode, left alone", "ref", s.Ref, "cause", err)
		return nil
	case err != nil:
		return fmt.Errorf("read %s: %w", s.Ref, err)
	}
	for _, c := range all {
		mark := c.Commit()
		if mark.IsZero() || slices.Contains(s.marks, mark) {
			continue
		}
		copied, err := a.inChain(ctx, c.Ref)
		if err != nil {
			return fmt.Errorf("locate %s: %w", c.Ref, err)
		}
		if !copied {
			s.marks = append(s.marks, mark)
		}
	}
	s.opened = true
	return nil
}

// unpack returns the changesets in an object.
func (a *collection) unpack(ctx context.Context, ref changeset.Ref) ([]changeset.Changeset, error) {
	c, err := request(ctx, a.Collector, func() (changeset.Changeset, error) { return a.changesets.Get(ctx, ref, nil) })
	if err != nil {
		return nil, err
	}
	text, err := body.Decode(c, changeset.MaxReadBody)
	if err != nil {
		return nil, err
	}
	return changeset.Unpack(c, text)
}

// inChain reports whether the chain has a changeset, so that the orphan has a copy of it: a
// tip is put with each append that does not fit into it.
func (a *collection) inChain(ctx context.Context, ref changeset.Ref) (bool, error) {
	if ref.Version >= a.head.Len() {
		return false, nil
	}
	reader := ropewalk.New(a.changesets, a.heads, nil).Chain(a.id).ReaderAt(a.head)
	c, err := request(ctx, a.Collector, func() (changeset.Changeset, error) { return reader.At(ctx, ref.Version) })
	if errors.Is(err, changeset.ErrNotFound) || damaged(err) {
		return false, nil // the chain is broken there
	}
	return err == nil && c.ID == ref.ID, err
}

// pendingPart reports whether a part is pending. A fence would keep the head from being
// rolled forward to it.
func (a *collection) pendingPart() bool {
	return slices.ContainsFunc(a.suspects, func(s suspect) bool {
		return s.fate == part && a.rule(s.after, a.head.Revision) == pending
	})
}

// kept are the aggregates with parts of commits that were kept, in the collection of all
// aggregates.
type kept struct {
	reports []found
	met     map[changeset.ID]int // in how many aggregates parts of a commit were met
	refused map[changeset.ID]bool
}

// take takes the report of an aggregate. It returns false if no part was kept.
func (k *kept) take(r found) bool {
	if r.Err != nil || len(r.parts) == 0 {
		return false
	}
	k.reports = append(k.reports, r)
	for _, mark := range r.parts {
		if k.met[mark.ID]++; k.met[mark.ID] == mark.Members {
			k.refused[mark.ID] = true
		}
	}
	return true
}

// end yields the reports as they are, and the error that has ended the collection.
func (k *kept) end(yield func(Report, error) bool, err error) {
	for _, r := range k.reports {
		if !yield(r.Report, nil) {
			return
		}
	}
	yield(Report{}, err)
}

// collect yields the final reports: aggregates with parts of commits that no chain has
// are collected again.
func (k *kept) collect(ctx context.Context, c *Collector) iter.Seq2[Report, error] {
	reports := func(context.Context) iter.Seq2[found, error] {
		return func(yield func(found, error) bool) {
			for _, r := range k.reports {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
	return parallel.Map(ctx, c.options.Parallel, reports, func(ctx context.Context, first found) (Report, error) {
		if !slices.ContainsFunc(first.parts, func(m changeset.Commit) bool { return k.refused[m.ID] }) {
			return first.Report, nil
		}
		again, err := c.collectOne(ctx, first.AggregateID, k.refused)
		if c.options.Delete {
			again.Lost, again.Erased = again.Lost.Plus(first.Lost), again.Erased.Plus(first.Erased)
		}
		again.AggregateID, again.Seen = first.AggregateID, first.Seen
		again.Deleted, again.Fenced = again.Deleted.Plus(first.Deleted), again.Fenced || first.Fenced
		return again.Report, err
	})
}
