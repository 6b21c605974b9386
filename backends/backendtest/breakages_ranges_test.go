package backendtest

import (
	"context"
	"slices"

	"ropewalk/changeset"
)

type getRange = func(ctx context.Context, aggregateID string, first, last uint64, admission changeset.Admission) ([]changeset.Changeset, error)

// rangeOf is a GetRange that lists and reads one by one.
func rangeOf(s interface {
	changeset.Store
	changeset.Lister
},
) getRange {
	return func(ctx context.Context, aggregateID string, first, last uint64, admission changeset.Admission) (all []changeset.Changeset, _ error) {
		for o, err := range s.Objects(ctx, aggregateID) {
			if err != nil {
				return nil, err
			}
			if first <= o.Version && o.Version <= last && !o.IsPacked() {
				if c, err := s.Get(ctx, o.Ref, admission); err == nil {
					all = append(all, c)
				}
			}
		}
		return all, nil
	}
}

// gotRange breaks what GetRange returns.
func gotRange(change func(all []changeset.Changeset) []changeset.Changeset) func(*broken) {
	return func(b *broken) {
		intact := b.getRange
		b.getRange = func(ctx context.Context, aggregateID string, first, last uint64, admission changeset.Admission) ([]changeset.Changeset, error) {
			all, err := intact(ctx, aggregateID, first, last, admission)
			return change(all), err
		}
	}
}

// askedRange breaks what GetRange is asked.
func askedRange(change func(first, last *uint64, admission *changeset.Admission)) func(*broken) {
	return func(b *broken) {
		intact := b.getRange
		b.getRange = func(ctx context.Context, aggregateID string, first, last uint64, admission changeset.Admission) ([]changeset.Changeset, error) {
			change(&first, &last, &admission)
			return intact(ctx, aggregateID, first, last, admission)
		}
	}
}

var rangeBreakages = []breakage{
	{rangeReturnsVersions, "GetRange leaves the last version out of account", askedRange(func(_, last *uint64, _ *changeset.Admission) { *last += 1 })},
	{rangeReturnsVersions, "GetRange begins too early", askedRange(func(first, _ *uint64, _ *changeset.Admission) { *first = 0 })},
	{rangeReturnsVersions, "GetRange goes backward", gotRange(func(all []changeset.Changeset) []changeset.Changeset {
		slices.Reverse(all)
		return all
	})},
	{rangeReturnsVersions, "GetRange returns one twice", gotRange(func(all []changeset.Changeset) []changeset.Changeset {
		return append(all, all[max(0, len(all)-1):]...)
	})},
	{rangeReturnsVersions, "GetRange fills in Content", gotRange(func(all []changeset.Changeset) []changeset.Changeset {
		for i := range all {
			all[i].Content = all[i].Body
		}
		return all
	})},
	{rangeOfCorrupt, "GetRange fails where one does not decode", func(b *broken) {
		b.getRange = func(ctx context.Context, aggregateID string, _, _ uint64, _ changeset.Admission) (all []changeset.Changeset, _ error) {
			for o := range b.Store.Objects(ctx, aggregateID) {
				c, err := b.Store.Get(ctx, o.Ref, nil)
				if err != nil {
					return nil, err
				}
				all = append(all, c)
			}
			return all, nil
		}
	}},
	{rangeAsksAdmission, "GetRange does not ask the admission", askedRange(func(_, _ *uint64, admission *changeset.Admission) { *admission = nil })},
	{rangeAsksAdmission, "GetRange asks the admission twice", askedRange(func(_, _ *uint64, admission *changeset.Admission) {
		intact := *admission
		*admission = func(h changeset.Header) error {
			_ = intact.Admit(h)
			return intact.Admit(h)
		}
	})},
	{rangeDoesNotAlias, "GetRange keeps what it returns", func(b *broken) {
		intact, kept := b.getRange, map[string][]changeset.Changeset{}
		b.getRange = func(ctx context.Context, aggregateID string, first, last uint64, admission changeset.Admission) (all []changeset.Changeset, err error) {
			if kept[aggregateID] == nil {
				kept[aggregateID], err = intact(ctx, aggregateID, first, last, admission)
			}
			return slices.Clone(kept[aggregateID]), err
		}
	}},
	{rangesOfItself, "GetsRangesOf holds for every store", func(b *broken) {
		b.rangesOf = func(*broken, changeset.Store) bool { return true }
	}},
	{rangesOfItself, "GetsRangesOf holds for no store", func(b *broken) {
		b.rangesOf = func(*broken, changeset.Store) bool { return false }
	}},
	{rangeUnderEndedContext, "GetRange takes what is under an ended context for missing", func(b *broken) {
		intact := b.getRange
		b.getRange = func(ctx context.Context, aggregateID string, first, last uint64, admission changeset.Admission) ([]changeset.Changeset, error) {
			all, _ := intact(ctx, aggregateID, first, last, admission)
			return all, nil
		}
	}},
}
