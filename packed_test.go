package ropewalk_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
)

// built is a chain that was built directly, of all kinds of appends, and what a
// reader must find in it.
type built struct {
	t       require.TestingT
	db      *memstore.Store
	head    head.Head
	want    []changeset.Changeset
	objects []changeset.Ref // oldest first
}

func newBuilt(t require.TestingT) *built { return &built{t: t, db: memstore.New()} }

// append adds an append, and stores everything except the head.
func (b *built) append(l link.Layout, drafts ...changeset.Draft) {
	a, err := link.Build(b.head, "order-1", [][]body.Draft{body.Drafts(drafts, false)}, time.Unix(1e9, 0), l)
	require.NoError(b.t, err)
	b.want = append(b.want, a.Changesets...)
	b.put(a.Objects, a.Next)
}

// flush moves the tip into objects.
func (b *built) flush() {
	objects, next, err := link.Flush(b.head, false)
	require.NoError(b.t, err)
	b.put(objects, next)
}

func (b *built) put(objects []changeset.Changeset, next head.Head) {
	for _, o := range objects {
		require.NoError(b.t, b.db.Put(context.Background(), o))
		b.objects = append(b.objects, o.Ref)
	}
	b.head = next
}

// save stores the head, and makes it a head that was loaded.
func (b *built) save() head.Head {
	record, err := head.EncodeJSON(b.head)
	require.NoError(b.t, err)
	b.db.Tamper(func(all *memstore.Contents) { all.Heads[head.ObjectName("order-1")] = record })
	b.head, err = b.db.Load(context.Background(), "order-1")
	require.NoError(b.t, err)
	return b.head
}

// random adds n random appends. The first ones are of format 1.
func (b *built) random(r *rand.Rand, old, n int) {
	for i := range n {
		l := link.Layout{Packed: i >= old, Tip: []int{0, 300, 2000}[r.IntN(3)], Compress: r.IntN(2) == 0}
		drafts := make([]changeset.Draft, 1+r.IntN(4))
		for j := range drafts {
			drafts[j] = changeset.Draft{CommandID: fmt.Sprint(i), ContentType: "text/plain", Content: bytes.Repeat([]byte{byte('a' + r.IntN(26))}, r.IntN(200))}
			switch r.IntN(80) {
			case 0:
				drafts[j].Content = make([]byte, link.MaxLine+1)
			case 1:
				drafts[j] = changeset.Draft{CommandID: fmt.Sprint(i), Content: []byte{0xff, byte(j)}, Metadata: map[string]string{"n": fmt.Sprint(j)}}
			}
		}
		b.append(l, drafts...)
		if b.head.Tip != "" && r.IntN(20) == 0 {
			b.flush()
		}
	}
}

// absorb stores the objects from number i on again: the first two of them in one
// larger object, and all others with other IDs, since their indexes are different. A
// head at the next revision leads to them. The old ones are deleted.
func (b *built) absorb(i int) {
	old := b.objects[i:]
	index := changeset.ObjectIndexAt(b.objects[0].First())
	for _, o := range b.objects[:i] {
		index = index.Push(o)
	}
	b.objects = b.objects[:i:i]
	b.repack(&index, old[0].First(), old[1].Version)
	for _, o := range old[2:] {
		b.repack(&index, o.First(), o.Version)
	}
	b.head.Index = index
	b.head.Revision++
	b.save()
	for _, o := range old {
		require.NoError(b.t, b.db.Delete(context.Background(), o))
	}
}

// repack stores an object of lines.
func (b *built) repack(index *changeset.ObjectIndex, first, last uint64) {
	var parent changeset.Header
	if first > 0 {
		parent = b.want[first-1].Header
	}
	var lines []byte
	for _, c := range b.want[first : last+1] {
		lines = changeset.AppendLine(lines, c)
	}
	o := changeset.NewPack(changeset.NewID(), b.head.Revision, *index, parent, b.want[last].Header, lines)
	b.put([]changeset.Changeset{o}, b.head)
	*index = index.Push(o.Ref)
}
