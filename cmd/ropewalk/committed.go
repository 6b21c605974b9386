package main

import (
	"fmt"
	"maps"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// keyCommit is the key under which a changeset has the mark of its commit of several
// aggregates.
const keyCommit = "$commit"

// commitJSON is the commit of several aggregates that created a changeset.
type commitJSON struct {
	ID string `json:"id"`
	// Members is the number of aggregates that the commit appended to.
	Members int `json:"members"`
}

// newCommitJSON returns nil for a changeset that was appended to one aggregate alone.
func newCommitJSON(h changeset.Header) *commitJSON {
	c := h.Commit()
	if c.IsZero() {
		return nil
	}
	return &commitJSON{c.ID.String(), c.Members}
}

// ownMetadata returns the metadata of the caller: without the mark of a commit.
func ownMetadata(h changeset.Header) map[string]string {
	if h.Commit().IsZero() {
		return h.Metadata
	}
	own := maps.Clone(h.Metadata)
	delete(own, keyCommit)
	return own
}

// metadataCell returns metadata for a cell of a table. The mark of a commit has the ID as
// it is shown elsewhere.
func metadataCell(all map[string]string, c changeset.Commit, shown func(id string) string) string {
	if !c.IsZero() {
		all = maps.Clone(all)
		all[keyCommit] = fmt.Sprintf("%s~%d", shown(c.ID.String()), c.Members)
	}
	return ui.FormatMetadata(all)
}

// whole shows an ID as it is.
func whole(id string) string { return id }

// commitWords names a commit, and counts its aggregates.
func commitWords(c changeset.Commit) string {
	return fmt.Sprintf("%s, %s", c.ID, ui.Plural(int64(c.Members), "aggregate"))
}
