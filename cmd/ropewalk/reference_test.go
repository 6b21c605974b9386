package main

import (
	"context"
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
	for s, want := range map[string]reference{
		"order":                                  {id: "order"},
		"order@":                                 {id: "order"},
		"order@7":                                {id: "order", form: single, first: 7, last: 7},
		"order@0":                                {id: "order", form: single},
		"order@7@":                               {id: "order@7"},
		"order@7@3":                              {id: "order@7", form: single, first: 3, last: 3},
		"order@7@2..3":                           {id: "order@7", form: between, first: 2, last: 3},
		"order@@":                                {id: "order@"},
		"order@7." + uuid:                        {id: "order", form: exact, first: 7, last: 7, uuid: uuid},
		"order@7.7f2e10":                         {id: "order", form: exact, first: 7, last: 7, uuid: "7f2e10"},
		"order@7.…7f2e10":                        {id: "order", form: exact, first: 7, last: 7, uuid: "7f2e10"},
		"order@2..5":                             {id: "order", form: between, first: 2, last: 5},
		"order@5..5":                             {id: "order", form: between, first: 5, last: 5},
		"order@5..":                              {id: "order", form: onward, first: 5},
		"order@18446744073709551615":             {id: "order", form: single, first: 1<<64 - 1, last: 1<<64 - 1},
		"order@{2026-01-31}":                     {id: "order", form: asOf, at: endOf(2026, 1, 31)},
		"order@{2024-02-29}":                     {id: "order", form: asOf, at: endOf(2024, 2, 29)},
		"order@{2026-01-31T09:30:00+02:00}":      {id: "order", form: asOf, at: time.Date(2026, 1, 31, 7, 30, 0, 0, time.UTC)},
		"order@{2026-01-31T09:30:00.123456789Z}": {id: "order", form: asOf, at: time.Date(2026, 1, 31, 9, 30, 0, 123456789, time.UTC)},
		// Text in no known form belongs to the ID.
		"alice@example.com": {id: "alice@example.com"},
		"order@007":         {id: "order@007"},
		"order@-1":          {id: "order@-1"},
		"order@+1":          {id: "order@+1"},
		"order@1.":          {id: "order@1."},
		"order@1.XYZ":       {id: "order@1.XYZ"},
		"order@1.ABC":       {id: "order@1.ABC"},
		"order@..5":         {id: "order@..5"},
		"order@1...5":       {id: "order@1...5"},
		"order@{}":          {id: "order@{}"},
		"order@{yesterday}": {id: "order@{yesterday}"},
		"order@7 ":          {id: "order@7 "},
		"order 7":           {id: "order 7"},
		"7":                 {id: "7"},
		"2..5":              {id: "2..5"},
	} {
		got, err := parseReference(s)
		require.NoError(t, err, s)
		require.Equal(t, want, got, s)
	}
}

func TestReferencesOfAFormButImpossible(t *testing.T) {
	for s, part := range map[string]string{
		"order@5..2":                    "the range begins behind its end",
		"order@18446744073709551616":    "18446744073709551616 is beyond all versions",
		"order@99999999999999999999..":  "is beyond all versions",
		"order@0..99999999999999999999": "is beyond all versions",
		"order@99999999999999999999.ab": "is beyond all versions",
		"order@{2026-02-30}":            "neither a date",
		"order@{2026}":                  "neither a date",
	} {
		_, err := parseReference(s)
		require.ErrorContains(t, err, part, s)
		require.Equal(t, cliexit.Usage, cliexit.Classify(t.Context(), err), s)
	}
	for _, s := range []string{"", "@", "@7", "@2..5", "a\nb", "a\xff", strings.Repeat("x", 129)} {
		_, err := parseReference(s)
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
		got, err := parseID(idArgument(id))
		require.NoError(t, err)
		require.Equal(t, id, got)

		version := rapid.Uint64().Draw(t, "version")
		r, err := parseReference(id + "@" + strconv.FormatUint(version, 10))
		require.NoError(t, err)
		require.Equal(t, reference{id: id, form: single, first: version, last: version}, r)

		ref := changeset.Ref{AggregateID: id, Version: version, ID: changeset.NewID()}
		r, err = parseReference(ref.String())
		require.NoError(t, err)
		require.Equal(t, reference{id: id, form: exact, first: version, last: version, uuid: ref.ID.String()}, r)
	})
}

// A moment is resolved to what a walk over the whole chain would find.
func TestMomentsAreResolved(t *testing.T) {
	p := newTestPlace()
	s := p.store(t)
	chain := s.Chain("order")
	h, err := chain.Create(t.Context(), changeset.Draft{})
	require.NoError(t, err)
	times := []time.Time{h.UpdatedAt}
	for range 40 {
		h, err = chain.Append(t.Context(), h, changeset.Draft{})
		require.NoError(t, err)
		times = append(times, h.UpdatedAt)
	}
	for _, at := range times {
		for _, moment := range []time.Time{at.Add(-1), at, at.Add(1)} {
			want := -1
			for version, recorded := range times {
				if !recorded.After(moment) {
					want = version
				}
			}
			sp, err := s.span(t.Context(), reference{id: "order", form: asOf, at: moment})
			if want < 0 {
				require.ErrorIs(t, err, ropewalk.ErrNotFound)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, uint64(want), sp.first)
			require.Equal(t, uint64(want), sp.last)
		}
	}
}

// The end of a UUID names an orphan only if it names no other.
func TestEndsOfUUIDsMustBeUnique(t *testing.T) {
	p := newTestPlace()
	s := p.store(t)
	_, err := s.Chain("order").Create(t.Context(), changeset.Draft{})
	require.NoError(t, err)
	a, b := p.pend(t, "order"), p.pend(t, "order")
	common := 0
	for x, y := a.ID.String(), b.ID.String(); x[len(x)-1-common] == y[len(y)-1-common]; {
		common++
	}
	x := a.ID.String()
	r := reference{id: "order", form: exact, first: 1, last: 1, uuid: x[len(x)-1-common:]}
	l, err := s.locate(context.Background(), r)
	require.NoError(t, err)
	require.Equal(t, a, l.ref)
	require.Nil(t, l.reader)

	r.uuid = x[len(x)-common:]
	_, err = s.locate(context.Background(), r)
	require.Equal(t, 2, cliexit.Classify(t.Context(), err).Exit)
	require.ErrorContains(t, err, "is not unique: 2 changesets end so")
}
