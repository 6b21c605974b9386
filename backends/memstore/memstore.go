// Package memstore keeps changesets and heads in memory, for tests: the
// reference implementation of both interfaces.
//
// Like a service, it keeps encoded metadata and bytes under object names, and
// decodes them on every read. A test can therefore corrupt stored data
// ([Store.Tamper]), and make copies to corrupt ([Store.Clone]).
package memstore

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/commitlog"
)

var (
	_ changeset.Store       = (*Store)(nil)
	_ changeset.RangeGetter = (*Store)(nil)
	_ changeset.Lister      = (*Store)(nil)
	_ changeset.Scanner     = (*Store)(nil)
	_ changeset.Deleter     = (*Store)(nil)
	_ changeset.Locator     = (*Store)(nil)
	_ head.Combined         = (*Store)(nil)
	_ head.Locator          = (*Store)(nil)
	_ head.Log              = (*Store)(nil)
)

// Store implements both interfaces, with all their optional parts. It is safe
// for concurrent use, and ends with the process.
type Store struct {
	generation string // of the log
	bell       commitlog.Bell
	// mu guards contents and index. Nothing that may wait is called while it is held.
	mu       sync.RWMutex
	contents Contents
	index    index // of contents.Objects; nil if it must be built
}

// Contents is everything that a [Store] keeps.
type Contents struct {
	// Objects holds the changesets by [changeset.Ref.ObjectName].
	Objects map[string]*Object
	// Heads holds the heads' JSON texts by [head.ObjectName].
	Heads map[string][]byte
	// Log holds the entry of each commit, oldest first.
	Log []Logged
}

// Object is one stored changeset, as a service would keep it.
type Object struct {
	// Metadata is the encoded header, spelled with hyphens.
	Metadata map[string]string
	// ContentType is the media type of the body.
	ContentType string
	// Body is the content.
	Body []byte
	// LastModified is the clock's time at the put, in UTC.
	LastModified time.Time
}

// New returns an empty store.
func New() *Store {
	return &Store{
		generation: commitlog.Generation(commitlog.NewMark()),
		contents:   Contents{Objects: map[string]*Object{}, Heads: map[string][]byte{}},
		index:      index{},
	}
}

// Tamper calls change with everything that is stored, to be changed in place,
// behind the back of every reader and writer. Nothing else happens in the
// meantime; change must neither call the store nor keep its argument.
func (s *Store) Tamper(change func(*Contents)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.contents)
	s.index = nil
}

// Clone returns a store of its own with a deep copy of everything stored. Its log
// has the same entries and another generation.
func (s *Store) Clone() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	clone := New()
	for name, o := range s.contents.Objects {
		clone.contents.Objects[name] = &Object{maps.Clone(o.Metadata), o.ContentType, bytes.Clone(o.Body), o.LastModified}
	}
	for name, record := range s.contents.Heads {
		clone.contents.Heads[name] = bytes.Clone(record)
	}
	clone.contents.Log = slices.Clone(s.contents.Log)
	clone.index = nil
	return clone
}

// Locate returns "memory:" and the object's name.
func (s *Store) Locate(ref changeset.Ref) string { return locate(ref.ObjectName()) }

// LocateHead returns "memory:" and the head's name.
func (s *Store) LocateHead(aggregateID string) string { return locate(head.ObjectName(aggregateID)) }

func locate(name string) string { return "memory:" + name }
