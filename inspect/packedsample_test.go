package inspect_test

import (
	"bytes"
	"fmt"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
)

// buildPacked makes an append after the head, to a packed chain, and stores nothing.
func (b *bench) buildPacked(l link.Layout, drafts ...changeset.Draft) link.Append {
	l.Packed = true
	a, err := link.Build(b.head, b.id, [][]body.Draft{l.Drafts(b.head, drafts)}, now, l)
	require.NoError(b.t, err)
	return a
}

func (b *bench) commit(a link.Append) []changeset.Changeset {
	b.put(a.Objects...)
	b.swap(a.Next)
	return a.Changesets
}

// inline appends to the tip, which has room.
func (b *bench) inline(drafts ...changeset.Draft) []changeset.Changeset {
	a := b.buildPacked(link.Layout{Tip: 200_000}, drafts...)
	require.Empty(b.t, a.Objects)
	return b.commit(a)
}

// spill appends to objects, with the tip.
func (b *bench) spill(drafts ...changeset.Draft) link.Append {
	a := b.buildPacked(link.Layout{Compress: true}, drafts...)
	b.commit(a)
	return a
}

// orphanPack puts the objects of an append that is not committed.
func (b *bench) orphanPack(drafts ...changeset.Draft) link.Append {
	a := b.buildPacked(link.Layout{}, drafts...)
	b.put(a.Objects...)
	return a
}

// flush moves the tip into an object.
func (b *bench) flush() changeset.Changeset {
	objects, next, err := link.Flush(b.head, false)
	require.NoError(b.t, err)
	b.put(objects...)
	b.swap(next)
	return objects[0]
}

// large is content that is an object alone.
func large(fill byte) changeset.Draft {
	return changeset.Draft{Content: bytes.Repeat([]byte{fill}, link.MaxLine+1), ContentType: "text/plain"}
}

// half is content of which two do not fit into one pack.
func half(fill byte) changeset.Draft {
	return changeset.Draft{Content: bytes.Repeat([]byte{fill}, 600<<10)}
}

// kind is a kind of packed chain.
type kind struct {
	name  string
	build func(*bench)
	step  int // one in how many bytes a slow test looks at
}

// kinds are the kinds of packed chains, from format 1 or from the beginning.
func kinds() (all []kind) {
	for _, old := range []int{0, 1, 5} {
		add := func(name string, step int, build func(*bench)) {
			all = append(all, kind{fmt.Sprintf("after %d of format 1/%s", old, name), func(b *bench) {
				for i := range old {
					b.append(draft(fmt.Sprint("old ", i)))
				}
				build(b)
			}, step})
		}
		add("never spilled", 1, func(b *bench) { b.inline(draft("a"), draft("b")); b.inline(draft("c")) })
		add("spilled once", 1, func(b *bench) { b.inline(draft("a"), draft("b")); b.spill(draft("c")) })
		add("spilled, and a tip", 1, spilled)
		add("flushed", 1, func(b *bench) { spilled(b); b.flush() })
		add("with content alone", 97, func(b *bench) { spilled(b); b.spill(draft("x"), large('y'), large('z')); b.inline(draft("t")) })
		if old == 1 {
			add("an append in several packs", 997, func(b *bench) { spilled(b); b.spill(half('x'), half('y')) })
		}
		add("with orphans", 1, func(b *bench) { spilled(b); orphans(b) })
		add("long", 97, long)
	}
	return all
}

func spilled(b *bench) {
	b.inline(draft("0"))
	b.inline(changeset.Draft{Content: []byte("one"), CommandID: "c-1", Metadata: map[string]string{"k": "v"}}, draft("two"))
	b.spill(draft("three"), draft("four"))
	b.spill(draft("five"))
	b.fence()
	b.inline(draft("six"))
	b.inline(draft("seven"), draft("\x00\xff"))
}

// orphans leaves packs with copies of the tip beside a chain, and goes on.
func orphans(b *bench) {
	b.orphanPack(draft("lost"))
	b.orphanPack(draft("lost"), draft("as well"))
	b.inline(draft("won"))
	b.orphanPack(draft("lost again"))
	objects, _, err := link.Flush(b.head, false)
	require.NoError(b.t, err)
	b.put(objects...) // a flush that lost
	b.spill(draft("put"))
	b.inline(draft("last"))
}

func long(b *bench) {
	for i := range 60 {
		switch i % 4 {
		case 3:
			b.spill(draft(fmt.Sprint(i)))
		default:
			b.inline(draft(fmt.Sprint(i)))
		}
	}
}

func (s kind) bench(t require.TestingT) *bench {
	b := newBench(t, order)
	s.build(b)
	return b
}

// objects returns all objects that are stored.
func (b *bench) objects() (all []changeset.Changeset) {
	for o, err := range b.Objects(ctx(b.t), b.id) {
		require.NoError(b.t, err)
		c, err := b.Get(ctx(b.t), o.Ref, nil)
		require.NoError(b.t, err)
		all = append(all, c)
	}
	return all
}

// bodies returns drafts for an append that is not compressed.
func bodies(drafts ...changeset.Draft) [][]body.Draft {
	return [][]body.Draft{body.Drafts(drafts, false)}
}
