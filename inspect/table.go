package inspect

import (
	"bytes"
	"cmp"
	"iter"
	"sort"
	"strings"

	"ropewalk/changeset"
)

// record is what is kept of each object. An aggregate may have a million: so
// its fields are in the order that leaves no gaps, its parent is a place
// instead of an ID, and nothing in it is for the garbage collector to follow.
type record struct {
	id      changeset.ID
	version uint64 // of the newest changeset in the object
	after   uint64
	size    int64  // of its contents
	parent  int32  // the place of the object before; nowhere if that is not stored
	count   uint16 // of its changesets; 0 in format 1
	part    uint8  // how many changesets of the append of its first changeset come before it
	marks   marks
}

// nowhere is the place of what is not in the table.
const nowhere = -1

// marks is what is known of an object beside its numbers.
type marks uint8

const (
	gone      marks = 1 << iota // it was deleted after it was listed
	readable                    // its metadata decodes
	committed                   // the chain of the head has it
	unknown                     // the chain is broken above
	sound                       // it and all below it are proved
	above                       // it descends from the head
	through                     // it has the head's changeset, and was put for that head or a later one
	opened                      // its changesets are known
)

func (r *record) is(m marks) bool { return r.marks&m != 0 }

func (r *record) mark(m marks) { r.marks |= m }

// changesets is how many changesets the object has.
func (r *record) changesets() int { return int(max(r.count, 1)) }

// first is the version of the first changeset in the object.
func (r *record) first() uint64 { return r.ref("").First() }

// start is the version of the first changeset of the append to which the first
// changeset in the object belongs.
func (r *record) start() uint64 { return r.first() - uint64(r.part) }

func (r *record) ref(aggregateID string) changeset.Ref {
	return changeset.Ref{AggregateID: aggregateID, Version: r.version, ID: r.id, Count: r.count}
}

// compare compares the names of two objects of an aggregate.
func compare(a, b changeset.Ref) int {
	if c := cmp.Compare(a.First(), b.First()); c != 0 {
		return c
	}
	if !a.IsPacked() && !b.IsPacked() {
		return bytes.Compare(a.ID[:], b.ID[:])
	}
	return strings.Compare(a.ObjectName(), b.ObjectName())
}

// table holds the records of one aggregate in the order of their names. It
// grows by pieces, so that nothing is copied, and held twice, on the way.
type table struct {
	pieces [][]record
	// highest is the highest version that is stored.
	highest uint64
	// orphaned holds the parents that are not stored, by the place of the child.
	orphaned map[int]changeset.Ref
	// overlap holds the objects of format 2 whose versions another object of format 2,
	// or the tip of the head, has as well.
	overlap map[int]bool
	// ids holds the IDs of the changesets in the objects that overlap and were opened.
	ids map[int][]changeset.ID
}

const pieceSize = 1 << 13

// list adds an object that was listed.
func (t *table) list(o changeset.Object) {
	t.add(record{id: o.ID, version: o.Version, count: o.Count, size: o.Size, parent: nowhere})
}

func (t *table) add(r record) {
	n := len(t.pieces)
	if n == 0 || len(t.pieces[n-1]) == pieceSize {
		t.pieces = append(t.pieces, nil)
		n++
	}
	t.pieces[n-1] = append(t.pieces[n-1], r)
	t.highest = max(t.highest, r.version)
}

func (t *table) len() int {
	n := len(t.pieces)
	if n == 0 {
		return 0
	}
	return (n-1)*pieceSize + len(t.pieces[n-1])
}

// at returns the record at a place, from 0 to len()-1.
func (t *table) at(place int) *record { return &t.pieces[place/pieceSize][place%pieceSize] }

// newest returns the highest version that is stored; false if nothing is.
func (t *table) newest() (uint64, bool) { return t.highest, t.len() > 0 }

// from yields the places of the objects that have a given version or a higher one.
func (t *table) from(version uint64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for place := range t.len() {
			if t.at(place).version >= version && !yield(place) {
				return
			}
		}
	}
}

// find returns the place of an object; nowhere if it is not stored.
func (t *table) find(ref changeset.Ref) int {
	at := func(place int) changeset.Ref { return t.at(place).ref(ref.AggregateID) }
	place := sort.Search(t.len(), func(i int) bool { return compare(at(i), ref) >= 0 })
	if place < t.len() && at(place) == ref && !t.at(place).is(gone) {
		return place
	}
	return nowhere
}

// findOverlaps finds the objects of format 2 that overlap one another, or the versions
// from tip on.
func (t *table) findOverlaps(tip uint64) {
	t.overlap, t.ids = map[int]bool{}, map[int][]changeset.ID{}
	longest := nowhere // of the objects before, the one that ends at the highest version
	for place := range t.len() {
		r := t.at(place)
		if r.count == 0 {
			continue
		}
		if longest != nowhere && t.at(longest).version >= r.first() {
			t.overlap[longest], t.overlap[place] = true, true
		}
		if r.version >= tip {
			t.overlap[place] = true
		}
		if longest == nowhere || t.at(longest).version < r.version {
			longest = place
		}
	}
}

// fill adds to a record what was seen of its object. Parents come first.
func (t *table) fill(seen sight) {
	r, h := t.at(seen.place), seen.header
	if seen.gone {
		r.mark(gone)
	}
	if !seen.readable {
		return
	}
	r.mark(readable)
	r.after, r.size = h.AfterRevision, h.BodySize
	if in := seen.contents; in != nil {
		r.mark(opened | in.marks)
		r.size, r.part = in.size, uint8(max(1, in.first.Part.Number)-1)
		if in.ids != nil {
			t.ids[seen.place] = in.ids
		}
	}
	parent, ok := objectBefore(h)
	if !ok {
		return
	}
	if r.parent = int32(t.find(parent)); r.parent == nowhere {
		if t.orphaned == nil {
			t.orphaned = map[int]changeset.Ref{}
		}
		parent.AggregateID = ""
		t.orphaned[seen.place] = parent
	}
}

// parentOf returns the object before a readable one; false if it is the first.
func (t *table) parentOf(place int) (changeset.Ref, bool) {
	if parent := t.at(place).parent; parent != nowhere {
		return t.at(int(parent)).ref(""), true
	}
	parent, ok := t.orphaned[place]
	return parent, ok
}
