package walk

import (
	"sync"

	"ropewalk/changeset"
)

// budget bounds the bytes of content that a walk holds. The version that is
// needed next always passes, however large it is.
type budget struct {
	mu          sync.Mutex
	limit, held int64
	needed      uint64
}

func (b *budget) need(version uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.needed = version
}

// take reserves room for a changeset's content. It also refuses one so far ahead
// that the changesets before it would have no room if they were as large: it
// would be held for long, in their place.
func (b *budget) take(h changeset.Header) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	ahead := int64(max(h.Version, b.needed) - min(h.Version, b.needed))
	if ahead > 0 && (b.held+h.BodySize > b.limit || h.BodySize > b.limit/ahead) {
		return false
	}
	b.held += h.BodySize
	return true
}

// add counts bytes that are held, or released if size is negative.
func (b *budget) add(size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held += size
}
