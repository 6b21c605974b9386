package feed_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/feed"
	"ropewalk/gc"
)

// library reads many changesets by one request, and counts requests and bytes.
type library struct {
	*memstore.Store
	many, gets, bytes atomic.Int64
	leaveOut          func(changeset.Ref) bool
	spoil             func(*changeset.Changeset)
	fail              error
}

func (l *library) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	l.gets.Add(1)
	c, err := l.Store.Get(ctx, ref, admission)
	l.bytes.Add(c.BodySize)
	return c, err
}

func (l *library) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) (all []changeset.Changeset, err error) {
	l.many.Add(1)
	for _, ref := range refs {
		c, err := l.Store.Get(ctx, ref, admission)
		if err != nil || l.leaveOut != nil && l.leaveOut(ref) {
			continue
		}
		l.bytes.Add(c.BodySize)
		if l.spoil != nil {
			l.spoil(&c)
		}
		all = append(all, c)
	}
	return all, l.fail
}

// fill appends n changesets to a few aggregates, each at a time.
func fill(t *testing.T, store *ropewalk.Store, n, aggregates int, size func(i int) int) {
	heads := make([]ropewalk.Head, aggregates)
	for i := range n {
		var err error
		at := i % aggregates
		content := append(make([]byte, size(i)), fmt.Sprint(i)...)
		heads[at], err = store.Chain(fmt.Sprintf("order-%d", at)).Append(t.Context(), heads[at], ropewalk.Draft{Content: content})
		require.NoError(t, err)
	}
}

func newLibrary(t *testing.T, n int, size func(i int) int) (*library, *ropewalk.Store) {
	l := &library{Store: memstore.New()}
	store := ropewalk.New(l, l, nil)
	fill(t, store, n, 40, size)
	return l, store
}

func TestManyChangesetsByOneRequest(t *testing.T) {
	l, store := newLibrary(t, 1000, func(int) int { return 100 })
	want, err := ropewalk.Collect(feed.Open(ropewalk.New(struct{ changeset.Store }{l.Store}, l, nil), nil).After(t.Context(), feed.Position{}))
	require.NoError(t, err)
	got, err := ropewalk.Collect(feed.Open(store, nil).After(t.Context(), feed.Position{}))
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Len(t, got, 1000)
	require.Zero(t, l.gets.Load())
	require.LessOrEqual(t, l.many.Load(), int64(20), "64 at a time, in pages of 256")
	for i, c := range got {
		require.Equal(t, fmt.Sprint(i), string(c.Content[100:]), "the log's order")
	}
}

// What a request of many leaves out, spoils or does not answer is read alone.
func TestRequestsOfManyThatFail(t *testing.T) {
	for name, sabotage := range map[string]func(*library){
		"leaves out":       func(l *library) { l.leaveOut = func(r changeset.Ref) bool { return r.Version%3 == 1 } },
		"leaves out all":   func(l *library) { l.leaveOut = func(changeset.Ref) bool { return true } },
		"spoils":           func(l *library) { l.spoil = func(c *changeset.Changeset) { c.Body[0] ^= 1 } },
		"names another":    func(l *library) { l.spoil = func(c *changeset.Changeset) { c.Ref.ID = changeset.NewID() } },
		"fails as a whole": func(l *library) { l.fail = errors.New("no answer") },
	} {
		t.Run(name, func(t *testing.T) {
			l, store := newLibrary(t, 300, func(int) int { return 10 })
			sabotage(l)
			got, err := ropewalk.Collect(feed.Open(store, nil).After(t.Context(), feed.Position{}))
			require.NoError(t, err)
			require.Len(t, got, 300)
			for i, c := range got {
				require.Equal(t, fmt.Sprint(i), string(c.Content[10:]))
			}
			if l.fail == nil {
				require.NotZero(t, l.gets.Load())
			}
		})
	}
}

// However large the contents are, what is read before its turn is about a budget of
// 1 MiB for each read under way, and one content more.
func TestContentsReadAheadAreBounded(t *testing.T) {
	const size = 300 << 10
	l, store := newLibrary(t, 600, func(int) int { return size })
	l.bytes.Store(0)
	for _, err := range feed.Open(store, &feed.Options{ReadAhead: 3}).After(t.Context(), feed.Position{}) {
		require.NoError(t, err)
		break
	}
	require.LessOrEqual(t, l.bytes.Load(), int64(6*(1<<20+size)), "3 that wait, and 3 under way")
	got, err := ropewalk.Collect(feed.Open(store, nil).After(t.Context(), feed.Position{}))
	require.NoError(t, err)
	require.Len(t, got, 600)
	for i, c := range got {
		require.Equal(t, fmt.Sprint(i), string(c.Content[size:]))
	}
}

// An advance of many changesets, as a sweep of an old store writes it, is bounded too.
func TestLongAdvancesReadAheadAreBounded(t *testing.T) {
	const size, versions = 300 << 10, 200
	db := memstore.New()
	l := &library{Store: db}
	store := ropewalk.New(l, bare{db}, nil)
	for i := range 2 {
		drafts := make([]ropewalk.Draft, versions)
		for n := range drafts {
			drafts[n].Content = append(make([]byte, size), fmt.Sprint(n)...)
		}
		_, err := store.Chain(fmt.Sprint(i)).Create(t.Context(), drafts...)
		require.NoError(t, err)
	}
	_, err := feed.Open(store, nil).Relay(nil).Once(t.Context())
	require.NoError(t, err)
	l.bytes.Store(0)
	for _, err := range feed.Open(store, &feed.Options{ReadAhead: 3}).After(t.Context(), feed.Position{}) {
		require.NoError(t, err)
		break
	}
	require.LessOrEqual(t, l.bytes.Load(), int64(6*(5<<20+2*size)), "3 that wait, and 3 under way")
	got, err := ropewalk.Collect(feed.Open(store, nil).After(t.Context(), feed.Position{}))
	require.NoError(t, err)
	require.Len(t, got, 2*versions)
	next := map[string]int{}
	for _, c := range got {
		require.Equal(t, fmt.Sprint(next[c.AggregateID]), string(c.Content[size:]))
		next[c.AggregateID]++
	}
}

func TestErasedAmongMany(t *testing.T) {
	l, store := newLibrary(t, 200, func(int) int { return 10 })
	_, err := gc.New(l, l, nil).Erase(t.Context(), "order-7")
	require.NoError(t, err)
	got, err := ropewalk.Collect(feed.Open(store, nil).After(t.Context(), feed.Position{}))
	require.NoError(t, err)
	require.Len(t, got, 201, "its erasure is the last entry of the log")
	for _, c := range got {
		require.Equal(t, c.AggregateID == "order-7", c.Erased)
	}
}

// Advances yields what Follow yields, without reading a changeset, and says when there is
// nothing more for now.
func TestAdvances(t *testing.T) {
	l, store := newLibrary(t, 100, func(int) int { return 10 })
	f := feed.Open(store, &feed.Options{Only: func(id string) bool { return id != "order-0" }})
	want, err := ropewalk.Collect(f.After(t.Context(), feed.Position{}))
	require.NoError(t, err)
	l.many.Store(0)
	l.gets.Store(0)
	var got []feed.Position
	for page, err := range f.Advances(t.Context(), want[9].Position) {
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, a := range page {
			require.NotEqual(t, "order-0", a.AggregateID)
			got = append(got, a.Position)
		}
	}
	require.Len(t, got, len(want)-10)
	for i, position := range got {
		require.Equal(t, want[10+i].Position, position)
	}
	require.Zero(t, l.many.Load()+l.gets.Load())
}
