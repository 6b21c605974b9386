package inspect

import (
	"bytes"
	"cmp"
	"sort"

	"ropewalk/changeset"
)

// record is what is kept of each object. An aggregate may have a million: so
// its fields are in the order that leaves no gaps, its parent is a place
// instead of an ID, and nothing in it is for the garbage collector to follow.
type record struct {
	id      changeset.ID
	version uint64
	after   uint64
	size    int64
	parent  int32 // the place of the parent; nowhere if that is not stored
	part    uint8 // how many changesets of its append come before it
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
	last                        // it ends its append
	above                       // it descends from the head
)

func (r *record) is(m marks) bool { return r.marks&m != 0 }

func (r *record) mark(m marks) { r.marks |= m }

// start is the version of the first changeset of the append.
func (r *record) start() uint64 { return r.version - uint64(r.part) }

// table holds the records of one aggregate in the order of their names. It
// grows by pieces, so that nothing is copied, and held twice, on the way.
type table struct {
	pieces [][]record
	// orphaned holds the IDs of those parents that are not stored, by the place of the child.
	orphaned map[int]changeset.ID
}

const pieceSize = 1 << 13

func (t *table) add(r record) {
	n := len(t.pieces)
	if n == 0 || len(t.pieces[n-1]) == pieceSize {
		t.pieces = append(t.pieces, nil)
		n++
	}
	t.pieces[n-1] = append(t.pieces[n-1], r)
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
func (t *table) newest() (uint64, bool) {
	n := t.len()
	if n == 0 {
		return 0, false
	}
	return t.at(n - 1).version, true
}

// from returns the place of the first record of a version or a higher one.
func (t *table) from(version uint64) int {
	return sort.Search(t.len(), func(i int) bool { return t.at(i).version >= version })
}

// find returns the place of a changeset; nowhere if there is no such object.
func (t *table) find(version uint64, id changeset.ID) int {
	place := sort.Search(t.len(), func(i int) bool {
		r := t.at(i)
		return cmp.Or(cmp.Compare(r.version, version), bytes.Compare(r.id[:], id[:])) >= 0
	})
	if place < t.len() && t.at(place).version == version && t.at(place).id == id && !t.at(place).is(gone) {
		return place
	}
	return nowhere
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
	r.after, r.size, r.part = h.AfterRevision, h.BodySize, uint8(max(1, h.Part.Number)-1)
	if h.Part.Last() {
		r.mark(last)
	}
	if h.Version == 0 {
		return
	}
	if r.parent = int32(t.find(h.Version-1, h.Parent)); r.parent == nowhere {
		if t.orphaned == nil {
			t.orphaned = map[int]changeset.ID{}
		}
		t.orphaned[seen.place] = h.Parent
	}
}

// parentOf returns the ID of the parent of a readable record above version 0.
func (t *table) parentOf(place int) changeset.ID {
	if parent := t.at(place).parent; parent != nowhere {
		return t.at(int(parent)).id
	}
	return t.orphaned[place]
}

// baseOf returns the place of the changeset on which the append of a record
// was built; nowhere if there is no such changeset, or one between is not stored.
func (t *table) baseOf(place int) int {
	for steps := int(t.at(place).part) + 1; steps > 0 && place != nowhere; steps-- {
		place = int(t.at(place).parent)
	}
	return place
}
