package link

import (
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
)

// Made reports whether the append of one draft after a head has made the head h, alone or
// in the commit that has the mark. The digest decides: it commits to the content and to
// the mark.
func Made(after, h head.Head, draft changeset.Draft, mark changeset.Commit, compress bool) bool {
	built := body.Drafts([]changeset.Draft{draft}, compress && !h.IsPacked())[0]
	built.Mark = mark
	c := build(after, h.AggregateID, built, h.UpdatedAt)
	c.ID, c.AfterRevision, c.CommandID = h.ID, h.Revision-1, draft.CommandID
	parent := newestOf(after)
	if !h.IsPacked() {
		return c.ComputeDigest(parent.Digest) == h.Digest
	}
	if len(c.Content) > MaxLine {
		large := body.Encode(c.Content, compress)
		c.Body, c.Encoding, c.BodySHA256 = large.Bytes, large.Encoding, large.SHA256
	}
	sealed, err := changeset.Seal(c, parent)
	return err == nil && sealed.Digest == h.Digest
}
