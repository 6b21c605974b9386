package feed

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"ropewalk/changeset"
)

// progress is how far each aggregate has been fed: a fold over the batches of the
// feed. It takes some 40 bytes of memory for each aggregate. It is divided by the
// first byte of the key, as its snapshots are.
type progress [buckets]part

// key stands for an aggregate ID, in less memory: no two are known to share a key,
// and two that do cannot be made on purpose.
type key [16]byte

func keyOf(aggregateID string) key {
	sum := sha256.Sum256([]byte(aggregateID))
	return key(sum[:])
}

// fed is how far one aggregate has been fed.
type fed struct {
	version uint64 // wholly erased stands for an erasure
	id      uint32 // a part of the ID of the changeset at the version
	tag     uint32 // the hash of the head's tag, 0 if it is unknown
}

// erasedVersion is no version that an aggregate can reach.
const erasedVersion = math.MaxUint64

func (f fed) erased() bool { return f.version == erasedVersion }

// partOf returns the part of a changeset ID that is kept: random bits.
func partOf(id changeset.ID) uint32 { return binary.BigEndian.Uint32(id[12:]) }

// tagOf returns the hash of a head's tag, which is never 0 for a tag.
func tagOf(tag string) uint32 {
	if tag == "" {
		return 0
	}
	sum := sha256.Sum256([]byte(tag))
	return max(1, binary.BigEndian.Uint32(sum[:]))
}

func (p *progress) get(k key) (fed, bool) { return p[k[0]].get(k) }

func (p *progress) set(k key, f fed) { p[k[0]].set(k, f) }

func (p *progress) len() (n int) {
	for i := range p {
		n += p[i].len()
	}
	return n
}

// fold takes the advances of a batch in. Its error means that the feed has a gap
// or a duplicate, which no relay writes.
func (p *progress) fold(advances []advance) error {
	for _, a := range advances {
		k := keyOf(a.AggregateID)
		f, known := p.get(k)
		next := uint64(0)
		if known {
			next = f.version + 1
		}
		switch {
		case known && f.erased():
			return fmt.Errorf("%q advances after its erasure", a.AggregateID)
		case a.First != next:
			return fmt.Errorf("%q advances from version %d, and version %d is next", a.AggregateID, a.First, next)
		case known && !a.Before.IsZero() && partOf(a.Before) != f.id:
			return fmt.Errorf("%q advances to version %d from another history", a.AggregateID, a.Last)
		}
		version := a.Last
		if a.Erased {
			version = erasedVersion
		}
		p.set(k, fed{version, partOf(a.ID), a.tag})
	}
	return nil
}
