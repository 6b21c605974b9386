package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
)

// againHint is the hint of an import that was interrupted.
const againHint = "run the same import again to continue"

// track is the progress of one aggregate.
type track struct {
	id       string
	waiting  []*group
	running  bool
	seen     bool // a group of it was stored already
	imported bool // a group of it was appended
	erased   bool // the aggregate is erased and left out
	// next is the version of the next group.
	next  uint64
	chain *chainState // nil until it is read
}

// importChain is the part of an aggregate's chain that was read.
type chainState struct {
	head head.Head
	// known are changesets to compare with, from version known[0].Version.
	known []changeset.Header
}

// importOne appends the group unless the chain has it, and reports whether it was
// appended. Only the track's own goroutine calls importOne.
func (m *importer) importOne(t *track, g *group) (added bool, err error) {
	if t.erased {
		return false, ropewalk.ErrErased
	}
	defer func() { t.erased = m.SkipErased && errors.Is(err, ropewalk.ErrErased) }()
	if t.chain == nil {
		if err := m.load(t); err != nil {
			return false, m.failedAt(g, err)
		}
	}
	c := t.chain
	draft := changeset.Draft{CommandID: g.commandID(), Content: g.content, ContentType: ndjson.ContentType}
	if c.head.Exists() && t.next <= c.head.Version {
		if err := m.compare(t, g, draft); err != nil {
			return false, m.failedAt(g, err)
		}
		t.next++
		return false, nil
	}
	c.head, err = m.store.Chain(t.id).Append(m.ctx, c.head, draft)
	if err != nil {
		return false, m.failedAt(g, err)
	}
	t.next++
	return true, nil
}

// load reads the head of the track's chain.
func (m *importer) load(t *track) error {
	h, err := m.store.Chain(t.id).Head(m.ctx)
	if err != nil && !errors.Is(err, ropewalk.ErrNotFound) {
		return err
	}
	if t.next > 0 && (!h.Exists() || h.Version < t.next-1) {
		return fmt.Errorf("chain %q: %w: it was at %d", t.id, ropewalk.ErrHeadLost, t.next-1)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t.chain = &chainState{head: h}
	m.chains++
	return nil
}

// compare returns an error unless the chain has this group at its version.
func (m *importer) compare(t *track, g *group, draft changeset.Draft) error {
	c := t.chain
	if len(c.known) == 0 {
		last := min(t.next+compareAhead-1, c.head.Version)
		known, err := ropewalk.Collect(m.store.Chain(t.id).ReaderAt(c.head).Headers(m.ctx, ropewalk.Range{First: t.next, Last: last}))
		if err != nil {
			return err
		}
		c.known = known
	}
	stored := c.known[0]
	c.known = c.known[1:]
	same, err := m.hasContent(c.head, stored, g)
	if err != nil {
		return err
	}
	if same && stored.CommandID == draft.CommandID && stored.ContentType == draft.ContentType {
		return nil
	}
	err = fmt.Errorf("%s is not what would be imported there: an import adds to an empty chain, or to one that the same import has begun", stored.Ref)
	return cliexit.WithHint(cliexit.Wrap(cliexit.Conflict, err), "read it: ropewalk show %s", ui.Operand(stored.Ref.String()))
}

// hasContent reports whether a changeset has the content of the group. It reads
// the changeset only if its content is stored compressed.
func (m *importer) hasContent(at head.Head, stored changeset.Header, g *group) (bool, error) {
	if stored.Encoding == "" {
		return stored.BodySHA256 == g.sum(), nil
	}
	c, err := m.store.Chain(at.AggregateID).ReaderAt(at).At(m.ctx, stored.Version)
	return bytes.Equal(c.Content, g.content), err
}

// failedAt adds the line of the group, and a hint, to an error.
func (m *importer) failedAt(g *group, err error) error {
	err = &LineError{m.file, g.line, fmt.Errorf("aggregate %q: %w", g.aggregate, err)}
	switch {
	case errors.Is(err, ropewalk.ErrUncertain):
		return cliexit.WithHint(err, "run the same import again: it finds out, and adds nothing twice")
	case errors.Is(err, context.Canceled):
		return cliexit.WithHint(err, againHint)
	case errors.Is(err, ropewalk.ErrErased):
		return cliexit.WithHint(err, "--skip-erased leaves erased aggregates out, and imports the others")
	}
	return err
}
