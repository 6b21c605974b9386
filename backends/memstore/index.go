package memstore

import (
	"slices"
	"strings"

	"ropewalk/changeset"
)

// index has the objects of each aggregate in the order of their names, which is the order
// of their first versions.
type index map[string][]entry

// entry is an object with its name.
type entry struct {
	name string
	ref  changeset.Ref
	*Object
}

// listed returns the entry as a listing has it.
func (e entry) listed() changeset.Object {
	return changeset.Object{Ref: e.ref, Size: int64(len(e.Body)), LastModified: e.LastModified}
}

// readLock takes the lock for reading, with the index built. After a call of [Store.Tamper]
// the index is built again when it is first read.
func (s *Store) readLock() {
	for s.mu.RLock(); s.index == nil; s.mu.RLock() {
		s.mu.RUnlock()
		s.mu.Lock()
		if s.index == nil {
			s.index = indexOf(s.contents.Objects)
		}
		s.mu.Unlock()
	}
}

func indexOf(objects map[string]*Object) index {
	x := index{}
	for name, o := range objects {
		if ref, err := changeset.ParseObjectName(name); err == nil {
			x[ref.AggregateID] = append(x[ref.AggregateID], entry{name, ref, o})
		}
	}
	for _, all := range x {
		slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	}
	return x
}

// add adds a new object, if the index is built.
func (x index) add(e entry) {
	if x == nil {
		return
	}
	all := x[e.ref.AggregateID]
	at, _ := find(all, e.name)
	x[e.ref.AggregateID] = slices.Insert(all, at, e)
}

// remove removes an object, if it exists.
func (x index) remove(aggregateID, name string) {
	all := x[aggregateID]
	at, ok := find(all, name)
	if !ok {
		return
	}
	if all = slices.Delete(all, at, at+1); len(all) == 0 {
		delete(x, aggregateID)
		return
	}
	x[aggregateID] = all
}

// find returns the place of an object, and whether it exists.
func find(all []entry, name string) (int, bool) {
	return slices.BinarySearchFunc(all, name, func(e entry, name string) int { return strings.Compare(e.name, name) })
}
