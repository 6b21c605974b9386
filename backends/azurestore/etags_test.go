package azurestore_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/azurestore"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// changed is an account whose ETags something on the way changes.
func (w *world) changed(change func(string) string) func(r *http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		if match := header(r, "If-Match"); match != "" && match != `"0x1"` {
			return refusing(r, 412, "ConditionNotMet"), nil
		}
		reply := w.answer(r)
		if tag := reply.Header.Get("ETag"); tag != "" {
			reply.Header.Set("ETag", change(tag))
		}
		return reply, nil
	}
}

// changedTags are what proxies make of ETags.
var changedTags = map[string]func(string) string{
	"removed":  func(string) string { return "" },
	"weak":     func(tag string) string { return "W/" + tag },
	"suffixed": func(tag string) string { return strings.TrimSuffix(tag, `"`) + `-gzip"` },
	"unquoted": func(tag string) string { return strings.Trim(tag, `"`) },
	"another":  func(string) string { return `"0123456789abcdef"` },
}

// An append over changed ETags is refused for good, and never unknown.
func TestChangedETagsAreADefiniteRefusal(t *testing.T) {
	w := newWorld(t)
	for name, change := range changedTags {
		s, _ := cannedStore(t, io.Discard, w.changed(change))
		seen, err := s.Load(t.Context(), w.next.AggregateID)
		if name == "another" {
			require.NoError(t, err)
			_, err = s.Swap(t.Context(), seen, link.Fence(seen))
			require.Equal(t, refused, fateOf(t, err))
		}
		requireChangedETag(t, err, name)
		_, err = s.Swap(t.Context(), w.next, link.Fence(w.next))
		require.Equal(t, refused, fateOf(t, err), name)
		requireChangedETag(t, err, name)
	}
}

func requireChangedETag(t *testing.T, err error, name string) {
	t.Helper()
	var broken *azurestore.SetupError
	require.ErrorAs(t, err, &broken, name)
	require.Contains(t, broken.What, "something on the way", name)
	require.Contains(t, broken.Hint, "ropewalk init --check", name)
}

// A write whose reply has a changed ETag took effect. The outcome of a write
// whose reply has no ETag is unknown.
func TestWritesOverChangedETags(t *testing.T) {
	w := newWorld(t)
	w.fresh = true
	for name, change := range changedTags {
		s, _ := cannedStore(t, io.Discard, w.changed(change))
		got, err := s.Swap(t.Context(), head.Head{}, w.next)
		putErr := s.Put(t.Context(), w.stored)
		require.Equal(t, name == "removed", putErr != nil, name)
		switch name {
		case "removed":
			requireChangedETag(t, putErr, name)
			require.Equal(t, unknown, fateOf(t, err))
			requireChangedETag(t, err, name)
		case "another":
			require.Equal(t, w.next.WithToken(`"0123456789abcdef"`), got)
		default:
			require.NoError(t, err)
			require.Equal(t, w.next, got, "the token is of no use")
		}
	}
}

// The check finds every change of ETags.
func TestCheckFindsChangedETags(t *testing.T) {
	for name, change := range changedTags {
		a := &account{}
		s, _ := cannedStore(t, io.Discard, func(r *http.Request) (*http.Response, error) {
			reply, err := a.answer(r)
			if tag := reply.Header.Get("ETag"); tag != "" {
				reply.Header.Set("ETag", change(tag))
			}
			return reply, err
		})
		findings, err := s.Check(t.Context())
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(findings, func(f azurestore.Finding) bool {
			return !f.OK && strings.Contains(f.Name+f.Detail+f.Hint, "ETag")
		}), "%s: %v", name, findings)
	}
}
