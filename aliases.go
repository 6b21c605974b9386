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
