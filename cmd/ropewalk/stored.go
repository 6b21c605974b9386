package main

import (
	"context"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/inspect"
	"ropewalk/internal/link"
)

// storedJSON says in --json where a changeset is stored.
type storedJSON struct {
	// StoredIn is pack if the changeset is in an object of lines, head if it is in the tip
	// of the head, and empty if it is an object of its own.
	StoredIn string `json:"stored_in,omitempty"`
	// Object is the name, in the storage, of the object or the head that has it.
	Object string `json:"object,omitempty"`
	// Line is its line in the pack, or in the tip, from 1.
	Line uint64 `json:"line,omitempty"`
}

// words returns the line of show that says where a changeset is stored.
func (at *storedJSON) words() (name string, value any) {
	switch at.StoredIn {
	case "head":
		return "stored in", fmt.Sprintf("the tip of the head, line %d: %s", at.Line, at.Object)
	case "pack":
		return "stored in", fmt.Sprintf("a pack, line %d: %s", at.Line, at.Object)
	default:
		return "object", at.Object
	}
}

// placeOf returns where a changeset is stored.
func (s *store) placeOf(ctx context.Context, l located, h changeset.Header) (*storedJSON, error) {
	switch {
	case h.Format() == changeset.Format:
		return s.storedAt(h, h.Version), nil
	case l.reader == nil:
		return s.storedAt(l.pack, h.Version), nil
	}
	place, err := link.Locate(ctx, s.objects, l.head, h.Version)
	if err != nil {
		return nil, s.named(err)
	}
	if place.Object == (changeset.Ref{}) {
		return &storedJSON{"head", s.heads.LocateHead(h.AggregateID), h.Version - l.head.Index.Next() + 1}, nil
	}
	object, err := s.objects.Stat(ctx, place.Object)
	return s.storedAt(object.Header, h.Version), err
}

// nodePlace returns where a node of a graph is stored, or should be.
func (s *store) nodePlace(n inspect.Node) *storedJSON {
	switch {
	case n.Object == (changeset.Ref{}):
		return &storedJSON{"head", s.heads.LocateHead(n.AggregateID), uint64(n.Line)}
	case n.Line > 0:
		return &storedJSON{"pack", s.objects.Locate(n.Object), uint64(n.Line)}
	default:
		return &storedJSON{Object: s.objects.Locate(n.Object)}
	}
}

// storedAt says that a version is stored in an object.
func (s *store) storedAt(object changeset.Header, version uint64) *storedJSON {
	if object.Pack != nil && object.Pack.Lines {
		return &storedJSON{"pack", s.objects.Locate(object.Ref), version - object.First() + 1}
	}
	return &storedJSON{Object: s.objects.Locate(object.Ref)}
}
