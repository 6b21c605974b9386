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

// stored returns the object for the decoder.
func (e entry) stored() changeset.Stored {
	return changeset.Stored{Ref: e.ref, Metadata: e.Metadata, ContentType: e.ContentType, Size: int64(len(e.Body))}
}

// indexed returns the index. It is built when it is first needed, and again after a call of
// [Store.Tamper]. It needs the lock.
func (s *Store) indexed() index {
	if s.index == nil {
		s.index = index{}
		for name, o := range s.contents.Objects {
			if ref, err := changeset.ParseObjectName(name); err == nil {
				s.index[ref.AggregateID] = append(s.index[ref.AggregateID], entry{name, ref, o})
			}
		}
		for _, all := range s.index {
			slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
		}
	}
	return s.index
}

// readLock takes the lock for reading, with the index built.
func (s *Store) readLock() {
	for s.mu.RLock(); s.index == nil; s.mu.RLock() {
		s.mu.RUnlock()
		s.mu.Lock()
		s.indexed()
		s.mu.Unlock()
	}
}

// add adds a new object.
func (x index) add(e entry) {
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
