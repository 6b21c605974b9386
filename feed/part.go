package feed

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"sort"
)

// part is how far the aggregates have been fed whose keys begin with one byte. Its
// entries are kept as a bucket of a snapshot stores them. Only new aggregates are in a
// map, until there are enough of them for a merge: a map of all would take up to 84
// bytes for each aggregate, depending on when it has grown.
type part struct {
	sorted []byte // entries in the order of their keys
	recent map[key]fed
}

// entrySize is the size of an entry: key, version, and the parts of changeset ID
// and tag, big-endian.
const entrySize = len(key{}) + 8 + 4 + 4

func appendEntry(b []byte, k key, f fed) []byte {
	b = append(b, k[:]...)
	b = binary.BigEndian.AppendUint64(b, f.version)
	b = binary.BigEndian.AppendUint32(b, f.id)
	return binary.BigEndian.AppendUint32(b, f.tag)
}

// entryAt returns the entry at an offset.
func (p *part) entryAt(at int) (key, fed) {
	e := p.sorted[at : at+entrySize]
	return key(e[:16]), fed{binary.BigEndian.Uint64(e[16:]), binary.BigEndian.Uint32(e[24:]), binary.BigEndian.Uint32(e[28:])}
}

// find returns the offset in sorted where a key is, or where it belongs.
func (p *part) find(k key) (at int, found bool) {
	n, found := sort.Find(len(p.sorted)/entrySize, func(i int) int {
		return bytes.Compare(k[:], p.sorted[i*entrySize:][:len(k)])
	})
	return n * entrySize, found
}

func (p *part) get(k key) (f fed, known bool) {
	if f, known = p.recent[k]; known {
		return f, true
	}
	at, known := p.find(k)
	if known {
		_, f = p.entryAt(at)
	}
	return f, known
}

func (p *part) set(k key, f fed) {
	if at, found := p.find(k); found {
		appendEntry(p.sorted[:at], k, f)
		return
	}
	if p.recent == nil {
		p.recent = map[key]fed{}
	}
	p.recent[k] = f
	if len(p.recent) >= max(64, len(p.sorted)/entrySize/8) {
		p.merge()
	}
}

// merge moves the new aggregates to the others.
func (p *part) merge() {
	if len(p.recent) == 0 {
		return
	}
	merged := make([]byte, 0, p.len()*entrySize)
	from := 0
	for _, k := range slices.SortedFunc(maps.Keys(p.recent), func(a, b key) int { return bytes.Compare(a[:], b[:]) }) {
		at, _ := p.find(k)
		merged = append(merged, p.sorted[from:at]...)
		merged = appendEntry(merged, k, p.recent[k])
		from = at
	}
	p.sorted, p.recent = append(merged, p.sorted[from:]...), nil
}

func (p *part) len() int { return len(p.sorted)/entrySize + len(p.recent) }

// encode returns the content of a bucket.
func (p *part) encode() []byte {
	p.merge()
	return bytes.Clone(p.sorted) // what is sent must not change
}

// decodePart returns the part that begins with a byte, from the content of its
// bucket. It reports false if the content is not a bucket of this part.
func decodePart(content []byte, first byte) (part, bool) {
	p := part{sorted: bytes.Clone(content)} // which a cache may share
	if len(content)%entrySize != 0 {
		return p, false
	}
	for at := 0; at < len(content); at += entrySize {
		if content[at] != first || at > 0 && bytes.Compare(content[at-entrySize:][:16], content[at:][:16]) >= 0 {
			return p, false
		}
	}
	return p, true
}
