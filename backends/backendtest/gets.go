package backendtest

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

var getChecks = []check{
	{"Get, Stat: of a missing object is an error that matches ErrNotFound", getOfAbsent},
	{"Get: returns Body as it was put, and leaves Content nil", getLeavesContent},
	{"Get: asks the admission once, with the header that it returns", getAsksAdmission},
	{"Get: returns the admission's error as it is, and no body", getReturnsAdmissionError},
	{"Get: does not ask the admission about an object that is missing", getOfAbsentDoesNotAsk},
	{"Get, Stat: return Decode's errors for metadata that does not decode", getOfCorrupt},
	{"Get, Stat: what they return they do not keep", getDoesNotAlias},
	{"Stat: LastModified is the storage's clock at the put", statTellsTheTime},
}

func getOfAbsent(t testing.TB, h Harness) {
	s := h.Changesets(t)
	c := full(t)
	requireAbsent(t, s, c.Ref)
	put(t, s, c)
	for _, ref := range []changeset.Ref{
		{AggregateID: c.AggregateID, Version: c.Version, ID: changeset.NewID()},
		{AggregateID: c.AggregateID, Version: c.Version + 1, ID: c.ID},
		{AggregateID: c.AggregateID + "-", Version: c.Version, ID: c.ID},
		{AggregateID: c.AggregateID[1:], Version: c.Version, ID: c.ID},
	} {
		requireAbsent(t, s, ref)
	}
}

func getLeavesContent(t testing.TB, h Harness) {
	s := h.Changesets(t)
	for _, c := range []changeset.Changeset{full(t), encoded(full(t))} {
		put(t, s, c)
		requireStored(t, s, c)
	}
}

func getAsksAdmission(t testing.TB, h Harness) {
	s := h.Changesets(t)
	c := full(t)
	put(t, s, c)
	var asked []changeset.Header
	got, err := s.Get(t.Context(), c.Ref, func(h changeset.Header) error {
		asked = append(asked, h)
		return nil
	})
	require.NoError(t, err)
	requireEqual(t, c, got)
	require.Equal(t, []changeset.Header{c.Header}, asked)
}

func getReturnsAdmissionError(t testing.TB, h Harness) {
	s := h.Changesets(t)
	c := first(t, newAggregate(), noise(1<<20))
	put(t, s, c)
	full := errors.New("the window is full")
	for range 2 {
		got, err := s.Get(t.Context(), c.Ref, func(changeset.Header) error { return full })
		require.ErrorIs(t, err, full)
		require.Same(t, full, err)
		require.Empty(t, got.Body)
	}
	requireStored(t, s, c)
}

func getOfAbsentDoesNotAsk(t testing.TB, h Harness) {
	_, err := h.Changesets(t).Get(t.Context(), full(t).Ref, func(changeset.Header) error {
		return errors.New("asked about an object that is missing")
	})
	require.ErrorIs(t, err, changeset.ErrNotFound)
}

func getOfCorrupt(t testing.TB, h Harness) {
	if h.CorruptObject == nil {
		t.Skip("the harness cannot corrupt objects")
	}
	s := h.Changesets(t)
	c := full(t)
	put(t, s, c)
	h.CorruptObject(t, c.Ref)
	_, err := s.Get(t.Context(), c.Ref, nil)
	requireCorrupt(t, err)
	_, err = s.Stat(t.Context(), c.Ref)
	requireCorrupt(t, err)
}

func requireCorrupt(t testing.TB, err error) {
	t.Helper()
	var corrupt *changeset.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.NotEmpty(t, corrupt.Object, "the error does not name the object")
}

func getDoesNotAlias(t testing.TB, h Harness) {
	s := h.Changesets(t)
	c := full(t)
	put(t, s, c)
	got, err := s.Get(t.Context(), c.Ref, nil)
	require.NoError(t, err)
	requireEqual(t, c, got)
	clear(got.Body)
	clear(got.Metadata)
	requireStored(t, s, c)
	info, err := s.Stat(t.Context(), c.Ref)
	require.NoError(t, err)
	clear(info.Metadata)
	requireStored(t, s, c)
}

func statTellsTheTime(t testing.TB, h Harness) {
	s := h.Changesets(t)
	c := full(t)
	put(t, s, c)
	info, err := s.Stat(t.Context(), c.Ref)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), info.LastModified, time.Hour, "the clocks differ, or the time is not the put's")
}
