package link

import (
	"fmt"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
)

// Layout says how an append is stored.
type Layout struct {
	// Packed makes an append to a chain of format 1, or to a new chain, begin a packed
	// chain. A chain that is packed stays packed.
	Packed bool
	// Tip is how many bytes the tip of a packed chain may have.
	Tip int
	// Compress lets the objects of lines be compressed.
	Compress bool
}

// Append is an append that is ready to be stored.
type Append struct {
	// Changesets are the changesets that the append adds to the chain.
	Changesets []changeset.Changeset
	// Objects must be put before the swap. In format 1 they are the changesets. In a
	// packed chain they are packs, of the changesets of the tip too. An append to the tip
	// has no objects.
	Objects []changeset.Changeset
	// Next is the head that commits the append.
	Next head.Head
}

// MaxLine is the largest content in bytes that stands in a line. A changeset with
// larger content has an object of its own.
const MaxLine = changeset.MaxPackBody

// Drafts returns drafts with their bodies, for appends after a head. Lines are not
// compressed one by one.
func (l Layout) Drafts(after head.Head, drafts []changeset.Draft) []body.Draft {
	if after.IsPacked() || l.Packed {
		return body.LargeDrafts(drafts, l.Compress, MaxLine)
	}
	return body.Drafts(drafts, l.Compress)
}

// Build is [Batch] for a layout.
//
// Its errors are the errors of [Extend].
func Build(after head.Head, aggregateID string, appends [][]body.Draft, now time.Time, l Layout) (Append, error) {
	if !after.IsPacked() && !l.Packed {
		built, next, err := Batch(after, aggregateID, appends, now)
		return Append{built, built, next}, err
	}
	size, err := checkAppends(after, aggregateID, appends)
	if err != nil {
		return Append{}, err
	}
	built, err := seal(after, aggregateID, appends, size, recordedAt(after, now))
	if err != nil {
		return Append{}, err
	}
	next := nextPacked(after, built[len(built)-1].Header)
	if lines, ok := inline(next.Tip, built, l.Tip); ok {
		next.Tip = lines
		return Append{Changesets: built, Next: next}, nil
	}
	objects, next, err := spill(next, after, built, l.Compress)
	return Append{built, objects, next}, err
}

// seal links the drafts as changesets of a packed chain.
func seal(after head.Head, aggregateID string, appends [][]body.Draft, size int, at time.Time) ([]changeset.Changeset, error) {
	built := make([]changeset.Changeset, 0, size)
	parent := newestOf(after)
	for _, drafts := range appends {
		for _, draft := range drafts {
			c := build(head.Head{Ref: parent.Ref}, aggregateID, draft, at)
			c.AfterRevision, c.CommandID = after.Revision, drafts[0].CommandID
			if size > 1 {
				c.Part = changeset.Part{Number: len(built) + 1, Of: size}
			}
			if draft.Encoding != "" && len(draft.Content) <= MaxLine {
				c.Body, c.Encoding = nil, "" // a line has the content as it is
			}
			c, err := changeset.Seal(c, parent)
			if err != nil {
				return nil, err
			}
			built = append(built, c)
			parent = c.Header
		}
	}
	return built, nil
}

// newestOf returns what a head says of its newest changeset: its reference and digest.
// It returns the zero Header if the chain does not exist.
func newestOf(h head.Head) changeset.Header {
	if !h.Exists() {
		return changeset.Header{}
	}
	return changeset.Header{Ref: h.Ref, Digest: h.Digest}
}

// nextPacked returns the head that replaces h when last, the last changeset of an
// append, enters the chain: still with the tip and the objects of h. If the chain of h
// is of format 1, its changesets are what is in objects.
func nextPacked(h head.Head, last changeset.Header) head.Head {
	next := h
	if !h.IsPacked() {
		next.Formats = head.Packed
		next.PackedID, next.PackedDigest = h.ID, h.Digest
		next.Index = changeset.ObjectIndexAt(h.Len())
	}
	next.Ref, next.Digest, next.UpdatedAt = last.Ref, last.Digest, last.RecordedAt
	next.Revision++
	next.State = head.Live
	return next
}

// inline adds changesets to a tip, and reports whether all of them fit.
func inline(tip string, added []changeset.Changeset, limit int) (string, bool) {
	size := len(tip)
	for _, c := range added {
		size += len(c.Content)
	}
	if size > limit {
		return "", false
	}
	lines := append(make([]byte, 0, size+256*len(added)), tip...)
	for _, c := range added {
		lines = changeset.AppendLine(lines, c)
	}
	return string(lines), len(lines) <= limit
}

// spill moves the tip and an append into objects. next is the head that commits the
// append, with the tip and the objects of after.
func spill(next, after head.Head, added []changeset.Changeset, compress bool) ([]changeset.Changeset, head.Head, error) {
	tip, err := next.TipChangesets()
	if err != nil {
		return nil, head.Head{}, fmt.Errorf("tip of %q: %w", next.AggregateID, err)
	}
	p := packer{after: after.Revision, compress: compress, index: next.Index, base: next.PackedHeader()}
	for _, c := range tip {
		p.add(c, false)
	}
	for _, c := range added {
		p.add(c, true)
	}
	p.flush()
	next.Tip, next.Ancestors = "", changeset.Index{}
	next.Index, next.PackedID, next.PackedDigest = p.index, p.base.ID, p.base.Digest
	return p.objects, next, nil
}

// packer makes the objects of consecutive changesets.
type packer struct {
	after    uint64 // the revision of the head that the objects are put for
	compress bool
	objects  []changeset.Changeset
	index    changeset.ObjectIndex // of the next object
	base     changeset.Header      // the newest changeset in objects
	lines    []byte                // of the next object
	last     changeset.Header      // the changeset of the last line
	own      bool                  // this append created it
}

func (p *packer) add(c changeset.Changeset, own bool) {
	if len(c.Content) > MaxLine {
		p.flush()
		p.put(changeset.Alone(c, p.index, p.base), c.Header)
		return
	}
	had := len(p.lines)
	lines := changeset.AppendLine(p.lines, c)
	if had > 0 && len(lines) > changeset.MaxPackBody {
		p.flush()
		lines = changeset.AppendLine(nil, c)
	}
	p.lines, p.last, p.own = lines, c.Header, own
}

// flush makes an object of the lines. The object has the ID of its last changeset if
// this append created the changeset. Otherwise that ID may have named an object that
// another append has put.
func (p *packer) flush() {
	if len(p.lines) == 0 {
		return
	}
	id := p.last.ID
	if !p.own {
		id = changeset.NewID()
	}
	o := changeset.NewPack(id, p.after, p.index, p.base, p.last, p.lines)
	b := body.Encode(o.Content, p.compress)
	o.Body, o.Encoding, o.BodySize, o.BodySHA256 = b.Bytes, b.Encoding, int64(len(b.Bytes)), b.SHA256
	p.put(o, p.last)
	p.lines = nil
}

func (p *packer) put(o changeset.Changeset, last changeset.Header) {
	p.objects = append(p.objects, o)
	p.index, p.base = p.index.Push(o.Ref), last
}

// Flush moves the tip of a head into an object, as a fence does nothing else. It
// returns the objects to put, and the head that replaces h.
func Flush(h head.Head, compress bool) ([]changeset.Changeset, head.Head, error) {
	next := h
	next.Revision++
	return spill(next, h, nil, compress)
}
