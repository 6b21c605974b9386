package feed

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"ropewalk/changeset"
	"ropewalk/head"
)

// formatOfBatches is the format number of the changesets of a feed.
const formatOfBatches = 1

// maxAdvances is the largest number of advances of one batch.
const maxAdvances = 10_000

// batch is the content of one changeset of a feed: a line of JSON about the
// relay, and one line of JSON for each advance.
type batch struct {
	preamble
	advances []advance
}

// advance is an advance of a batch.
type advance struct {
	head.Advance
	// tag is the hash of the head's tag as the relay saw it, 0 if it saw none.
	tag uint32
}

// preamble is the first line of a batch.
type preamble struct {
	Format int `json:"format"`
	// Source is the name of the source that the cursor is for.
	Source string `json:"source"`
	// Cursor is where the source goes on after the batch; null while a sweep is
	// under way.
	Cursor json.RawMessage `json:"cursor"`
	// Unread are aggregates whose heads do not decode. They are tried again.
	Unread []string `json:"unread,omitempty"`
	// Snapshot is the changeset ID of the newest snapshot of the map.
	Snapshot *changeset.ID `json:"snapshot,omitempty"`
}

// line is an advance as it is stored.
type line struct {
	Aggregate string        `json:"aggregate"`
	First     uint64        `json:"first"`
	Last      uint64        `json:"last"`
	ID        changeset.ID  `json:"id"`
	Before    *changeset.ID `json:"before,omitempty"`
	Erased    bool          `json:"erased,omitempty"`
	Tag       uint32        `json:"tag,omitempty"`
}

// encode returns the batch as NDJSON.
func (b batch) encode() ([]byte, error) {
	var content bytes.Buffer
	enc := json.NewEncoder(&content)
	enc.SetEscapeHTML(false)
	b.Format = formatOfBatches
	if err := enc.Encode(b.preamble); err != nil {
		return nil, err
	}
	for _, a := range b.advances {
		l := line{a.AggregateID, a.First, a.Last, a.ID, nil, a.Erased, a.tag}
		if !a.Before.IsZero() {
			l.Before = &a.Before
		}
		if err := enc.Encode(l); err != nil {
			return nil, err
		}
	}
	return content.Bytes(), nil
}

// decodeBatch reads the content of a changeset of a feed. Its error is
// a [*changeset.CorruptError], or matches [changeset.ErrUnsupportedFormat].
func decodeBatch(c changeset.Changeset) (batch, error) {
	b, err := parseBatch(c.Content)
	if err != nil {
		return batch{}, &changeset.CorruptError{Ref: c.Ref, Reason: "it is not a batch of a feed: " + err.Error()}
	}
	if b.Format > formatOfBatches {
		return batch{}, fmt.Errorf("%s: %w: it is a batch of format %d, this version reads %d", c.Ref, changeset.ErrUnsupportedFormat, b.Format, formatOfBatches)
	}
	return b, nil
}

func parseBatch(content []byte) (b batch, err error) {
	dec := json.NewDecoder(bufio.NewReader(bytes.NewReader(content)))
	if err := dec.Decode(&b.preamble); err != nil || b.Format > formatOfBatches {
		return b, err
	}
	if b.Format != formatOfBatches {
		return b, fmt.Errorf("its format is %d", b.Format)
	}
	for {
		var l line
		if err := dec.Decode(&l); err == io.EOF {
			return b, nil
		} else if err != nil {
			return b, err
		}
		a := advance{head.Advance{AggregateID: l.Aggregate, First: l.First, Last: l.Last, ID: l.ID, Erased: l.Erased}, l.Tag}
		if l.Before != nil {
			a.Before = *l.Before
		}
		if err := checkAdvance(a.Advance); err != nil {
			return b, fmt.Errorf("line %d: %w", len(b.advances)+2, err)
		}
		b.advances = append(b.advances, a)
	}
}

// checkAdvance returns an error for an advance that no relay would write.
func checkAdvance(a head.Advance) error {
	switch {
	case a.ID.IsZero():
		return fmt.Errorf("%q has no changeset ID", a.AggregateID)
	case a.First > a.Last && !(a.Erased && a.First == a.Last+1):
		return fmt.Errorf("%q: version %d is above version %d", a.AggregateID, a.First, a.Last)
	case a.First > 0 && a.Before.IsZero() && !a.Erased:
		return fmt.Errorf("%q: the changeset before version %d is missing", a.AggregateID, a.First)
	}
	return changeset.ValidateAggregateID(a.AggregateID)
}
