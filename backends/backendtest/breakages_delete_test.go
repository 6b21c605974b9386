package backendtest

import (
	"context"
	"fmt"

	"ropewalk/changeset"
)

var deleteBreakages = []breakage{
	{deleteRemovesOne, "Delete does nothing", func(b *broken) {
		b.remove = func(context.Context, changeset.Ref) error { return nil }
	}},
	{deleteRemovesOne, "Delete removes all of the version", func(b *broken) {
		b.remove = func(ctx context.Context, ref changeset.Ref) error {
			for o := range b.Store.Objects(ctx, ref.AggregateID) {
				if o.Version == ref.Version {
					_ = b.Store.Delete(ctx, o.Ref)
				}
			}
			return nil
		}
	}},
	{deleteRemovesOne, "Delete removes the object for its own handle", func(b *broken) {
		own := b.Clone()
		b.put = func(ctx context.Context, c changeset.Changeset) error {
			_ = own.Put(ctx, c)
			return b.Store.Put(ctx, c)
		}
		b.get, b.stat, b.objects, b.remove = own.Get, own.Stat, own.Objects, own.Delete
	}},
	{deleteMayBeRepeated, "Delete fails where nothing is there", func(b *broken) {
		b.remove = func(ctx context.Context, ref changeset.Ref) error {
			_, err := b.Store.Stat(ctx, ref)
			_ = b.Store.Delete(ctx, ref)
			return err
		}
	}},
	{locateNames, "Locate knows no names", func(b *broken) {
		b.locate = func(changeset.Ref) string { return "" }
	}},
	{locateNames, "Locate leaves out the changeset ID", func(b *broken) {
		b.locate = func(ref changeset.Ref) string { return fmt.Sprintf("%s@%d", ref.AggregateID, ref.Version) }
	}},
	{locateNames, "Locate depends on the handle", func(b *broken) {
		b.locate = func(ref changeset.Ref) string { return fmt.Sprintf("%p/%s", b, ref) }
	}},
}
