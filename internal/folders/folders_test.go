package folders_test

import (
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk/internal/folders"
)

// storage lists folders as object storages do.
type storage struct {
	names []string // in the order of name and slash
	asked []string
}

func newStorage(names []string) *storage {
	sorted := slices.Clone(names)
	slices.SortFunc(sorted, func(a, b string) int { return slices.Compare([]byte(a+"/"), []byte(b+"/")) })
	return &storage{names: slices.Compact(sorted)}
}

func (s *storage) pages(size int) iter.Seq2[folders.Page, error] {
	return func(yield func(folders.Page, error) bool) {
		chunks := slices.Collect(slices.Chunk(s.names, size))
		for i, chunk := range chunks {
			if !yield(folders.Page{Names: chunk, Last: i == len(chunks)-1}, nil) {
				return
			}
		}
	}
}

func (s *storage) exists(name string) (bool, error) {
	s.asked = append(s.asked, name)
	return slices.Contains(s.names, name), nil
}

func collect(t require.TestingT, seq iter.Seq2[string, error]) []string {
	all := []string{}
	for name, err := range seq {
		require.NoError(t, err)
		all = append(all, name)
	}
	return all
}

// TestInOrder holds InOrder to its contract: the names behind after, sorted,
// whatever the pages.
func TestInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringOfN(rapid.SampledFrom([]rune("-%ab~")), 1, 6, -1)
		s := newStorage(rapid.SliceOf(name).Draw(t, "names"))
		after := rapid.OneOf(rapid.Just(""), name).Draw(t, "after")

		want := slices.DeleteFunc(slices.Sorted(slices.Values(s.names)), func(n string) bool { return n <= after })
		pages := s.pages(rapid.IntRange(1, 4).Draw(t, "page size"))
		require.Equal(t, append([]string{}, want...), collect(t, folders.InOrder(pages, s.exists, after)))

		slices.Sort(s.asked)
		require.Equal(t, len(s.asked), len(slices.Compact(s.asked)), "asked twice for one of %v", s.asked)
	})
}

func TestInOrderAsksOnlyAtTheEndOfPages(t *testing.T) {
	s := newStorage([]string{"order-1", "order-2", "order-3", "order-4", "order", "x"})
	require.Equal(t, []string{"order", "order-1", "order-2", "order-3", "order-4", "x"}, collect(t, folders.InOrder(s.pages(2), s.exists, "")))
	require.Equal(t, []string{"order"}, s.asked)
}

func TestInOrderEndsAtAnError(t *testing.T) {
	failure := errors.New("failure")
	s := newStorage([]string{"a-1", "a-2"})
	exists := func(string) (bool, error) { return false, failure }
	pages := func(yield func(folders.Page, error) bool) { yield(folders.Page{}, failure) }
	for _, seq := range []iter.Seq2[string, error]{folders.InOrder(s.pages(1), exists, ""), folders.InOrder(pages, s.exists, "")} {
		n := 0
		for _, err := range seq {
			require.ErrorIs(t, err, failure)
			n++
		}
		require.Equal(t, 1, n)
	}
}
