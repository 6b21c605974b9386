package backendtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

var putChecks = []check{
	{"Put: what is put is what Get and Stat return, in every field", putKeepsEveryField},
	{"Put: stores Body, and does not look at Content", putStoresBody},
	{"Put: when it returns nil every later read through any handle sees the object", putIsDurable},
	{"Put: the same again returns nil and leaves the object as it is", putMayBeRepeated},
	{"Put: of another content under a stored reference returns nil and leaves the object as it is", putNeverOverwrites},
	{"Put: of many at once under one reference stores exactly one, content and metadata together", putsRace},
	{"Put: readers see the object whole or not at all", putIsOneStep},
	{"Put: many goroutines put and get through one handle", putsShareAHandle},
	{"Put: what it is given it does not alias", putDoesNotAlias},
	{"Put: an invalid header is an error and stores nothing", putRefusesInvalid},
}

func putKeepsEveryField(t testing.TB, h Harness) {
	s := h.Changesets(t)
	c := full(t)
	put(t, s, c)
	requireStored(t, s, c)

	after := head.At(c.Header)
	batch, _ := extend(t, after, c.AggregateID, changeset.Draft{Content: []byte("a")}, changeset.Draft{Content: []byte("b")}, changeset.Draft{})
	put(t, s, batch...)
	for _, c := range batch {
		requireStored(t, s, c)
	}
}

func putStoresBody(t testing.TB, h Harness) {
	s := h.Changesets(t)
	c := encoded(full(t))
	put(t, s, c)
	requireStored(t, s, c)

	bare := encoded(full(t))
	bare.Content = nil
	put(t, s, bare)
	requireStored(t, s, bare)
}

func putIsDurable(t testing.TB, h Harness) {
	c := full(t)
	before := h.Changesets(t)
	requireAbsent(t, before, c.Ref)
	put(t, h.Changesets(t), c)
	for _, s := range []changeset.Store{before, h.Changesets(t)} {
		requireStored(t, s, c)
		if l, ok := changeset.As[changeset.Lister](s); ok {
			require.Len(t, collect(t, l.Objects(t.Context(), c.AggregateID)), 1)
		}
	}
}

func putMayBeRepeated(t testing.TB, h Harness) {
	s := h.Changesets(t)
	c := full(t)
	put(t, s, c)
	before, err := s.Stat(t.Context(), c.Ref)
	require.NoError(t, err)
	put(t, s, c)
	put(t, h.Changesets(t), c)
	requireStored(t, s, c)
	after, err := s.Stat(t.Context(), c.Ref)
	require.NoError(t, err)
	require.Equal(t, before.LastModified, after.LastModified)
}

func putNeverOverwrites(t testing.TB, h Harness) {
	s := h.Changesets(t)
	c := full(t)
	put(t, s, c)
	for _, content := range []string{"", "other", `{"placed":true} and more`} {
		other := withBody(c, []byte(content))
		other.ContentType, other.Metadata = "text/plain", nil
		put(t, s, other)
		put(t, h.Changesets(t), other)
		requireStored(t, s, c)
	}
}

func putsRace(t testing.TB, h Harness) {
	for range h.Rounds {
		c := first(t, newAggregate(), nil)
		racers := make([]changeset.Store, h.Racers)
		for i := range racers {
			racers[i] = h.Changesets(t)
		}
		errs := make([]error, len(racers))
		together(len(racers), func(i int) {
			errs[i] = racers[i].Put(t.Context(), withBody(c, fmt.Appendf(nil, "racer %d", i)))
		})
		require.NoError(t, errors.Join(errs...))
		stored, err := racers[0].Get(t.Context(), c.Ref, nil)
		require.NoError(t, err)
		require.NoError(t, stored.Verify(changeset.Digest{}), "the content of one put with the metadata of another")
		for _, s := range racers[:2] {
			requireStored(t, s, stored)
		}
	}
}

func putIsOneStep(t testing.TB, h Harness) {
	s := h.Changesets(t)
	readers := []changeset.Store{h.Changesets(t), h.Changesets(t)}
	for range h.Rounds {
		c := first(t, newAggregate(), noise(1<<20))
		seen := make([][]error, 1+len(readers))
		done := make(chan struct{})
		together(len(seen), func(i int) {
			if i == 0 {
				defer close(done)
				seen[i] = append(seen[i], s.Put(t.Context(), c))
				return
			}
			seen[i] = readUntil(t, done, readers[i-1], c)
		})
		require.NoError(t, errors.Join(slices.Concat(seen...)...))
		requireStored(t, s, c)
	}
}

// readUntil gets c again and again until done, and returns all wrong results:
// everything except the whole object and ErrNotFound.
func readUntil(t testing.TB, done <-chan struct{}, s changeset.Store, c changeset.Changeset) (wrong []error) {
	for {
		got, err := s.Get(t.Context(), c.Ref, nil)
		if err == nil {
			err = got.Verify(changeset.Digest{})
		}
		if err != nil && !errors.Is(err, changeset.ErrNotFound) {
			wrong = append(wrong, err)
		}
		select {
		case <-done:
			return wrong
		default:
		}
	}
}

func putsShareAHandle(t testing.TB, h Harness) {
	s := h.Changesets(t)
	errs := make([]error, h.Racers)
	cs := make([]changeset.Changeset, h.Racers)
	for i := range cs {
		cs[i] = first(t, newAggregate(), fmt.Appendf(nil, "goroutine %d", i))
	}
	together(h.Racers, func(i int) {
		err := s.Put(t.Context(), cs[i])
		got, err2 := s.Get(t.Context(), cs[i].Ref, nil)
		errs[i] = errors.Join(err, err2)
		if errs[i] == nil {
			errs[i] = got.Verify(changeset.Digest{})
		}
	})
	require.NoError(t, errors.Join(errs...))
	for _, c := range cs {
		requireStored(t, s, c)
	}
}

func putDoesNotAlias(t testing.TB, h Harness) {
	s := h.Changesets(t)
	want := full(t)
	given := want
	given.Body, given.Metadata = slices.Clone(want.Body), maps.Clone(want.Metadata)
	put(t, s, given)
	clear(given.Body)
	clear(given.Metadata)
	requireStored(t, s, want)
}

func putRefusesInvalid(t testing.TB, h Harness) {
	s := h.Changesets(t)
	c := full(t)
	c.ContentType = "not\nprintable"
	require.Error(t, s.Put(t.Context(), c))
	requireAbsent(t, s, c.Ref)
}
