package reference

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
)

func TestReferences(t *testing.T) {
	const uuid = "01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10"
	endOf := func(year, month, day int) time.Time {
		return time.Date(year, time.Month(month), day+1, 0, 0, 0, -1, time.UTC)
	}
	day := func(year, month, day int) time.Time {
		return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	}
	for s, want := range map[string]Reference{
		"order":                                  {ID: "order"},
		"order@":                                 {ID: "order"},
		"order@7":                                {ID: "order", Form: Single, First: 7, Last: 7},
		"order@0":                                {ID: "order", Form: Single},
		"order@7@":                               {ID: "order@7"},
		"order@7@3":                              {ID: "order@7", Form: Single, First: 3, Last: 3},
		"order@7@2..3":                           {ID: "order@7", Form: Between, First: 2, Last: 3},
		"order@@":                                {ID: "order@"},
		"order@7." + uuid:                        {ID: "order", Form: Exact, First: 7, Last: 7, UUID: uuid},
		"order@7.7f2e10":                         {ID: "order", Form: Exact, First: 7, Last: 7, UUID: "7f2e10"},
		"order@7.…7f2e10":                        {ID: "order", Form: Exact, First: 7, Last: 7, UUID: "7f2e10"},
		"order@2..5":                             {ID: "order", Form: Between, First: 2, Last: 5},
		"order@5..5":                             {ID: "order", Form: Between, First: 5, Last: 5},
		"order@5..":                              {ID: "order", Form: Onward, First: 5},
		"order@18446744073709551615":             {ID: "order", Form: Single, First: 1<<64 - 1, Last: 1<<64 - 1},
		"order@{2026-01-31}":                     {ID: "order", Form: AsOf, At: endOf(2026, 1, 31)},
		"order@{2024-02-29}":                     {ID: "order", Form: AsOf, At: endOf(2024, 2, 29)},
		"order@{2026-01-01}..{2026-01-31}":       {ID: "order", Form: Within, Since: day(2026, 1, 1), At: endOf(2026, 1, 31)},
		"order@{2026-01-31}..{2026-01-31}":       {ID: "order", Form: Within, Since: day(2026, 1, 31), At: endOf(2026, 1, 31)},
		"order@{2026-01-01}..":                   {ID: "order", Form: Within, Since: day(2026, 1, 1)},
		"order@{2026-01-01T09:30:00Z}..":         {ID: "order", Form: Within, Since: time.Date(2026, 1, 1, 9, 30, 0, 0, time.UTC)},
		"order@{2026-01-31T09:30:00+02:00}":      {ID: "order", Form: AsOf, At: time.Date(2026, 1, 31, 7, 30, 0, 0, time.UTC)},
		"order@{2026-01-31T09:30:00.123456789Z}": {ID: "order", Form: AsOf, At: time.Date(2026, 1, 31, 9, 30, 0, 123456789, time.UTC)},
		// Text in no known form belongs to the ID.
		"alice@example.com": {ID: "alice@example.com"},
		"order@007":         {ID: "order@007"},
		"order@-1":          {ID: "order@-1"},
		"order@+1":          {ID: "order@+1"},
		"order@1.":          {ID: "order@1."},
		"order@1.XYZ":       {ID: "order@1.XYZ"},
		"order@1.ABC":       {ID: "order@1.ABC"},
		"order@..5":         {ID: "order@..5"},
		"order@1...5":       {ID: "order@1...5"},
		"order@{}":          {ID: "order@{}"},
		"order@{yesterday}": {ID: "order@{yesterday}"},
		"order@7 ":          {ID: "order@7 "},
		"order 7":           {ID: "order 7"},
		"7":                 {ID: "7"},
		"2..5":              {ID: "2..5"},
	} {
		got, err := Parse(s)
		require.NoError(t, err, s)
		require.Equal(t, want, got, s)
	}
}

func TestReferencesOfAFormButImpossible(t *testing.T) {
	for s, part := range map[string]string{
		"order@5..2":                       "the range begins after its end",
		"order@18446744073709551616":       "18446744073709551616 is beyond all versions",
		"order@99999999999999999999..":     "is beyond all versions",
		"order@0..99999999999999999999":    "is beyond all versions",
		"order@99999999999999999999.ab":    "is beyond all versions",
		"order@{2026-02-30}":               "neither a date",
		"order@{2026-02-01}..{2026-01-31}": "the range begins after its end",
		"order@{2026-01-01}..{2026}":       "neither",
		"order@{2026-01}..":                "neither",
		"order@{2026}":                     "neither a date",
	} {
		_, err := Parse(s)
		require.ErrorContains(t, err, part, s)
		require.Equal(t, cliexit.Usage, cliexit.Classify(t.Context(), err), s)
	}
	for _, s := range []string{"", "@", "@7", "@2..5", "a\nb", "a\xff", strings.Repeat("x", 129)} {
		_, err := Parse(s)
		require.ErrorIs(t, err, ropewalk.ErrInvalidAggregateID, "%q", s)
		require.Equal(t, 2, cliexit.Classify(t.Context(), err).Exit)
	}
}

// Every ID can be written in some way, and so can its references.
func TestEveryIDCanBeReferredTo(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "@", "7", ".", "..", "{2026-01-31}", "{", "}", "ab", "-", "…", " ", "日"})
	rapid.Check(t, func(t *rapid.T) {
		id := strings.Join(rapid.SliceOfN(part, 1, 6).Draw(t, "id"), "")
		if changeset.ValidateAggregateID(id) != nil {
			t.Skip()
		}
		got, err := ParseID(Argument(id))
		require.NoError(t, err)
		require.Equal(t, id, got)

		version := rapid.Uint64().Draw(t, "version")
		r, err := Parse(id + "@" + strconv.FormatUint(version, 10))
		require.NoError(t, err)
		require.Equal(t, Reference{ID: id, Form: Single, First: version, Last: version}, r)

		ref := changeset.Ref{AggregateID: id, Version: version, ID: changeset.NewID()}
		r, err = Parse(ref.String())
		require.NoError(t, err)
		require.Equal(t, Reference{ID: id, Form: Exact, First: version, Last: version, UUID: ref.ID.String()}, r)
	})
}

func TestAfter(t *testing.T) {
	single, exact := Reference{ID: "a@1", Form: Single, First: 7, Last: 7}, Reference{ID: "a@1", Form: Exact, First: 7, Last: 7, UUID: "7f2e10"}
	for s, want := range map[string]Reference{"7": single, "a@1@7": single, `"7"`: single, "7.7f2e10": exact, `"7.7f2e10"`: exact, "a@1@7.…7f2e10": exact} {
		got, err := ParseAfter("a@1", s)
		require.NoError(t, err, s)
		require.Equal(t, want, got, s)
	}
	for _, s := range []string{"", "a@1@", "a@1@2..5", "2..5", "b@7", "newest", "@7"} {
		_, err := ParseAfter("a@1", s)
		require.ErrorContains(t, err, "--after", s)
		require.Equal(t, cliexit.Usage, cliexit.Classify(t.Context(), err), s)
	}
}

func TestIDs(t *testing.T) {
	ids, err := ParseIDs([]string{"order", "a@7@"})
	require.NoError(t, err)
	require.Equal(t, []string{"order", "a@7"}, ids)
	_, err = ParseIDs([]string{"order", "a@7"})
	require.ErrorContains(t, err, "names a version")
	_, err = ParseNewID("order@-1")
	require.ErrorContains(t, err, "looks like a reference")
	require.Equal(t, "'a b@7@'", Operand("a b@7"))
	require.Equal(t, "-- -rf", Operand("-rf"))
}
