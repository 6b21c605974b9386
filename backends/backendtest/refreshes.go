package backendtest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
	"ropewalk/internal/link"
)

var refreshChecks = []check{
	{"Refresh: of a record that is unchanged returns it as it was seen", refreshUnchanged},
	{"Refresh: of a record that has changed returns what Load returns, however little has changed", refreshChanged},
	{"Refresh: of one that was seen without token does what Load does", refreshWithoutToken},
	{"Refresh: returns DecodeJSON's errors for a changed record that does not decode", refreshOfCorrupt},
	{"Context: one that has ended is the error of Refresh", refreshUnderEndedContext},
}

func refreshUnchanged(t testing.TB, h Harness) {
	s := h.Heads(t)
	refresher := headsAs[head.Refresher](t, s)
	stored := create(t, s)
	for _, seen := range []head.Head{stored, load(t, s, stored.AggregateID)} {
		got, err := refresher.Refresh(t.Context(), seen)
		require.NoError(t, err)
		require.Equal(t, seen, got)
	}
}

func refreshChanged(t testing.TB, h Harness) {
	s := h.Heads(t)
	refresher := headsAs[head.Refresher](t, s)
	seen := create(t, s)
	another := h.Heads(t)
	fenced := swap(t, another, seen, link.Fence(seen))
	got, err := refresher.Refresh(t.Context(), seen)
	require.NoError(t, err)
	requireRecord(t, fenced, got)
	swap(t, s, got, next(t, got, seen.AggregateID)) // its token is good
	got, err = refresher.Refresh(t.Context(), seen)
	require.NoError(t, err)
	requireRecord(t, load(t, another, seen.AggregateID), got)
}

func refreshWithoutToken(t testing.TB, h Harness) {
	s := h.Heads(t)
	refresher := headsAs[head.Refresher](t, s)
	stored := create(t, s)
	got, err := refresher.Refresh(t.Context(), stored.WithToken(""))
	require.NoError(t, err)
	requireRecord(t, stored, got)
	swap(t, s, got, link.Fence(got))
	none, err := refresher.Refresh(t.Context(), next(t, head.Head{}, newAggregate()))
	require.NoError(t, err)
	require.Zero(t, none, "there is no such head")
}

func refreshOfCorrupt(t testing.TB, h Harness) {
	if h.CorruptHead == nil {
		t.Skip("the harness cannot corrupt heads")
	}
	s := h.Heads(t)
	refresher := headsAs[head.Refresher](t, s)
	stored := create(t, s)
	defer h.CorruptHead(t, stored.AggregateID)()
	_, err := refresher.Refresh(t.Context(), stored)
	requireCorrupt(t, err)
}

func refreshUnderEndedContext(t testing.TB, h Harness) {
	s := h.Heads(t)
	refresher := headsAs[head.Refresher](t, s)
	stored := create(t, s)
	underEnded(t, func(ctx context.Context) error {
		_, err := refresher.Refresh(ctx, stored)
		return err
	})
}
