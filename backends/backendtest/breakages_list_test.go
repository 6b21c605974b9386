package backendtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
)

var listingBreakages = []breakage{
	{objectsYieldsAll, "Objects begins with the newest", objectsAs(reversed)},
	{objectsYieldsAll, "Objects repeats one", objectsAs(repeated)},
	{objectsYieldsAll, "Objects omits the last", objectsAs(shortened)},
	{objectsYieldsAll, "Objects ends with the first page", objectsAs(onePage)},
	{objectsYieldsAll, "Objects orders versions as texts", objectsAs(func(all []changeset.Object) []changeset.Object {
		slices.SortStableFunc(all, func(a, b changeset.Object) int {
			return strings.Compare(fmt.Sprint(a.Version), fmt.Sprint(b.Version))
		})
		return all
	})},
	{objectsYieldsAll, "Objects leaves out orphans", objectsAs(func(all []changeset.Object) []changeset.Object {
		return slices.CompactFunc(all, func(a, b changeset.Object) bool { return a.Version == b.Version })
	})},
	{objectsOfNone, "Objects fails for an aggregate without objects", func(b *broken) {
		b.objects = func(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
			return func(yield func(changeset.Object, error) bool) { yield(changeset.Object{}, changeset.ErrNotFound) }
		}
	}},
	{objectsOfOneAggregate, "Objects takes the aggregate's name for a prefix", func(b *broken) {
		b.objects = func(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
			return objectsWhere(ctx, b, func(id string) bool { return strings.HasPrefix(id, aggregateID) })
		}
	}},
	{objectsTellSizeAndTime, "Objects tells no size", objectsAs(each(func(o *changeset.Object) { o.Size = 0 }))},
	{objectsTellSizeAndTime, "Objects tells no time", objectsAs(each(func(o *changeset.Object) { o.LastModified = time.Time{} }))},
	{objectsMayBeLeft, "Objects goes on when it is left", func(b *broken) {
		b.objects = func(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
			return stubborn(b.Store.Objects(ctx, aggregateID))
		}
	}},
	{objectsMayBeLeft, "Objects can be ranged over once", func(b *broken) {
		b.objects = func(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
			return once(b.Store.Objects(ctx, aggregateID))
		}
	}},
	{objectsLeaveForeignOut, "Objects fails on a foreign object", func(b *broken) {
		b.objects = func(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
			return strict(b, aggregateID, b.Store.Objects(ctx, aggregateID))
		}
	}},
	{objectsCancelled, "Objects hides that its context has ended", func(b *broken) {
		b.objects = func(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
			return hiding(b.Store.Objects(ctx, aggregateID))
		}
	}},
	{aggregatesYieldsAll, "Aggregates has the order of folder names", aggregatesAs(func(ids []string) []string {
		slices.SortFunc(ids, func(a, b string) int { return strings.Compare(changeset.FolderOf(a), changeset.FolderOf(b)) })
		return ids
	})},
	{aggregatesYieldsAll, "Aggregates repeats one", aggregatesAs(repeated)},
	{aggregatesYieldsAll, "Aggregates ends with the first page", aggregatesAs(onePage)},
	{aggregatesBeginBehind, "Aggregates begins with after", func(b *broken) {
		b.aggregates = func(ctx context.Context, after string) iter.Seq2[string, error] {
			return b.Store.Aggregates(ctx, after[:max(0, len(after)-1)])
		}
	}},
	{aggregatesBeginBehind, "Aggregates begins behind the folder's name", func(b *broken) {
		b.aggregates = func(ctx context.Context, after string) iter.Seq2[string, error] {
			return where(b.Store.Aggregates(ctx, ""), func(id string) bool {
				return after == "" || changeset.FolderOf(id) > changeset.FolderOf(after)
			})
		}
	}},
	{aggregatesBeginBehind, "Aggregates begins where after is", func(b *broken) {
		b.aggregates = func(ctx context.Context, after string) iter.Seq2[string, error] {
			begun := after == ""
			return where(b.Store.Aggregates(ctx, ""), func(id string) bool {
				before := begun
				begun = begun || id == after
				return before
			})
		}
	}},
	{aggregatesMayBeLeft, "Aggregates goes on when it is left", func(b *broken) {
		b.aggregates = func(ctx context.Context, after string) iter.Seq2[string, error] {
			return stubborn(b.Store.Aggregates(ctx, after))
		}
	}},
	{aggregatesMayBeLeft, "Aggregates can be ranged over once", func(b *broken) {
		b.aggregates = func(ctx context.Context, after string) iter.Seq2[string, error] {
			return once(b.Store.Aggregates(ctx, after))
		}
	}},
	{oddChangesets, "Objects takes aggregate IDs without regard to case", func(b *broken) {
		b.objects = func(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
			return objectsWhere(ctx, b, func(id string) bool { return strings.EqualFold(id, aggregateID) })
		}
	}},
	{oddChangesets, "Put refuses names with dots", func(b *broken) {
		b.put = func(ctx context.Context, c changeset.Changeset) error {
			if strings.Contains(c.AggregateID, "..") {
				return errors.New("bad name")
			}
			return b.Store.Put(ctx, c)
		}
	}},
}

func objectsAs(change func([]changeset.Object) []changeset.Object) func(b *broken) {
	return func(b *broken) {
		b.objects = func(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
			return changed(b.Store.Objects(ctx, aggregateID), change)
		}
	}
}

func aggregatesAs(change func([]string) []string) func(b *broken) {
	return func(b *broken) {
		b.aggregates = func(ctx context.Context, after string) iter.Seq2[string, error] {
			return changed(b.Store.Aggregates(ctx, after), change)
		}
	}
}

// objectsWhere yields the objects of all aggregates that match.
func objectsWhere(ctx context.Context, b *broken, match func(aggregateID string) bool) iter.Seq2[changeset.Object, error] {
	return func(yield func(changeset.Object, error) bool) {
		for id := range where(b.Store.Aggregates(ctx, ""), match) {
			b.Store.Objects(ctx, id)(yield)
		}
	}
}

// strict fails where the aggregate has foreign objects.
func strict(b *broken, aggregateID string, all iter.Seq2[changeset.Object, error]) iter.Seq2[changeset.Object, error] {
	var err error
	b.Tamper(func(contents *memstore.Contents) {
		for name := range contents.Objects {
			if _, bad := changeset.ParseObjectName(name); bad != nil && strings.HasPrefix(name, changeset.FolderOf(aggregateID)) {
				err = bad
			}
		}
	})
	return func(yield func(changeset.Object, error) bool) {
		if err == nil || yield(changeset.Object{}, err) {
			all(yield)
		}
	}
}
