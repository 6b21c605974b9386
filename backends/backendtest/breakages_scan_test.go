package backendtest

import (
	"context"
	"iter"
	"slices"

	"ropewalk/changeset"
)

// scannedAs breaks what Scan yields.
func scannedAs(change func(b *broken, all []changeset.Scanned) []changeset.Scanned) func(*broken) {
	return func(b *broken) {
		b.scan = func(ctx context.Context, ids []string, admission changeset.Admission) iter.Seq2[changeset.Scanned, error] {
			return changed(b.Store.Scan(ctx, ids, admission), func(all []changeset.Scanned) []changeset.Scanned { return change(b, all) })
		}
	}
}

// scannedUnder breaks the admission of Scan.
func scannedUnder(change func(changeset.Admission) changeset.Admission) func(*broken) {
	return func(b *broken) {
		b.scan = func(ctx context.Context, ids []string, admission changeset.Admission) iter.Seq2[changeset.Scanned, error] {
			return b.Store.Scan(ctx, ids, change(admission))
		}
	}
}

// scannedBy breaks the sequence of Scan.
func scannedBy(change func(ctx context.Context, all iter.Seq2[changeset.Scanned, error]) iter.Seq2[changeset.Scanned, error]) func(*broken) {
	return func(b *broken) {
		b.scan = func(ctx context.Context, ids []string, admission changeset.Admission) iter.Seq2[changeset.Scanned, error] {
			return change(ctx, b.Store.Scan(ctx, ids, admission))
		}
	}
}

var scanBreakages = []breakage{
	{scanYieldsObjects, "Scan has an order of its own", func(b *broken) {
		b.scan = func(ctx context.Context, ids []string, admission changeset.Admission) iter.Seq2[changeset.Scanned, error] {
			return b.Store.Scan(ctx, slices.Sorted(slices.Values(ids)), admission)
		}
	}},
	{scanYieldsObjects, "Scan omits the last", scannedAs(func(_ *broken, all []changeset.Scanned) []changeset.Scanned { return shortened(all) })},
	{scanYieldsObjects, "Scan repeats one", scannedAs(func(_ *broken, all []changeset.Scanned) []changeset.Scanned {
		if len(all) == 0 {
			return all
		}
		return repeated(all)
	})},
	{scanYieldsObjects, "Scan leaves out orphans", scannedAs(func(_ *broken, all []changeset.Scanned) []changeset.Scanned {
		return slices.CompactFunc(all, func(a, b changeset.Scanned) bool {
			return a.AggregateID == b.AggregateID && a.Version == b.Version
		})
	})},
	{scanYieldsChangesets, "Scan leaves out small contents", scannedAs(func(_ *broken, all []changeset.Scanned) []changeset.Scanned {
		for i := range all {
			if all[i].Size == 1 {
				all[i].Changeset = nil
			}
		}
		return all
	})},
	{scanYieldsChangesets, "Scan yields an empty content", scannedAs(func(_ *broken, all []changeset.Scanned) []changeset.Scanned {
		for i := range all {
			if all[i].Changeset != nil && all[i].Size > 1 {
				all[i].Changeset.Body = []byte{}
			}
		}
		return all
	})},
	{scanOfCorrupt, "Scan leaves out the object of what does not decode", scannedAs(func(_ *broken, all []changeset.Scanned) []changeset.Scanned {
		return slices.DeleteFunc(all, func(s changeset.Scanned) bool { return s.Changeset == nil })
	})},
	{scanAsksAdmission, "Scan does not ask the admission", scannedUnder(func(changeset.Admission) changeset.Admission { return nil })},
	{scanAsksAdmission, "Scan asks the admission twice", scannedUnder(func(a changeset.Admission) changeset.Admission {
		return func(h changeset.Header) error {
			_ = a.Admit(h)
			return a.Admit(h)
		}
	})},
	{scanMayBeLeft, "Scan goes on when it is left", scannedBy(func(_ context.Context, all iter.Seq2[changeset.Scanned, error]) iter.Seq2[changeset.Scanned, error] {
		return stubborn(all)
	})},
	{scanMayBeLeft, "Scan can be ranged over once", scannedBy(func(_ context.Context, all iter.Seq2[changeset.Scanned, error]) iter.Seq2[changeset.Scanned, error] {
		return once(all)
	})},
	{scanDoesNotAlias, "Scan keeps what it yields", func(b *broken) {
		kept := map[changeset.Ref]*changeset.Changeset{}
		b.scan = func(ctx context.Context, ids []string, admission changeset.Admission) iter.Seq2[changeset.Scanned, error] {
			return changed(b.Store.Scan(ctx, ids, admission), func(all []changeset.Scanned) []changeset.Scanned {
				for i, s := range all {
					if kept[s.Ref] == nil {
						kept[s.Ref] = s.Changeset
					}
					all[i].Changeset = kept[s.Ref]
				}
				return all
			})
		}
	}},
	{scanOfNothing, "Scan of nothing looks at its context", scannedBy(func(ctx context.Context, all iter.Seq2[changeset.Scanned, error]) iter.Seq2[changeset.Scanned, error] {
		return func(yield func(changeset.Scanned, error) bool) {
			if ctx.Err() != nil {
				yield(changeset.Scanned{}, ctx.Err())
				return
			}
			all(yield)
		}
	})},
	{scanUnderEndedContext, "Scan hides that its context has ended", scannedBy(func(_ context.Context, all iter.Seq2[changeset.Scanned, error]) iter.Seq2[changeset.Scanned, error] {
		return hiding(all)
	})},
	{scanUnderEndedContext, "Scan ignores its context", func(b *broken) {
		b.scan = func(ctx context.Context, ids []string, admission changeset.Admission) iter.Seq2[changeset.Scanned, error] {
			return b.Store.Scan(context.WithoutCancel(ctx), ids, admission)
		}
	}},
}
