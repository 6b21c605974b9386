package ropewalk

import (
	"ropewalk/changeset"
	"ropewalk/head"
)

// The types of package changeset and package head that applications use, so
// that a program imports this package and one backend. The rest of the two
// packages is for the authors of backends.
type (
	// Draft is a changeset to be appended.
	Draft = changeset.Draft
	// Changeset is one change of an aggregate, with its content.
	Changeset = changeset.Changeset
	// Header is everything about a changeset except its content.
	Header = changeset.Header
	// Ref names a changeset: aggregate ID, version and changeset ID.
	Ref = changeset.Ref
	// ID is the ID of a changeset.
	ID = changeset.ID
	// Digest commits to a changeset and to the whole history before it.
	Digest = changeset.Digest
	// Head names the newest committed changeset of an aggregate.
	Head = head.Head
)

// ParseRef parses the text of a reference, ID@VERSION.UUID, as [Ref.String]
// returns it.
func ParseRef(s string) (Ref, error) { return changeset.ParseRef(s) }

// ParseETag returns the reference that an HTTP entity tag of [Head.ETag] names, for
// [Chain.HeadOf].
func ParseETag(aggregateID, etag string) (Ref, error) { return head.ParseETag(aggregateID, etag) }
