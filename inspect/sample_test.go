package inspect_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
)

const order = "order 1"

// now is the clock of the tests' writers.
var now = time.Date(2026, 11, 21, 0, 31, 2, 123456789, time.UTC)

// bench is a storage with a chain under construction.
type bench struct {
	t require.TestingT
	*memstore.Store
	id   string
	head head.Head
	past []head.Head // the heads before
}

func newBench(t require.TestingT, id string) *bench {
	return &bench{t: t, Store: memstore.New(), id: id}
}

// build makes the changesets of an append after a head, and stores nothing.
func (b *bench) build(after head.Head, drafts ...changeset.Draft) ([]changeset.Changeset, head.Head) {
	built, next, err := link.Extend(after, b.id, drafts, now)
	require.NoError(b.t, err)
	return built, next
}

func (b *bench) put(built ...changeset.Changeset) {
	for _, c := range built {
		require.NoError(b.t, b.Put(ctx(b.t), c))
	}
}

func (b *bench) swap(next head.Head) {
	var err error
	b.past = append(b.past, b.head)
	b.head, err = b.Swap(ctx(b.t), b.head, next)
	require.NoError(b.t, err)
}

// orphan puts an append after the head without committing it.
func (b *bench) orphan(drafts ...changeset.Draft) []changeset.Changeset {
	built, _ := b.build(b.head, drafts...)
	b.put(built...)
	return built
}

func (b *bench) append(drafts ...changeset.Draft) []changeset.Changeset {
	built, next := b.build(b.head, drafts...)
	b.put(built...)
	b.swap(next)
	return built
}

func (b *bench) fence() { b.swap(link.Fence(b.head)) }

// verify verifies the chain: its objects one by one, and many by one request. Both must
// find the same.
func (b *bench) verify() inspect.Report {
	r, err := inspect.New(b, b, nil).Verify(ctx(b.t), b.id)
	require.NoError(b.t, err)
	if raceEnabled { // the same code runs for each, slowly
		return r
	}
	many, err := inspect.New(atOnce{b}, b, nil).Verify(ctx(b.t), b.id)
	require.NoError(b.t, err)
	require.Equal(b.t, r, many)
	return r
}

func draft(content string) changeset.Draft { return changeset.Draft{Content: []byte(content)} }

// sample is a chain of six changesets, a batch of three among them, with
// everything that a header can hold, and one lost orphan.
type sample struct {
	*bench
	chain []changeset.Changeset
	lost  changeset.Changeset
}

func newSample(t *testing.T) sample {
	s := sample{bench: newBench(t, order)}
	keep := func(cs []changeset.Changeset) { s.chain = append(s.chain, cs...) }
	keep(s.append(changeset.Draft{
		CommandID: "create-1", Content: []byte("zero"), ContentType: "text/plain",
		Metadata: map[string]string{"correlation-id": "91c2", "who": "al ice"},
	}))
	first := draft("one")
	first.CommandID = "ship-7"
	keep(s.append(first, changeset.Draft{Content: []byte("two"), Metadata: map[string]string{"k": "v"}}, draft("three")))
	s.lost = s.orphan(changeset.Draft{Content: []byte("never"), CommandID: "x", Metadata: map[string]string{"a": "b"}})[0]
	keep(s.append(draft("four")))
	keep(s.append(changeset.Draft{Content: []byte("five"), Metadata: map[string]string{"last": "one"}}))
	return s
}

// all returns all changesets that the sample stores.
func (s sample) all() []changeset.Changeset {
	return append([]changeset.Changeset{s.lost}, s.chain...)
}

func read(t require.TestingT, m *memstore.Store, id string) (*ropewalk.Reader, error) {
	return ropewalk.New(m, m, nil).Chain(id).Reader(ctx(t))
}

// ctx returns the test's context, also under rapid.
func ctx(t require.TestingT) context.Context {
	if c, ok := t.(interface{ Context() context.Context }); ok {
		return c.Context()
	}
	return context.Background()
}
