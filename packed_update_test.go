package ropewalk_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
)

// A decision that is made again reads only the objects that are new.
func TestUpdateOfAPackedChainReadsOnlyWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBuilt(t)
		for range 5 {
			b.append(link.Layout{Packed: true}, make([]changeset.Draft, 3)...)
		}
		b.save()
		direct := ropewalk.New(b.db, b.db, nil).Chain("order-1")
		store, m := metered(b.db, &ropewalk.Options{TipSize: -1})
		tries, read := 0, meter.Counts{}
		_, err := store.Chain("order-1").Update(t.Context(), func(ctx context.Context, r *ropewalk.Reader) ([]changeset.Draft, error) {
			before := m.Count()
			drafts, err := count(ctx, r)
			read.Get += m.Count().Get - before.Get
			read.Stat += m.Count().Stat - before.Stat
			if tries++; tries <= 2 { // another writer comes between reading and appending
				_, err := direct.Update(ctx, count)
				require.NoError(t, err)
			}
			return drafts, err
		})
		require.NoError(t, err)
		require.Equal(t, 3, tries)
		require.Equal(t, meter.Counts{Get: 5 + 1 + 1}, read)
		r, err := direct.Reader(t.Context())
		require.NoError(t, err)
		all, err := ropewalk.Collect(r.All(t.Context()))
		require.NoError(t, err)
		require.Len(t, all, 18)
		require.Equal(t, "17", string(all[17].Content))
	})
}
