package reference

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "@", "order-4711", "order@7", "order@7.01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10", "order@7.…7f2e10", "order@2..5", "order@5..2", "order@5..",
		"order@{2026-01-31}", "order@{2026-01-31T09:30:00Z}", "order@{2026-02-30}", "order@{2026-01-01}..", "order@{2026-01-01}..{2026-01-31}", "a@b@7@", "user@7@", "order@18446744073709551616", "order@07", "../..@1",
		"%2F@0", "\x00@1", "é@{0000-01-01}", "a@{9999-12-31}", "$x@1", "a@1.…", "a@..", "a@1...2",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err != nil {
			require.Equal(t, 2, cliexit.Classify(t.Context(), err).Exit, "%q: %v", s, err)
			return
		}
		require.NoError(t, changeset.ValidateAggregateID(r.ID))
		require.True(t, r.Form != Between || r.First <= r.Last, "%q: %+v", s, r)
		require.True(t, r.Form != Within || r.At.IsZero() || !r.At.Before(r.Since), "%q: %+v", s, r)
		again, err := Parse(Argument(r.ID))
		require.NoError(t, err)
		require.Equal(t, Reference{ID: r.ID}, again, "%q", s)
		if id, err := ParseID(s); err == nil {
			require.Equal(t, r.ID, id)
		}
	})
}
