package importer

import (
	"bytes"
	"container/list"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ndjson"
)

// maxHeld is the number of bytes of open groups that are kept.
const maxHeld = 256 << 20

// group has the events of one changeset.
type group struct {
	aggregate string
	position  int64 // of its first event among the aggregate's, from 0
	events    int64
	line      int64 // of its first event
	content   []byte
	element   *list.Element // among the open groups
}

func (g *group) sum() changeset.Digest { return sha256.Sum256(g.content) }

// commandID names the position and the content of the group. Another import of the
// same group, at the same time or later, finds that the chain has it.
func (g *group) commandID() string { return importCommandID(g.position, g.content) }

func importCommandID(position int64, content []byte) string {
	sum := sha256.Sum256(content)
	return fmt.Sprintf("import-%d-%s", position, base64.RawURLEncoding.EncodeToString(sum[:12]))
}

// importPosition returns the position in a command ID of an import.
func importPosition(commandID string) (position int64, ok bool) {
	rest, ok := strings.CutPrefix(commandID, "import-")
	digits, _, dash := strings.Cut(rest, "-")
	position, err := strconv.ParseInt(digits, 10, 64)
	return position, ok && dash && err == nil
}

// groups gathers the events of each aggregate into groups of a size. The groups
// depend only on the file, the size and the limit: an import that is run again
// makes the same groups.
type groups struct {
	size   int64
	limit  int               // bytes of open groups; beyond it the oldest is closed
	counts map[string]int64  // events by aggregate
	open   map[string]*group // not full yet
	order  *list.List        // the same, in the order in which they began
	held   int               // bytes of open groups
}

func newGroups(size, limit int) *groups {
	return &groups{size: int64(size), limit: limit, counts: map[string]int64{}, open: map[string]*group{}, order: list.New()}
}

// add puts an event into the group of its aggregate, and returns the groups that
// it closes, in order.
func (gs *groups) add(aggregate string, l line) (closed []*group) {
	g := gs.open[aggregate]
	if g != nil && len(g.content)+len(l.text) > MaxContent {
		closed = append(closed, gs.close(g))
		g = nil
	}
	if g == nil {
		g = &group{aggregate: aggregate, position: gs.counts[aggregate], line: l.number}
		g.element = gs.order.PushBack(g)
		gs.open[aggregate] = g
	}
	g.content = append(g.content, l.text...)
	g.events++
	gs.counts[aggregate]++
	gs.held += len(l.text)
	if g.events == gs.size {
		closed = append(closed, gs.close(g))
	}
	for gs.held > gs.limit {
		closed = append(closed, gs.closeOldest())
	}
	return closed
}

func (gs *groups) close(g *group) *group {
	delete(gs.open, g.aggregate)
	gs.order.Remove(g.element)
	gs.held -= len(g.content)
	return g
}

// closeOldest closes the group that began first. A group must be open.
func (gs *groups) closeOldest() *group { return gs.close(gs.order.Front().Value.(*group)) }

// closeAll closes all groups, in the order in which they began.
func (gs *groups) closeAll() (closed []*group) {
	for gs.order.Len() > 0 {
		closed = append(closed, gs.closeOldest())
	}
	return closed
}

// WasImported reports whether an import appended a changeset: its command ID
// commits to the content. The content is then whole lines, and any field may hold
// the aggregate ID.
func WasImported(c changeset.Changeset) bool {
	position, ok := importPosition(c.CommandID)
	return ok && c.ContentType == ndjson.ContentType && c.CommandID == importCommandID(position, c.Content) &&
		ndjson.Valid(c.Content) && bytes.HasSuffix(c.Content, []byte("\n"))
}
