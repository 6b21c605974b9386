package listorder

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// listing is a service's listing of folders, in pages of random sizes.
type listing struct {
	names   []string
	pages   []Page
	asked   int
	ordered func(a, b string) int
}

// bySlash orders names as a flat namespace lists their folders, byName as a
// hierarchical one does.
func bySlash(a, b string) int { return cmp.Compare(a+"/", b+"/") }

func byName(a, b string) int { return cmp.Compare(a, b) }

func (l *listing) all() iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		for _, p := range l.pages {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func (l *listing) exists(name string) (bool, error) {
	l.asked++
	return slices.Contains(l.names, name), nil
}

func drawListing(t *rapid.T) *listing {
	name := rapid.StringMatching(`[%~a0-]{1,6}`)
	l := &listing{
		names:   rapid.SliceOfNDistinct(name, 0, 40, rapid.ID[string]).Draw(t, "names"),
		ordered: rapid.SampledFrom([]func(a, b string) int{bySlash, byName}).Draw(t, "order"),
	}
	slices.SortFunc(l.names, l.ordered)
	for rest := l.names; ; {
		n := rapid.IntRange(0, len(rest)).Draw(t, "size of page")
		l.pages = append(l.pages, Page{Names: rest[:n], Last: n == len(rest)})
		if rest = rest[n:]; len(rest) == 0 && l.pages[len(l.pages)-1].Last {
			return l
		}
	}
}

func TestInOrderIsTheOrderOfNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawListing(t)
		after := rapid.SampledFrom(append([]string{"", "a", "a-", "~"}, l.names...)).Draw(t, "after")
		var want, got []string
		for _, name := range slices.Sorted(slices.Values(l.names)) {
			if name > after {
				want = append(want, name)
			}
		}
		for name, err := range InOrder(l.all(), l.exists, after) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, name)
		}
		if !slices.Equal(want, got) {
			t.Fatalf("want %q, got %q", want, got)
		}
		if most := 6 * len(l.pages); l.asked > most {
			t.Fatalf("asked %d times for %d pages", l.asked, len(l.pages))
		}
	})
}

// Every ID begins alike, and the folder of that beginning is listed last.
func TestInOrderHoldsNoMoreThanAPageBack(t *testing.T) {
	l := &listing{}
	var want []string
	for i := range 10_000 {
		want = append(want, fmt.Sprintf("order-%05d-%d", i, i%7))
	}
	l.names = append(slices.Clone(want), "order")
	for chunk := range slices.Chunk(l.names, 100) {
		l.pages = append(l.pages, Page{Names: chunk})
	}
	l.pages[len(l.pages)-1].Last = true
	taken := 0
	counted := func(yield func(Page, error) bool) {
		for p := range l.all() {
			if taken++; !yield(p, nil) {
				return
			}
		}
	}
	got := []string{}
	for name, err := range InOrder(counted, l.exists, "") {
		require.NoError(t, err)
		got = append(got, name)
		require.LessOrEqual(t, taken, len(got)/100+1, "pages for %d names", len(got))
	}
	require.Equal(t, append([]string{"order"}, want...), got)
	require.LessOrEqual(t, l.asked, 1+len(l.pages), "one for the common stem, one for the last name of each page")
}

func TestInOrderEndsWithTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	failing := func(yield func(Page, error) bool) {
		_ = yield(Page{Names: []string{"a", "b-c"}}, nil) && yield(Page{}, broken)
	}
	for _, c := range []struct {
		exists func(string) (bool, error)
		want   []string
	}{
		{func(string) (bool, error) { return false, nil }, []string{"a", "b-c", "!"}},
		{func(string) (bool, error) { return false, broken }, []string{"a", "!"}},
	} {
		var got []string
		for name, err := range InOrder(failing, c.exists, "") {
			if err != nil {
				require.ErrorIs(t, err, broken)
				name = "!"
			}
			got = append(got, name)
		}
		require.Equal(t, c.want, got)
	}
}

func TestInOrderMayBeLeft(t *testing.T) {
	l := &listing{names: []string{"a-b", "a", "c"}, pages: []Page{{Names: []string{"a-b"}}, {Names: []string{"a", "c"}, Last: true}}}
	for n := 1; n <= 3; n++ {
		left := 0
		for _, err := range InOrder(l.all(), l.exists, "") {
			require.NoError(t, err)
			if left++; left == n {
				break
			}
		}
		require.Equal(t, n, left)
	}
}
